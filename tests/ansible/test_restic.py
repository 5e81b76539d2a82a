"""What role restic_server writes, obeyed by a real sshd: restic backs up and restores, and the key does nothing else."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from inventory.load import load
from ops.restore import restic as restore
from ops.stack import OpsError, Stack
from tests.ansible.conftest import REPO
from tests.ansible.rendering import render
from tests.nix.conftest import CACHE
from tests.sshd import make_keys, needed, serving, small_debian

ROLE = REPO / "ansible/roles/restic_server"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
USER, ROOT = DEFAULTS["restic_server_user"], DEFAULTS["restic_server_root"]
# Programs of Debian, as nix/tools/get-checkers.sh unpacks them.
DEBIAN = CACHE / "checkers/backup"
# As Debian has it, without PAM: a locked account would then be refused.
SSHD = """Include /etc/ssh/sshd_config.d/*.conf
ListenAddress 127.0.0.1
UsePAM no
PidFile none
Subsystem sftp /usr/lib/openssh/sftp-server
"""


def test_hosts_send_where_the_role_waits() -> None:
    module = (REPO / "nix/modules/backup.nix").read_text()
    (host,) = re.findall(r'server = "([\w-]+)";', module)
    assert set(re.findall(r'"(?://)?(\w+)@\$\{', module)) == {USER}
    assert re.findall(r'default = "sftp:\$\{at\}(\S+)/\$\{aether\.name\}"', module) == [ROOT]
    facts = load(REPO / "inventory/homelab.toml").hosts[host]
    assert "backup" in facts.tags and getattr(facts, "playbook", None) == "smith.yml"


def test_the_fleet_s_key_and_no_other(tmp_path: Path) -> None:
    text = render(tmp_path, "smith-storage", "restic_server", "restic_keys.j2")
    assert text == f"restrict {(REPO / 'nix/pki/restic.pub').read_text().strip()}\n"


@dataclass(frozen=True)
class Server:
    """An sshd on loopback with the role's files; `key` is the fleet's."""

    folder: Path
    port: int

    def arguments(self, key: str = "fleet") -> list[str]:
        """What follows ssh or sftp (both know -o), as the hosts have it."""
        options = {"StrictHostKeyChecking": "yes", "UserKnownHostsFile": self.folder / "known", "BatchMode": "yes"}
        options |= {"Port": self.port, "IdentitiesOnly": "yes", "GlobalKnownHostsFile": "/dev/null"}
        return ["-F", "none", "-i", str(self.folder / key), *(f"-o{name}={value}" for name, value in options.items())]

    def run(self, *command: str | Path, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """A program, and all that it printed."""
        return subprocess.run(
            [*map(str, command)],
            input=stdin,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            timeout=60,
            check=False,
        )

    def ssh(self, *arguments: str, key: str = "fleet") -> subprocess.CompletedProcess[str]:
        return self.run("ssh", *self.arguments(key), *arguments)

    def sftp(self, *lines: str, key: str = "fleet") -> subprocess.CompletedProcess[str]:
        return self.run("sftp", *self.arguments(key), "-b", "-", f"{USER}@127.0.0.1", stdin="\n".join(lines) + "\n")

    def restic(self, *arguments: str) -> str:
        """As the service of nix/modules/backup.nix calls it."""
        repository = f"sftp:{USER}@127.0.0.1:{ROOT}/media"
        options = ["-r", repository, "-o", f"sftp.args={shlex.join(self.arguments())}", "--no-cache"]
        done = self.run(DEBIAN / "run", "usr/bin/restic", *options, *arguments, RESTIC_PASSWORD="correct horse")
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    needed()
    folder = tmp_path_factory.mktemp("restic")
    make_keys(folder, "fleet", "other", "host")
    with serving(folder, tree(folder), "/etc/ssh/sshd_config.d/aether-restic.conf") as port:
        yield Server(folder, port)


def tree(folder: Path) -> Path:
    """A small Debian, as the role leaves it: the account, the folder, both files."""
    tasks = {task["name"]: task for task in yaml.safe_load((ROLE / "tasks/main.yml").read_text())}
    account = tasks["The user"]["ansible.builtin.user"]
    where = tasks["Where backups go"]["ansible.builtin.file"]
    files = {
        "etc/passwd": f"sshd:x:100:65534::/run/sshd:/sbin/nologin\n{USER}:x:990:990::{ROOT}:{account['shell']}\n",
        "etc/group": f"nogroup:x:65534:\n{USER}:x:990:\n",
        "etc/shadow": f"sshd:*:20000::::::\n{USER}:{account['password']}:20000::::::\n",
        "etc/ssh/sshd_config": SSHD,
        "etc/ssh/sshd_config.d/aether-restic.conf": render(folder, "smith-storage", "restic_server", "sshd.conf.j2"),
        "etc/ssh/restic_keys": f"restrict {(folder / 'fleet.pub').read_text()}",
    }
    root = small_debian(folder, files, [ROOT.lstrip("/")])
    os.chown(root / ROOT.lstrip("/"), 990, 990)
    (root / ROOT.lstrip("/")).chmod(int(where["mode"], 8))
    return root


def test_a_backup_comes_back(server: Server, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "notes.txt").write_text("what cannot be made again\n")
    server.restic("init")
    server.restic("backup", str(data))
    assert "no errors were found" in server.restic("check", "--read-data")
    server.restic("forget", "--prune", "--keep-daily", "7")
    shutil.rmtree(data)
    server.restic("restore", "latest", "--target", "/", "--include", str(data))
    assert (data / "notes.txt").read_text() == "what cannot be made again\n"


@pytest.fixture
def owner(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, as an operator reaches it who has the owner's key: by the stack's SSH configuration and the host's secrets."""
    program = tmp_path / "bin/restic"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {DEBIAN / "run"} usr/bin/restic "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    config = tmp_path / "config"
    known = f" UserKnownHostsFile {server.folder / 'known'}\n StrictHostKeyChecking yes\n BatchMode yes\n"
    config.write_text(f"Host smith-storage\n HostName 127.0.0.1\n Port {server.port}\n User root\n{known}")
    monkeypatch.setattr("ops.hosts.ssh_config", lambda _: config)
    values = {"restic-password": "correct horse", "restic-ssh-key": (server.folder / "fleet").read_text()}
    store = type("Store", (), {"read": lambda self, file: values})()
    monkeypatch.setattr(restore, "secret_store", lambda _: store)
    return server


def test_a_restore_test_finds_a_good_repository_and_a_damaged_one(owner: Server) -> None:
    """After the backup above."""
    inventory = load(REPO / "inventory/homelab.toml")
    told = restore.prove(Stack("homelab"), inventory, "media", lambda _: None)
    assert re.fullmatch(r"repository whole \(5% read\), snapshot of \d{4}-\d\d-\d\d \d\d:\d\d restored: 1 file, 26 B", told), told
    (packs,) = owner.folder.glob(f"root{ROOT}/media/data")
    pack = max((path for path in packs.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    whole = pack.read_bytes()
    pack.chmod(0o600)
    pack.write_bytes(whole[:-1])
    with pytest.raises(OpsError, match=r"^restic check: "):
        restore.prove(Stack("homelab"), inventory, "media", lambda _: None)
    pack.write_bytes(whole)
    assert not list(Path(tempfile.gettempdir()).glob("aether-restic-*")), "neither key nor data stay"


def test_a_relative_path_is_the_same_folder(server: Server) -> None:
    assert f"Remote working directory: {ROOT}\n" in server.sftp("pwd").stdout


def test_the_key_opens_no_shell(server: Server) -> None:
    for command in ((), ("id",), ("/usr/lib/openssh/sftp-server",)):
        done = server.ssh("-T", f"{USER}@127.0.0.1", *command)
        assert (done.returncode, done.stdout) == (1, "This service allows sftp connections only.\n")
    terminal = server.ssh("-tt", f"{USER}@127.0.0.1")
    assert terminal.returncode != 0 and "PTY allocation request failed" in terminal.stdout


def test_the_key_forwards_nothing(server: Server) -> None:
    out = server.ssh("-W", f"127.0.0.1:{server.port}", f"{USER}@127.0.0.1")
    assert out.returncode != 0 and "administratively prohibited" in out.stdout
    back = server.ssh("-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", f"{USER}@127.0.0.1")
    assert back.returncode != 0 and "remote port forwarding failed" in back.stdout


def test_another_key_stays_out_even_where_the_fleet_s_writes_it(server: Server) -> None:
    put = server.sftp("-mkdir .ssh", "chmod 700 .ssh", f"put {server.folder / 'other.pub'} .ssh/authorized_keys")
    assert put.returncode == 0, put.stdout
    refused = server.sftp("pwd", key="other")
    assert refused.returncode != 0 and "Permission denied (publickey)" in refused.stdout


def test_what_the_server_holds_itself_cannot_be_written(server: Server) -> None:
    for file in ("/etc/ssh/restic_keys", "/etc/ssh/sshd_config.d/aether-restic.conf"):
        done = server.sftp(f"put {server.folder / 'other.pub'} {file}")
        assert done.returncode != 0 and "Permission denied" in done.stdout, done.stdout
