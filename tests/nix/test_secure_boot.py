"""Secure Boot by the runbook's own lines, on OVMF: keys of one's own are enrolled, what they signed starts, nothing else does.

Needs ``nix/tools/get-checkers.sh --machine``. The loader is systemd-boot, the kernel Debian's; both are signed here.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nix.tools import evaluate
from tests.qemu import Boot

from .conftest import CACHE

pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]
RUNBOOK = evaluate.ROOT / "docs/bifrost/runbook.md"
CHECKERS = CACHE / "checkers"
LOADER = "EFI/BOOT/BOOTX64.EFI"
KERNEL = "EFI/nixos/test-bzImage.efi"
SECONDS = 900
"""A boot takes about fifteen on a machine of its own."""


def lines(name: str) -> str:
    """The runbook's block whose first line is `# NAME`."""
    (block,) = re.findall(rf"```\n# {name}\n(.*?)```", RUNBOOK.read_text(), re.DOTALL)
    return str(block)


class Machine:
    """A machine whose firmware holds no key: an ESP with a loader and a kernel, and variables that outlive each boot."""

    def __init__(self, work: Path) -> None:
        self.work, self.esp, self.keys = work, work / "esp", work / "keys"
        self.keys.mkdir(mode=0o700, parents=True)
        share = CHECKERS / "machine/root/usr/share/OVMF"
        self.code = share / "OVMF_CODE_4M.secboot.fd"
        shutil.copy(share / "OVMF_VARS_4M.fd", work / "variables.fd")
        self.put(LOADER, CHECKERS / "loader/root/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
        self.put(KERNEL, next((CHECKERS / "medium/root/boot").glob("vmlinuz-*")))
        (self.esp / "loader/entries").mkdir(parents=True)
        (self.esp / "loader/loader.conf").write_text("timeout 0\ndefault test.conf\n")
        entry = f"title Test\nlinux /{KERNEL}\noptions console=ttyS0 panic=-1\n"
        (self.esp / "loader/entries/test.conf").write_text(entry)

    def put(self, path: str, source: Path) -> None:
        (self.esp / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, self.esp / path)

    def follow(self, name: str) -> None:
        """Do what the runbook says."""
        tools = self.work / "tools"
        tools.mkdir(exist_ok=True)
        for tool in ("cert-to-efi-sig-list", "sign-efi-sig-list", "sbsign"):
            script = tools / tool
            script.write_text(f'#!/bin/sh\nexec {CHECKERS / "signing/run"} usr/bin/{tool} "$@"\n')
            script.chmod(0o755)
        environment = {"PATH": f"{tools}:{os.environ['PATH']}", "ESP": str(self.esp)}
        done = subprocess.run(
            ["bash", "-euc", lines(name)], cwd=self.keys, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextlib.contextmanager
    def on(self) -> Iterator[Boot]:
        for name in ("console", "result"):
            (self.work / name).write_bytes(b"")
        share = CHECKERS / "machine/root/usr/share"
        # The firmware's variables are written in system management mode alone, or a system could change its keys by itself.
        command = [
            str(CHECKERS / "machine/run"), "usr/bin/qemu-system-x86_64",
            "-L", str(share / "qemu"), "-L", str(share / "seabios"),
            "-machine", "q35,accel=tcg,smm=on", "-cpu", "max", "-smp", "1", "-m", "768",
            "-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1",
            "-nodefaults", "-no-reboot", "-display", "none", "-vga", "std",
            "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={self.code}",
            "-drive", f"if=pflash,unit=1,format=raw,file={self.work / 'variables.fd'}",
            "-drive", f"if=none,id=esp,format=raw,readonly=on,file=fat:{self.esp}", "-device", "virtio-blk-pci,drive=esp",
            "-serial", f"file:{self.work / 'console'}", "-serial", f"file:{self.work / 'result'}",
        ]  # fmt: skip
        with (self.work / "qemu.log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield Boot(process, self.work)
        finally:
            process.kill()
            process.wait()

    def boot(self, word: str) -> str:
        """Boot until the console says WORD or the machine is off; what it said."""
        with self.on() as boot:
            boot.until(lambda: re.search(word, boot.console) is not None or boot.process.poll() is not None, SECONDS, word)
            return boot.console


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Signed, and its keys enrolled by its loader."""
    if not all((CHECKERS / part / "root").exists() for part in ("machine", "medium", "loader", "signing")):
        pytest.skip("no machine to boot: run nix/tools/get-checkers.sh --machine")
    machine = Machine(tmp_path_factory.mktemp("secure"))
    before = machine.boot("Linux version|panic")
    assert "Linux version" in before, "while the firmware holds no key, everything starts"
    for step in ("keys", "sign", "enroll"):
        machine.follow(step)
    with machine.on() as boot:
        boot.until(lambda: boot.process.poll() is not None, SECONDS, "the keys to be enrolled")
        assert "nroll" in boot.console, boot.console
    return machine


def test_what_the_own_key_signed_starts(machine: Machine) -> None:
    said = machine.boot(r"[Ss]ecure ?boot enabled|panic")
    assert re.search(r"[Ss]ecure ?boot enabled", said), said


@pytest.mark.parametrize("file", [KERNEL, LOADER])
def test_what_it_did_not_sign_is_refused(machine: Machine, file: str) -> None:
    signed = (machine.esp / file).read_bytes()
    unsigned = {
        KERNEL: next((CHECKERS / "medium/root/boot").glob("vmlinuz-*")),
        LOADER: CHECKERS / "loader/root/usr/lib/systemd/boot/efi/systemd-bootx64.efi",
    }[file]
    try:
        machine.put(file, unsigned)
        said = machine.boot(r"(?i)access denied|security violation|Linux version")
    finally:
        (machine.esp / file).write_bytes(signed)
    assert re.search(r"(?i)access denied|security violation", said), said
    assert "Linux version" not in said
