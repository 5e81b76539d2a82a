"""`aether install`: what it refuses, in which order it goes, and that the host's key is nowhere afterwards."""

import argparse
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from inventory.files import REPOSITORY
from inventory.keys import new_ssh_key
from inventory.load import load
from inventory.secret_store import SecretStore
from ops import guests, hosts
from ops.install import anywhere, command, files, trust
from ops.install.anywhere import Order, Way, arguments
from ops.install.target import LINK, Layout, Machine, chosen, refusals
from ops.stack import OpsError, Stack
from stacks.cluster import ClusterGuest

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


# Whom to trust


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


# nixos-anywhere's arguments

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


# The host's private key


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


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


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "shm"
    place.mkdir()
    monkeypatch.setattr(files, "_place", lambda: place)
    return place


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


# The order of things


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


def test_a_secret_that_is_not_the_pinned_key_is_refused_before_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, _ = new_ssh_key()
    monkeypatch.setattr(SecretStore, "read", lambda self, file: {"ssh_host_ed25519_key": private})
    with pytest.raises(OpsError, match="is not the key of host_key in the inventory"):
        files.private_key(Stack("homelab"), "laptop", MINE)
    with pytest.raises(OpsError, match=r"does not exist\. Fix: \./aether secrets init nobody"):
        files.private_key(Stack("homelab"), "nobody", MINE)


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
