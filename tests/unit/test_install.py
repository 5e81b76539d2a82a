"""`aether install`: what it refuses, in which order it goes, and that the host's key is nowhere afterwards."""

import argparse
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from inventory.files import REPOSITORY
from inventory.keys import new_ssh_key
from inventory.load import load
from ops import guests, hosts
from ops.install import anywhere, command, files, trust
from ops.install.anywhere import Way
from ops.install.target import LINK, Layout, Machine, chosen, refusals
from ops.stack import OpsError, Stack
from stacks.cluster import ClusterGuest
from tests.unit.install_workspace import memory, mode

__all__ = ["memory"]

HOMELAB = load(Path("inventory/homelab.toml"))
PERSONAL = Layout({"main": LINK}, "x86_64-linux", True, True, "/persist", "/etc/ssh/ssh_host_ed25519_key")
SCSI = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi0"
GUEST = Layout({"system": SCSI}, "x86_64-linux", True, False, "", "/etc/ssh/ssh_host_ed25519_key")


def disk(name: str, serial: str | None, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    own = {
        "name": name,
        "path": f"/dev/{name}",
        "type": "disk",
        "size": 512110190592,
        "serial": serial,
        "model": "SSD ",
        "ro": False,
    }
    return {
        **own,
        "fstype": None,
        "label": None,
        "mountpoint": None,
        **more,
        **({"children": list(children)} if children else {}),
    }


def part(name: str, fstype: str, mountpoint: str | None = None, label: str | None = None) -> dict[str, Any]:
    return {"name": name, "type": "part", "fstype": fstype, "label": label, "mountpoint": mountpoint}


OLD = disk("nvme0n1", "S4NX", part("nvme0n1p1", "vfat", "/boot/efi"), part("nvme0n1p2", "ext4", None, "home"))
EMPTY = disk("sda", "WD-1")


def said(*disks: dict[str, Any], **more: str) -> str:
    """What look.sh prints of a rescue system."""
    lines = {
        "hostname": "rescue", "system": "Debian GNU/Linux 12 (bookworm)", "variant": "", "machine": "x86_64", "user": "0",
        "memory": "16000", "firmware": "efi", "container": "none", **more,
    }  # fmt: skip
    listed = json.dumps({"blockdevices": [*disks, {"name": "loop0", "path": "/dev/loop0", "type": "loop", "size": 1}]})
    return "\n".join([*(f"{name}={value}" for name, value in lines.items()), f"disks={listed}"])


def machine(*disks: dict[str, Any], **more: str) -> Machine:
    return Machine.of(said(*(disks or (OLD, EMPTY)), **more))


def test_the_machine_is_read_from_what_the_script_prints() -> None:
    found = machine()
    assert str(found) == "rescue: Debian GNU/Linux 12 (bookworm), x86_64, 16000 MiB, UEFI"
    assert [str(item) for item in found.disks] == [
        "/dev/nvme0n1  512 GB  SSD  serial S4NX  (nvme0n1p1 vfat /boot/efi, nvme0n1p2 ext4 home)",
        "/dev/sda  512 GB  SSD  serial WD-1  (empty)",
    ]
    assert [item.used for item in found.disks] == [True, False]
    with pytest.raises(ValueError, match="cannot be read"):
        Machine.of("bash: lsblk: command not found")


def test_the_script_runs_in_a_plain_shell() -> None:
    if not shutil.which("lsblk"):
        pytest.skip("lsblk is not installed")
    script = (REPOSITORY / "ops/install/look.sh").read_text()
    done = subprocess.run(
        ["sh", "-s", "--", "/dev/null", "/dev/nothing"], input=script, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = Machine.of(done.stdout)
    assert found.memory > 0 and found.user == os.getuid() and found.machine == os.uname().machine
    assert found.devices == {"/dev/null": "/dev/null"}


@pytest.mark.parametrize(
    ("more", "layout", "says"),
    [
        ({"container": "lxc"}, PERSONAL, r"it is a container \(lxc\)"),
        ({"user": "1000"}, PERSONAL, "the login is not root. Fix: --user root"),
        ({"memory": "900"}, PERSONAL, r"900 MiB of memory.*1500.*\./aether image"),
        ({"firmware": "bios"}, PERSONAL, r"started by BIOS.*--bios ovmf"),
        ({"machine": "aarch64"}, PERSONAL, "it is aarch64, and the host is built for x86_64"),
        ({}, GUEST, r"the layout's disk 'system' is /dev/disk/by-id/scsi-0QEMU.*first disk as scsi0"),
    ],
)
def test_a_machine_that_cannot_be_installed_is_refused_with_what_to_do(more: dict[str, str], layout: Layout, says: str) -> None:
    (found,) = refusals(machine(**more), layout, "WD-1")
    assert re.search(says, found, re.DOTALL), found


def test_an_installer_needs_no_memory_for_another_one() -> None:
    assert refusals(machine(memory="900", variant="installer"), PERSONAL, "WD-1") == []


def test_the_disk_is_the_one_that_somebody_named_by_its_serial_and_no_other() -> None:
    twice = machine(OLD, disk("sdb", "S4NX"))
    none = machine(OLD, disk("sda", None))
    assert [item.path for item in chosen(machine(), PERSONAL, "WD-1").values()] == ["/dev/sda"]
    assert "which disk it is installed on is not said. Fix: --disk SERIAL" in refusals(none, PERSONAL, "")[0]
    assert "/dev/nvme0n1  512 GB" in refusals(none, PERSONAL, "")[0], "those that there are"
    assert "no disk has the serial 'WD'" in refusals(machine(), PERSONAL, "WD")[0], "not by its beginning"
    assert "2 disks have the serial 'S4NX'. Fix: unplug one" in refusals(twice, PERSONAL, "S4NX")[0]
    assert "cannot be written to" in refusals(machine(disk("sda", "WD-1", ro=True)), PERSONAL, "WD-1")[0]
    found = machine(OLD, EMPTY, **{f"device:{SCSI}": "/dev/sda"})
    assert refusals(found, GUEST, "") == [] and chosen(found, GUEST, "")["system"].path == "/dev/sda"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("keycloak", "is a container.*replace = true"),
        ("router", "is of kind ansible.*nixos-metal"),
        ("nobody", "is no host of .*name one of: .*laptop"),
    ],
)
def test_what_is_no_machine_of_nixos_is_refused_by_its_name(name: str, says: str) -> None:
    with pytest.raises(OpsError, match=says):
        command.installable(HOMELAB, name)
    assert command.installable(HOMELAB, "laptop").kind == "nixos-metal"  # type: ignore[attr-defined]


def noting(done: list[str]) -> Any:
    """In the place of subprocess.run: notes what is run on a machine."""

    def run(line: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        done.append(line[-1])
        return subprocess.CompletedProcess(line, 0, "", "")

    return run


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Everything that would touch a machine, noted; `laptop` and `monitoring` in the place of real ones."""
    done: list[str] = []
    private, public = new_ssh_key()
    before = machine(OLD, EMPTY, **{f"device:{SCSI}": "/dev/nvme0n1"})
    after = machine(disk("nvme0n1", "S4NX"), EMPTY, variant="installer", **{f"device:{SCSI}": "/dev/nvme0n1"})
    looks = [before, after]
    (tmp_path / "config").touch()
    monkeypatch.setattr(hosts, "ssh_config", lambda stack: tmp_path / "config")
    monkeypatch.setattr(files, "private_key", lambda *_: private)
    monkeypatch.setattr(command, "evaluated", lambda stack, attribute, host: GUEST if host == "monitoring" else PERSONAL_CLEAR)
    monkeypatch.setattr(trust, "scan", lambda address, port: " ".join(public.split()[:2]))
    monkeypatch.setattr(trust, "trusted", lambda *_: public)
    monkeypatch.setattr(command, "look", lambda way, layout: looks.pop(0))
    monkeypatch.setattr(guests, "cluster_of", lambda stack: {120: ClusterGuest(120, "qemu", "monitoring", "niobe", running=True)})
    monkeypatch.setattr(guests, "on_node", lambda stack, node, text: done.append(f"{node} {text.split()[-1]} {'vzdump' in text}"))
    monkeypatch.setattr(subprocess, "run", noting(done))

    def ran(nix: str, words: list[str], way: Way, environment: dict[str, str]) -> None:
        tree = Path(words[words.index("--extra-files") + 1]) if "--extra-files" in words else None
        key = [oct(mode(path)) for path in tree.rglob("ssh_host_ed25519_key")] if tree else []
        done.append(f"nixos-anywhere {words[words.index('--phases') + 1]} {way.port} {key}")

    monkeypatch.setattr(anywhere, "run", ran)
    monkeypatch.setattr(command, "first_contact", lambda config, host, layout: done.append(f"first contact {host}"))
    return done


PERSONAL_CLEAR = Layout({"main": LINK}, "x86_64-linux", True, False, "/persist", "/etc/ssh/ssh_host_ed25519_key")


def install(*words: str) -> int:
    return command.install(Stack("homelab"), list(words))


def test_a_personal_machine_goes_kexec_link_disko(log: list[str], memory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install("laptop", "--disk", "WD-1", "--yes-erase", "laptop", "--port", "2222") == 0
    assert log == [
        "nixos-anywhere kexec 2222 []",
        f"mkdir -p /dev/aether && ln -sfn /dev/sda {LINK}",
        "nixos-anywhere disko,install,reboot 22 ['0o600']",
        "first contact laptop",
    ]
    assert list(memory.iterdir()) == [], "the key is gone"
    shown = capsys.readouterr().out
    assert "/dev/sda  512 GB  SSD  serial WD-1  (empty)  <- ERASED (main)" in shown
    assert "Next: make preview STACK=homelab" in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--disk", "S4NX", "--yes-erase", "laptop"), r"what is on it would be lost:\n.*nvme0n1p2 ext4 home.*--backup WHERE"),
        (("--disk", "WD-1", "--yes-erase", "desktop"), "--yes-erase names desktop, and the host is laptop"),
        (("--disk", "WD-1"), "no terminal to ask at. Fix, if it is meant: --yes-erase laptop"),
        (("--yes-erase", "laptop"), "--disk SERIAL"),
    ],
)
def test_nothing_is_touched_without_disk_backup_and_name(
    log: list[str], memory: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.setattr(trust, "terminal", lambda: None)
    with pytest.raises(OpsError) as refused:
        install("laptop", *words)
    assert re.search(says, str(refused.value), re.DOTALL), refused.value
    assert "Nothing was changed" in str(refused.value)
    assert log == [] and list(memory.iterdir()) == []


def test_a_person_types_the_hosts_name(log: list[str], memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def person(question: str) -> str:
        asked.append(question)
        return "yes"

    monkeypatch.setattr(trust, "terminal", lambda: person)
    with pytest.raises(OpsError, match=r"^Nothing was changed\.$"):
        install("laptop", "--disk", "S4NX", "--backup", "restic, this morning")
    assert asked == ["EVERYTHING on /dev/nvme0n1 (S4NX) is erased. Type laptop to do so: "]
    assert log == []


def test_looking_changes_nothing(log: list[str], memory: Path) -> None:
    assert install("laptop", "--disk", "WD-1", "--look") == 0
    assert log == []


@pytest.fixture
def adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = HOMELAB.guests()["monitoring"].model_copy(update={"vmid": 120, "adopted": True})
    content = HOMELAB.content.model_copy(update={"hosts": {**HOMELAB.hosts, "monitoring": facts}})
    monkeypatch.setattr(command, "inventory_of", lambda stack: type(HOMELAB)(HOMELAB.path, content))


@pytest.mark.usefixtures("adopted")
def test_a_guest_is_backed_up_before_anything_else(log: list[str], memory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install("monitoring", "--yes-erase", "monitoring") == 0
    assert [line.split()[0] for line in log] == ["niobe", "nixos-anywhere", "nixos-anywhere", "first"]
    assert log[0] == "niobe 120 True"
    assert "Keep adopted = true in [hosts.monitoring]" in capsys.readouterr().out


@pytest.mark.usefixtures("adopted")
def test_a_guest_whose_backup_fails_keeps_its_disks(log: list[str], memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OpsError("niobe could not do it")

    monkeypatch.setattr(guests, "on_node", fails)
    with pytest.raises(OpsError, match=r"guest 120 could not be backed up \(above\); nothing was erased"):
        install("monitoring", "--yes-erase", "monitoring")
    assert log == [] and list(memory.iterdir()) == []


@pytest.mark.parametrize(
    ("guest", "says"),
    [
        (None, "has no guest 120 on the cluster"),
        (
            ClusterGuest(120, "qemu", "old-db", "niobe", running=True),
            "is a virtual machine called 'old-db' on niobe, not monitoring",
        ),
        (ClusterGuest(120, "lxc", "monitoring", "niobe", running=True), "is a container called"),
        (ClusterGuest(120, "qemu", "monitoring", "niobe"), "guest 120 is stopped"),
    ],
)
@pytest.mark.usefixtures("adopted")
def test_another_guest_is_never_installed_over(
    log: list[str], memory: Path, monkeypatch: pytest.MonkeyPatch, guest: ClusterGuest | None, says: str
) -> None:
    monkeypatch.setattr(guests, "cluster_of", lambda stack: {120: guest} if guest else {})
    with pytest.raises(OpsError, match=says):
        install("monitoring", "--yes-erase", "monitoring")
    assert log == []


def test_the_installers_disks_must_be_those_that_were_agreed_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also /dev/sda may be another one there."""
    way = Way("10.0.0.1", 22, "root", tmp_path)
    disks = chosen(machine(), PERSONAL, "WD-1")
    made: list[str] = []
    monkeypatch.setattr(subprocess, "run", noting(made))
    for there, says in (
        (machine(OLD), "the layout's main is not the disk that was agreed to"),
        (machine(disk("sda", "WD-1", size=1000)), "the layout's main is not the disk that was agreed to"),
        (machine(disk("sda", "WD-1", part("sda1", "ext4", "/mnt"))), "a disk is in use there"),
    ):
        monkeypatch.setattr(command, "look", lambda way, layout, there=there: there)
        with pytest.raises(OpsError, match=f"{says}.*Nothing was erased"):
            command.prepare(way, PERSONAL, disks)
    assert made == []
    monkeypatch.setattr(command, "look", lambda way, layout: machine(disk("sdc", "WD-1")))
    command.prepare(way, PERSONAL, disks)
    assert made == [f"mkdir -p /dev/aether && ln -sfn /dev/sdc {LINK}"], "found again by its serial"


def test_an_encrypted_disk_needs_somebody_who_types_its_passphrase(
    log: list[str], memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "evaluated", lambda *_: PERSONAL)
    monkeypatch.setattr(trust, "terminal", lambda: None)
    with pytest.raises(OpsError, match="disko asks for the passphrase: there is no terminal"):
        install("laptop", "--disk", "WD-1", "--yes-erase", "laptop")
    assert log == []


def test_where_it_is_built_follows_the_inventory() -> None:
    laptop = command.installable(HOMELAB, "laptop")
    places = {
        place: command.build_place(laptop.model_copy(update={"build_on": place})) for place in ("operator", "target", "builder")
    }
    assert places == {"operator": "local", "target": "remote", "builder": "auto"}


def test_its_options_are_told() -> None:
    text = command._parser().format_help()
    assert isinstance(command._parser(), argparse.ArgumentParser)
    for option in ("--address", "--host-key", "--disk", "--backup", "--yes-erase", "--look", "--keep"):
        assert option in text
