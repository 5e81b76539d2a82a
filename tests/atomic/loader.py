"""GRUB, the real one, in a virtual machine: which entry of the menu it starts, and what it writes down on the way.

/boot of a machine is made into a disk that GRUB starts from (SeaBIOS, QEMU without hardware help); what GRUB wrote into its
environment is put back. In place of a kernel an entry says its number. Its grub.cfg has the order of bootupd's static one:
environment, entries, custom.cfg.
"""

import re
import shutil
import struct
from pathlib import Path

from tests.atomic.sysroot import Machine, programs

_START = 2048  # sectors before /boot's partition, as fdisk leaves them
_SECTOR = 512
_MIB = 1024 * 1024
_MODULES = (
    "biosdisk",
    "part_msdos",
    "ext2",
    "normal",
    "configfile",
    "loadenv",
    "test",
    "echo",
    "serial",
    "terminal",
    "reboot",
    "search",
)
# What a rebased host has is the one without a count; bootupd writes the other where greenboot was there when GRUB was installed.
HEAD = """\
serial --unit=0
terminal_output serial
load_env
set timeout=0
"""
CUSTOM = """\
if [ -f $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
"""


def may() -> str | None:
    """Why no GRUB can be started here; None where one can."""
    missing = [tool for tool in ("qemu-system-x86_64", "mke2fs", "debugfs") if shutil.which(tool) is None]
    return f"{', '.join(missing)} not there: python3 ops/setup.py --tests" if missing else None


def install(machine: Machine, custom: str = CUSTOM) -> None:
    """Gives the machine's /boot a grub.cfg that nobody wrote a count into, and an environment."""
    grub = machine.there("/boot/grub2")
    grub.mkdir()
    (grub / "grub.cfg").write_text(f"{HEAD}# entries\n{custom}")
    _editenv(machine, "create")


def environment(machine: Machine) -> dict[str, str]:
    """GRUB's variables."""
    return dict(line.split("=", 1) for line in _editenv(machine, "list").splitlines())


def forget(machine: Machine, variable: str) -> None:
    _editenv(machine, "unset", variable)


def _editenv(machine: Machine, *command: str) -> str:
    return machine.outside(str(programs() / "run"), "usr/bin/grub-editenv", f"{machine.disk}/boot/grub2/grubenv", *command)


def choose(machine: Machine) -> int:
    """Starts GRUB: the number of the entry that it boots. Its environment is the machine's afterwards."""
    config = machine.there("/boot/grub2/grub.cfg")
    entries = "".join(
        f"menuentry '{number}' {{\n  echo starts entry {number}.\n  reboot\n}}\n" for number in range(len(machine.menu()))
    )
    installed = config.read_text()
    config.write_text(installed.replace("# entries\n", entries))
    disk, console = f"{machine.work}/grub.img", machine.work.parent / "grub.log"
    _disk(machine, disk)
    config.write_text(installed)
    command = ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "64", "-display", "none", "-monitor", "none", "-no-reboot"]
    drive = f"file={disk},format=raw,if=ide"
    machine.outside("timeout", "120", *command, "-net", "none", "-serial", f"file:{console}", "-drive", drive)
    # A cell of its screen at a time: control sequences come between.
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.read_text(errors="replace"))
    found = re.findall(r"starts entry (\d+)\.", text)
    assert found, f"GRUB started nothing:\n{text}"
    machine.outside(
        "debugfs", "-R", f"dump /grub2/grubenv {machine.disk}/boot/grub2/grubenv", f"{disk}?offset={_START * _SECTOR}"
    )
    return int(found[0])


def _disk(machine: Machine, disk: str) -> None:
    """Writes a disk with GRUB before its only partition, which is /boot."""
    image = machine.from_here(disk)
    core = f"{machine.work}/core.img"
    run, modules = str(programs() / "run"), str(programs() / "root/usr/lib/grub/i386-pc")
    machine.outside(
        *(run, "usr/bin/grub-mkimage", f"--directory={modules}", "--format=i386-pc", f"--output={core}"),
        *("--prefix=(hd0,msdos1)/grub2", *_MODULES),
    )
    boot = (Path(modules) / "boot.img").read_bytes()[:446]
    size = 24 * _MIB
    partition = struct.pack("<B3sB3sII", 0x80, b"\0\0\0", 0x83, b"\0\0\0", _START, (size // _SECTOR) - _START)
    first = boot + partition + bytes(3 * 16) + b"\x55\xaa"
    with image.open("wb") as file:
        file.write(first + machine.from_here(core).read_bytes())
        file.truncate(size)
    offset = _START * _SECTOR
    machine.outside(
        *(
            "mke2fs",
            "-q",
            "-F",
            "-t",
            "ext2",
            "-d",
            f"{machine.disk}/boot",
            "-E",
            f"offset={offset}",
            disk,
            f"{(size - offset) // 1024}k",
        )
    )
