"""The emergency key on a real sshd, where root's login is off otherwise: it lets in, and the journal hears of it first."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.container import Container, ContainerNetwork
from tests.lab.disk import REPOSITORY

pytestmark = pytest.mark.timeout(600)

PROGRAM = "/usr/local/bin/aether-break-glass"
# As nix/modules/break-glass.nix and ansible/roles/login_keys write it.
OPTIONS = f'restrict,pty,command="{PROGRAM}"'
SSHD = "PermitRootLogin forced-commands-only\nAuthorizedKeysFile /etc/ssh/keys/%u\n"


@dataclass
class Emergency:
    """A machine whose root is let in by the emergency key alone."""

    machine: Container
    key: Path

    def ssh(
        self, command: str = "", *options: str, key: Path | None = None, text: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        config = self.machine.configure([self.machine])
        plain = config.read_text().replace(str(self.machine.base.operator_key), str(key or self.key))
        config.with_name("emergency").write_text(plain)
        line = ["ssh", "-F", str(config.with_name("emergency")), *options, self.machine.name, *([command] if command else [])]
        return subprocess.run(line, input=text, capture_output=True, text=True, timeout=60, check=False)

    def journal(self) -> list[str]:
        """What was told, by the emergency key itself: no other is let in."""
        return self.ssh("journalctl -t aether-break-glass -o cat --no-pager").stdout.splitlines()


@pytest.fixture(scope="module")
def host(site: ContainerNetwork) -> Iterator[Emergency]:
    machine = site.container("web", 51)
    key = site.work / "emergency-key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    machine.write(PROGRAM, (REPOSITORY / "nix/modules/break-glass.sh").read_text(), 0o755)
    ordinary = machine.base.operator_key.with_suffix(".pub").read_text()
    machine.write("/etc/ssh/keys/root", f"{OPTIONS} {key.with_suffix('.pub').read_text()}{ordinary}", 0o600)
    machine.write("/etc/ssh/sshd_config.d/00-emergency.conf", SSHD)
    machine.boot(init="/usr/lib/systemd/systemd")
    made = Emergency(machine, key)
    machine.eventually(lambda: made.ssh("true").returncode == 0, "lets the emergency key in")
    yield made
    machine.stop()


def test_it_lets_root_in_and_every_use_is_told_first(host: Emergency) -> None:
    done = host.ssh("id -u; exit 7")
    assert (done.returncode, done.stdout.strip()) == (7, "0")
    shell = host.ssh(text="id -u\n")
    assert shell.returncode == 0 and "0" in shell.stdout
    told = host.journal()
    assert "the emergency key is used: a command as root from 10.77.0.1" in told
    assert "the emergency key is used: a shell as root from 10.77.0.1" in told


def test_nothing_but_the_program_is_started_by_it(host: Emergency) -> None:
    forward = host.ssh("true", "-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:4711:127.0.0.1:22")
    assert forward.returncode != 0
    before = len(host.journal())
    # Its own journal's reading is told, too.
    assert host.ssh("sftp", "-s").returncode != 255
    assert len(host.journal()) >= before + 2


def test_another_key_of_root_is_not_let_in(host: Emergency) -> None:
    assert host.ssh("true", key=host.machine.base.operator_key).returncode == 255
