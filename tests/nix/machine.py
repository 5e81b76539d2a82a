"""A machine to boot: UEFI firmware, two disks with serial numbers, and a live medium whose programs are Debian's.

Software emulation, whatever the computer can do: a run is the same everywhere, and takes about 20 s to boot.
"""

import contextlib
import gzip
import shutil
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from tests.qemu import Boot

ROOT = Path(__file__).resolve().parents[2]
INIT = Path(__file__).with_name("machine-init.sh")
SERIALS = ("S1-ABC", "S2-DEF")
GIB = 1024**3


class Machine:
    """One machine; what it has on its disks and in its firmware's variables outlives each boot.

    ``checkers`` is what ``get-checkers.sh --machine`` filled, ``work`` a directory of the machine's own.
    """

    def __init__(self, checkers: Path, work: Path) -> None:
        self.hardware, self.medium, self.work = checkers / "machine", checkers / "medium", work
        work.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.firmware("OVMF_VARS_4M.fd"), self.variables)
        for serial in SERIALS:
            with self.disk(serial).open("wb") as file:
                file.truncate(64 * GIB)

    def firmware(self, name: str) -> Path:
        return self.hardware / "root/usr/share/OVMF" / name

    @property
    def variables(self) -> Path:
        return self.work / "variables.fd"

    def disk(self, serial: str) -> Path:
        return self.work / f"{serial}.img"

    @property
    def kernel(self) -> Path:
        """The live medium's."""
        return next((self.medium / "root/boot").glob("vmlinuz-*"))

    @property
    def refind(self) -> Path:
        """rEFInd with its pictures."""
        return self.hardware.parent / "loader/root/usr/share/refind/refind"

    @property
    def loaders(self) -> Path:
        """systemd-boot and systemd's stub."""
        return self.hardware.parent / "loader/root/usr/lib/systemd/boot/efi"

    @cached_property
    def live(self) -> Path:
        """The live medium as an initrd, packed once for all machines."""
        packed = self.medium / "live.cpio.gz"
        stamp = max(INIT.stat().st_mtime, self.medium.stat().st_mtime)
        if not packed.exists() or packed.stat().st_mtime < stamp:
            root = self.work / "live"
            shutil.copytree(self.medium / "root", root, symlinks=True)
            for folder in ("usr/share/doc", "usr/share/man", "usr/share/locale", "boot"):
                shutil.rmtree(root / folder)
            shutil.copy(INIT, root / "init")
            release = next((root / "usr/lib/modules").iterdir()).name
            subprocess.run(["chroot", str(root), "depmod", release], check=True)
            partial = packed.with_suffix(".partial")
            partial.write_bytes(self.pack(root))
            partial.replace(packed)
            shutil.rmtree(root)
        return packed

    def pack(self, tree: Path) -> bytes:
        """A directory as a compressed initrd; the kernel unpacks several behind each other."""
        names = subprocess.run(["find", ".", "-print0"], cwd=tree, capture_output=True, check=True).stdout
        command = [str(self.hardware / "run"), "usr/bin/cpio", "--null", "--create", "--format=newc", "--quiet"]
        archive = subprocess.run(command, input=names, cwd=tree, capture_output=True, check=True).stdout
        return gzip.compress(archive, compresslevel=1)

    def initrd(self, payload: Path) -> bytes:
        """The live medium with PAYLOAD as /payload, of which ``run`` is started."""
        tree = self.work / "payload"
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(payload, tree / "payload", symlinks=True)
        return self.live.read_bytes() + self.pack(tree)

    def run(self, payload: Path, seconds: int = 600) -> str:
        """Boot the live medium; what PAYLOAD/run printed, when the machine has switched itself off."""
        (self.work / "initrd").write_bytes(self.initrd(payload))
        command = ["-kernel", str(self.kernel), "-initrd", str(self.work / "initrd"), "-append", "console=ttyS0 quiet panic=-1"]
        with self.on(command) as boot:
            boot.until(lambda: boot.process.poll() is not None, seconds, "the live medium to finish")
            return boot.result

    @contextlib.contextmanager
    def on(self, extra: list[str]) -> Iterator[Boot]:
        """The machine, switched on; off at the end."""
        for name in ("console", "result"):
            (self.work / name).write_bytes(b"")
        share = self.hardware / "root/usr/share"
        command = [
            str(self.hardware / "run"), "usr/bin/qemu-system-x86_64",
            "-L", str(share / "qemu"), "-L", str(share / "seabios"),
            "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "3072",
            "-nodefaults", "-no-reboot", "-display", "none", "-vga", "std", "-rtc", "clock=vm",
            "-drive", f"if=pflash,format=raw,readonly=on,file={self.firmware('OVMF_CODE_4M.fd')}",
            "-drive", f"if=pflash,format=raw,file={self.variables}",
            "-serial", f"file:{self.work / 'console'}", "-serial", f"file:{self.work / 'result'}",
            "-qmp", f"unix:{self.work / 'qmp'},server=on,wait=off",
        ]  # fmt: skip
        for serial in SERIALS:
            command += ["-drive", f"if=none,id={serial},format=raw,file={self.disk(serial)},discard=unmap"]
            command += ["-device", f"nvme,drive={serial},serial={serial}"]
        (self.work / "qmp").unlink(missing_ok=True)
        with (self.work / "qemu.log").open("w") as log:
            process = subprocess.Popen([*command, *extra], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield Boot(process, self.work)
        finally:
            process.kill()
            process.wait()
