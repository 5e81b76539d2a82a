"""The installer's program, with fakes for the disks and for what would erase them: nothing happens by default."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from nix.tools import evaluate

SCRIPT = evaluate.ROOT / "nix/images/installer/install.sh"


class Machine:
    """A machine with two disks and a stick, as lsblk tells it, and a record of what was done to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.mounted = {"/dev/sda": "/iso"}
        self.disks: list[dict[str, object]] = [
            {"path": "/dev/nvme0n1", "serial": "S1-ABC", "size": 512 * 1024**3, "model": "Fast", "type": "disk", "ro": False},
            {"path": "/dev/nvme1n1", "serial": "S2-DEF", "size": 256 * 1024**3, "model": "Slow", "type": "disk", "ro": False},
            {"path": "/dev/sda", "serial": "STICK", "size": 16 * 1024**3, "model": "Stick", "type": "disk", "ro": False},
            {"path": "/dev/sr0", "serial": None, "size": 0, "model": None, "type": "rom", "ro": True},
        ]
        self.key = directory / "key"
        self.public = self.new_key(self.key)
        self.store = "/persist"

    @staticmethod
    def new_key(path: Path) -> str:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
        return " ".join(Path(f"{path}.pub").read_text().split()[:2])

    def program(self, name: str, text: str) -> Path:
        path = self.directory / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\nset -eu\n{text}\n")
        path.chmod(0o755)
        return path

    def install(self, typed: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        listed = json.dumps({"blockdevices": self.disks})
        mounts = "\n".join(f"  {disk}) echo {place} ;;" for disk, place in self.mounted.items())
        self.program(
            "lsblk", f'case "$*" in *--json*) echo \'{listed}\' ;; *) case "${{@: -1}}" in\n{mounts}\n*) ;; esac ;; esac'
        )
        done = f'echo "$(basename "$0") $(readlink "$AETHER_DEV/aether/system")" >>{self.directory}/done'
        root = f'mkdir -p "$AETHER_ROOT{self.store}"'
        self.program("nixos-install", f'echo "nixos-install $*" >>{self.directory}/done')
        environment = {
            **os.environ,
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
            "AETHER_HOST": "laptop",
            "AETHER_SYSTEM": "/nix/store/x-system",
            "AETHER_ERASE": str(self.program("erase", f"{done}\n{root}")),
            "AETHER_MOUNT": str(self.program("mount-it", f"{done}\n{root}")),
            "AETHER_IDENTITY": self.store,
            "AETHER_HOST_KEY": self.public,
            "AETHER_ROOT": str(self.directory / "mnt"),
            "AETHER_DEV": str(self.directory / "dev"),
        }
        return subprocess.run(
            [str(SCRIPT), *arguments], input=typed, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    @property
    def done(self) -> list[str]:
        log = self.directory / "done"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    for program in ("jq", "ssh-keygen"):
        if subprocess.run(["which", program], capture_output=True, check=False).returncode:
            pytest.skip(f"{program} is not installed")
    return Machine(tmp_path)


def test_installs_on_the_disk_whose_serial_was_typed(machine: Machine) -> None:
    result = machine.install("S2-DEF\n", "--identity", str(machine.key))
    assert result.returncode == 0, result.stderr
    assert machine.done == [
        "erase /dev/nvme1n1",
        f"nixos-install --root {machine.directory}/mnt --system /nix/store/x-system --no-root-passwd --no-channel-copy",
    ]
    assert not (machine.directory / "dev/aether/system").is_symlink()


def test_the_identity_is_there_before_the_first_boot(machine: Machine) -> None:
    machine.install("S1-ABC\n", "--identity", str(machine.key))
    etc = machine.directory / "mnt/persist/etc"
    key = etc / "ssh/ssh_host_ed25519_key"
    assert key.read_text() == machine.key.read_text() and key.stat().st_mode & 0o777 == 0o600
    assert (etc / "ssh/ssh_host_ed25519_key.pub").read_text().strip() == machine.public
    assert re.fullmatch(r"[0-9a-f]{32}\n?", (etc / "machine-id").read_text())


@pytest.mark.parametrize("typed", ["", "\n", "S1-AB\n", "/dev/nvme0n1\n", "yes\n", "null\n", "s1-abc\n"])
def test_anything_but_a_serial_changes_nothing(machine: Machine, typed: str) -> None:
    result = machine.install(typed, "--identity", str(machine.key))
    assert result.returncode != 0 and machine.done == []
    assert "nothing was changed" in result.stderr


def test_the_medium_itself_is_refused(machine: Machine) -> None:
    result = machine.install("STICK\n", "--identity", str(machine.key))
    assert result.returncode != 0 and machine.done == [] and "in use (/iso" in result.stderr


def test_two_disks_with_one_serial_are_refused(machine: Machine) -> None:
    machine.disks[1]["serial"] = "S1-ABC"
    result = machine.install("S1-ABC\n", "--identity", str(machine.key))
    assert result.returncode != 0 and machine.done == [] and "more than one disk" in result.stderr


def test_keep_erases_nothing(machine: Machine) -> None:
    assert machine.install("S1-ABC\n", "--keep", "--identity", str(machine.key)).returncode == 0
    assert machine.done[0] == "mount-it /dev/nvme0n1"


def test_list_only_lists(machine: Machine) -> None:
    result = machine.install("", "--list")
    assert result.returncode == 0 and machine.done == []
    assert "/dev/nvme0n1  512 GiB  Fast  serial S1-ABC" in result.stdout and "sr0" not in result.stdout


def test_without_the_machines_key_it_says_how_to_get_it(machine: Machine) -> None:
    result = machine.install("S1-ABC\n")
    assert result.returncode != 0 and machine.done == []
    assert "sops decrypt" in result.stderr and "secrets/hosts/laptop.yaml" in result.stderr


def test_a_key_on_a_stick_is_taken_whoever_may_read_it(machine: Machine) -> None:
    """FAT has no modes: what root mounted is 0755, and ssh-keygen refuses such a key."""
    machine.key.chmod(0o755)
    assert machine.install("S1-ABC\n", "--identity", str(machine.key)).returncode == 0
    key = machine.directory / "mnt/persist/etc/ssh/ssh_host_ed25519_key"
    assert key.read_text() == machine.key.read_text() and key.stat().st_mode & 0o777 == 0o600


def test_another_machines_key_is_refused(machine: Machine) -> None:
    other = machine.directory / "other"
    machine.new_key(other)
    result = machine.install("S1-ABC\n", "--identity", str(other))
    assert result.returncode != 0 and machine.done == [] and "is not laptop's key" in result.stderr
