"""What nixos-anywhere is given: whom to trust, arguments that it has, and the host's private key, which nobody else reads."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inventory.files import REPOSITORY
from inventory.keys import new_ssh_key
from inventory.secret_store import SecretStore
from ops.install import anywhere, files, trust
from ops.install.anywhere import Order, Way, arguments
from ops.stack import OpsError, Stack
from tests.unit.install_workspace import memory, mode

__all__ = ["memory"]

MINE, OTHERS, RESCUE = (new_ssh_key()[1] for _ in range(3))
PINNED = {"laptop": MINE, "oracle": OTHERS}


def answer(text: str) -> trust.Ask:
    return lambda question: text


def test_the_hosts_own_key_needs_no_word_and_anothers_host_is_never_installed_over() -> None:
    own = " ".join(MINE.split()[:2])
    assert trust.trusted("laptop", own, PINNED, None) == own
    with pytest.raises(OpsError, match="the machine there is oracle"):
        trust.trusted("laptop", " ".join(OTHERS.split()[:2]), PINNED, OTHERS, answer("yes"))


def test_a_rescue_systems_key_is_given_or_compared_by_a_person() -> None:
    rescue = " ".join(RESCUE.split()[:2])
    assert trust.trusted("laptop", rescue, PINNED, RESCUE) == rescue
    assert trust.trusted("laptop", rescue, PINNED, None, answer("yes")) == rescue
    with pytest.raises(OpsError, match=r"^Nothing was changed\.$"):
        trust.trusted("laptop", rescue, PINNED, None, answer(""))
    with pytest.raises(OpsError, match=r"no terminal to ask at\. Fix, where it is the same: --host-key 'ssh-ed25519 "):
        trust.trusted("laptop", rescue, PINNED, None)
    with pytest.raises(OpsError, match="another key answers"):
        trust.trusted("laptop", rescue, PINNED, OTHERS)
    with pytest.raises(OpsError, match="--host-key"):
        trust.trusted("laptop", rescue, PINNED, "ssh-ed25519 AAAA")


def test_the_fingerprint_is_what_ssh_keygen_shows(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(RESCUE)
    shown = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "key.pub")], capture_output=True, text=True, check=True).stdout
    assert trust.fingerprint(RESCUE) == shown.split()[1]


def test_ssh_of_nixos_anywhere_trusts_that_key_alone_whatever_it_asks_for(tmp_path: Path) -> None:
    """By OpenSSH itself: the first word on an option counts."""
    shim = REPOSITORY / "ops/install/bin/ssh"
    known = files.known_hosts(tmp_path, RESCUE)
    environment = {"PATH": os.environ["PATH"], "AETHER_SSH": "ssh", "AETHER_KNOWN_HOSTS": str(known)}
    lax = ["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no"]
    shown = subprocess.run(
        [shim, *lax, "-G", "root@10.0.0.1"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    for line in ("stricthostkeychecking true", f"userknownhostsfile {known}", "hostkeyalias aether-install", "user root"):
        assert line in shown.splitlines(), shown
    assert known.read_text() == f"aether-install {' '.join(RESCUE.split()[:2])}\n"


# Options of nixos-anywhere 1.13.0 that take words, and how many (src/nixos-anywhere.sh, parseArgs).
OPTIONS = {
    "--flake": 1, "--target-host": 1, "-i": 1, "--ssh-port": 1, "--ssh-option": 1, "--kexec": 1, "--post-kexec-ssh-port": 1,
    "--extra-files": 1, "--chown": 2, "--disk-encryption-keys": 2, "--phases": 1, "--disko-mode": 1, "--build-on": 1,
    "--option": 2, "--no-disko-deps": 0, "--copy-host-keys": 0, "--debug": 0, "--print-build-logs": 0,
}  # fmt: skip
PHASES = {"kexec", "disko", "install", "reboot"}


def orders(tmp_path: Path) -> list[list[str]]:
    way = Way("192.168.20.11", 22, "root", tmp_path / "known_hosts", "/keys/operator")
    return [
        arguments(Order("laptop"), way, anywhere.KEXEC),
        arguments(Order("laptop", "remote", kexec="/kexec.tar.gz"), way, anywhere.KEXEC),
        arguments(Order("laptop", "local"), way, anywhere.INSTALL, tmp_path / "files"),
        arguments(Order("laptop", keep=True), way, anywhere.INSTALL, tmp_path / "files"),
    ]


def test_its_arguments_are_options_that_it_has(tmp_path: Path) -> None:
    for words in orders(tmp_path):
        rest, found = list(words), {}
        while rest:
            name = rest.pop(0)
            found[name] = [rest.pop(0) for _ in range(OPTIONS[name])]
        assert set(found["--phases"][0].split(",")) <= PHASES
        assert found["--build-on"][0] in ("auto", "local", "remote")
        assert found.get("--disko-mode", ["disko"])[0] in ("disko", "mount", "format")


def test_its_own_parser_takes_them(tmp_path: Path) -> None:
    """With the script itself, where somebody has it."""
    script = os.environ.get("AETHER_NIXOS_ANYWHERE")
    if not script:
        pytest.skip("set AETHER_NIXOS_ANYWHERE to src/nixos-anywhere.sh of nixos-anywhere")
    (tmp_path / "parser.sh").write_text(re.sub(r'(?m)^main "\$@"$', "", Path(script).read_text()))
    show = """
source "$0"
parseArgs "$@"
printf '%s\\n' "$flake" "$flakeAttr" "$sshConnection" "$sshPrivateKeyFile" "$buildOn" "$diskoAttr" "$extraFiles" "$kexecUrl"
for phase in kexec disko install reboot; do printf %s "${phases[$phase]}"; done
"""
    got = []
    for words in orders(tmp_path):
        done = subprocess.run(
            ["bash", "-c", show, str(tmp_path / "parser.sh"), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        got.append(done.stdout.splitlines())
    there = [".", 'nixosConfigurations."laptop".config', "root@192.168.20.11", "/keys/operator"]
    assert got == [
        [*there, "auto", "diskoScript", "", "", "1000"],
        [*there, "remote", "diskoScript", "", "/kexec.tar.gz", "1000"],
        [*there, "local", "diskoScript", str(tmp_path / "files"), "", "0111"],
        [*there, "auto", "mountScript", str(tmp_path / "files"), "", "0111"],
    ]


def test_the_key_is_put_where_the_host_looks_for_it_and_nobody_else_reads_it(tmp_path: Path) -> None:
    private, public = new_ssh_key()
    umask = os.umask(0o077)
    try:
        tree = files.extra_files(tmp_path, private, path="/etc/ssh/ssh_host_ed25519_key", store="/persist")
    finally:
        os.umask(umask)
    key = tree / "persist/etc/ssh/ssh_host_ed25519_key"
    assert key.read_text().strip() == private.strip() and mode(key) == 0o600
    assert key.with_suffix(".pub").read_text().split()[:2] == public.split()[:2]
    assert {mode(path) for path in (tree, tree / "persist", tree / "persist/etc", tree / "persist/etc/ssh")} == {0o755}
    assert re.fullmatch("[0-9a-f]{32}\n", (tree / "persist/etc/machine-id").read_text())
    (tmp_path / "plain").mkdir()
    plain = files.extra_files(tmp_path / "plain", private, path="/etc/ssh/ssh_host_ed25519_key", store="")
    assert sorted(path.name for path in plain.rglob("*")) == ["etc", "ssh", "ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"]


@pytest.mark.parametrize("error", [OpsError("x"), KeyboardInterrupt()])
def test_the_folder_is_gone_whatever_happened_and_so_is_what_a_killed_one_left(memory: Path, error: BaseException) -> None:
    dead = memory / "aether-install-999999999-x"
    alive = memory / f"aether-install-{os.getpid()}-x"
    for folder in (dead, alive):
        folder.mkdir()
    with pytest.raises(type(error)), files.workspace() as folder:
        assert mode(folder) == 0o700 and not dead.exists() and alive.exists()
        (folder / "key").write_text("secret")
        raise error
    assert list(memory.iterdir()) == [alive]


INSTALLS = """
import os, sys
from pathlib import Path
from inventory.keys import new_ssh_key
from ops.install import anywhere, files
files._place = lambda: Path(sys.argv[1])
with files.workspace() as folder:
    tree = files.extra_files(folder, new_ssh_key()[0], path="/etc/ssh/key", store="")
    way = anywhere.Way("10.0.0.1", 22, "root", files.known_hosts(folder, new_ssh_key()[1]))
    anywhere.run(sys.argv[2], ["--extra-files", str(tree)], way, dict(os.environ))
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_installation_leaves_no_key_and_no_program(tmp_path: Path, sent: signal.Signals) -> None:
    place, nix = tmp_path / "shm", tmp_path / "nix"
    place.mkdir()
    nix.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\necho Erases\nexec sleep 60\n")
    nix.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-c", INSTALLS, str(place), str(nix)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "Erases\n"
    (folder,) = place.iterdir()
    assert mode(folder / "files/etc/ssh/key") == 0o600
    process.send_signal(sent)
    process.communicate(timeout=30)
    assert list(place.iterdir()) == []
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "what it started goes on"
        time.sleep(0.05)


def run(tmp_path: Path, script: str) -> None:
    nix = tmp_path / "nix"
    nix.write_text(f"#!/bin/sh\n{script}\n")
    nix.chmod(0o755)
    way = Way("10.0.0.1", 22, "root", files.known_hosts(tmp_path, RESCUE))
    anywhere.run(str(nix), ["--phases", "kexec"], way, dict(os.environ))


def test_another_key_than_the_trusted_one_ends_it_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """nixos-anywhere tries for ever."""
    started = time.monotonic()
    with pytest.raises(OpsError, match=r"another SSH host key than the one that was trusted answers at 10\.0\.0\.1"):
        run(tmp_path, "echo '### Switching system into kexec ###'; echo 'Host key verification failed.'; exec sleep 60")
    assert time.monotonic() - started < 10
    assert "Switching system" in capsys.readouterr().out


def test_its_failure_is_said_and_its_program_is_of_the_flakes_nixpkgs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OpsError, match=r"ended with code 3 \(above\)"):
        run(tmp_path, 'printf "%s " "$@"; exit 3')
    assert "run --inputs-from . nixpkgs#nixos-anywhere -- --phases kexec" in capsys.readouterr().out
    run(tmp_path, 'test "$(command -v ssh)" = "$PWD/ops/install/bin/ssh"')


def test_a_secret_that_is_not_the_pinned_key_is_refused_before_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, _ = new_ssh_key()
    monkeypatch.setattr(SecretStore, "read", lambda self, file: {"ssh_host_ed25519_key": private})
    with pytest.raises(OpsError, match="is not the key of host_key in the inventory"):
        files.private_key(Stack("homelab"), "laptop", MINE)
    with pytest.raises(OpsError, match=r"does not exist\. Fix: \./aether secrets init nobody"):
        files.private_key(Stack("homelab"), "nobody", MINE)
