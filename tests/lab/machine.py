"""A machine of the lab: UEFI firmware, a disk over the image's, SSH on the loopback, a guest agent's socket, a watchdog."""

import contextlib
import os
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.lab.disk import Base, alone, base
from tests.ports import free_port
from tests.qemu import Boot

FIRMWARE = Path("/usr/share/OVMF")
KVM_DEADLINE = 10
BOOT_DEADLINE = 1500


@dataclass
class Machine:
    """One machine. What it has on its disks outlives each boot; ``data`` are further disks in GiB, blank.

    A reset ends QEMU, and another one goes on, as Proxmox reboots its guests. In the same one the firmware unpacks itself over
    the system before, whose translated code QEMU throws away byte by byte: the longer it ran, the longer that takes, ten minutes
    and more.
    """

    base: Base
    work: Path
    name: str
    data: Sequence[int] = ()
    memory: int = 640
    clock: str = "utc"
    extra: list[str] = field(default_factory=list)
    boot: Boot | None = None
    booted: bool = False

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True)
        self.port = free_port()
        self._switch = threading.Lock()
        variables = self.base.variables if self.base.state.exists() else FIRMWARE / "OVMF_VARS_4M.fd"
        shutil.copy(variables, self.work / "variables.fd")
        backing = self.base.first_boot if self.base.state.exists() else self.base.disk
        self._image("system", "-b", str(backing), "-F", "qcow2")
        for number, size in enumerate(self.data, 1):
            self._image(f"data{number}", size=f"{size}G")

    def _image(self, name: str, *options: str, size: str = "") -> None:
        command = [
            "qemu-img",
            "create",
            "-q",
            "-f",
            "qcow2",
            *options,
            str(self.work / f"{name}.qcow2"),
            *([size] if size else []),
        ]
        subprocess.run(command, check=True)

    @property
    def agent(self) -> Path:
        """Socket of the guest agent."""
        return self.work / "agent"

    def on(self, *, fresh: bool = False) -> "Machine":
        """Switch it on and wait until it answers on SSH. The first time it goes on from where the image's first boot had come to,
        unless FRESH: then it boots.
        """
        resumed = not (fresh or self.booted) and self.base.state.exists()
        (self.work / "console").write_bytes(b"")
        self._start(["-incoming", f"exec:cat {shlex.quote(str(self.base.state))}"] if resumed else [])
        assert self.boot
        if resumed:
            self.boot.until(lambda: self.status() == "completed", BOOT_DEADLINE, f"the state of {self.name} to be read")
            # It was stopped when its state was written.
            self.boot.ask("cont")
        self.boot.until(self.answers, BOOT_DEADLINE, f"{self.name} to answer on SSH")
        self.booted = True
        if resumed:
            # Since the first boot time has passed.
            self.sh(f"date -s @{time.time()} >/dev/null")
            for number in range(1, len(self.data) + 1):
                self.plug(number)
        return self

    def _start(self, extra: list[str]) -> None:
        (self.work / "result").write_bytes(b"")
        for name in ("qmp", "agent"):
            (self.work / name).unlink(missing_ok=True)
        with (self.work / "qemu.log").open("a") as log:
            process = subprocess.Popen([*self._command(bool(extra)), *extra], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.boot = Boot(process, self.work)
        threading.Thread(target=self._go_on, args=(self.boot,), daemon=True).start()

    def _go_on(self, boot: Boot) -> None:
        """Boot again where a reset, the guest's or its watchdog's, ended BOOT; one whose power was cut stays off."""
        code = boot.process.wait()
        with self._switch:
            if code == 0 and self.boot is boot:
                self._start([])

    def plug(self, number: int) -> None:
        """Data disk NUMBER into a machine that is on, as Proxmox plugs one in."""
        assert self.boot
        node = {"node-name": f"file{number}", "driver": "qcow2", "file": {"driver": "file", "filename": str(self.image(number))}}
        self.boot.ask("blockdev-add", **node)
        device = {"driver": "scsi-hd", "bus": "scsihw0.0", "scsi-id": number, "id": f"scsi{number}", "drive": f"file{number}"}
        self.boot.ask("device_add", **device, device_id=f"drive-scsi{number}")

    def _command(self, resumed: bool = False) -> list[str]:
        command = [
            "qemu-system-x86_64", "-name", self.name,
            "-machine", f"q35,accel={accelerator()}", "-cpu", "max", "-smp", "1", "-m", str(self.memory),
            "-nodefaults", "-display", "none", "-rtc", f"base={self.clock}",
            "-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE / 'OVMF_CODE_4M.fd'}",
            "-drive", f"if=pflash,format=raw,file={self.work / 'variables.fd'}",
            "-chardev", f"file,id=console,path={self.work / 'console'},append=on", "-serial", "chardev:console",
            "-qmp", f"unix:{self.work / 'qmp'},server=on,wait=off",
            "-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{self.port}-:22", "-device", "virtio-net-pci,netdev=net0",
            "-device", "virtio-rng-pci",
            "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={self.agent},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-device", "i6300esb", "-action", "watchdog=reset,reboot=shutdown",
            "-device", "virtio-scsi-pci,id=scsihw0",
        ]  # fmt: skip
        # The names that Proxmox gives: /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi0.
        for number in range(1 if resumed else 1 + len(self.data)):
            command += ["-drive", f"if=none,id=drive-scsi{number},format=qcow2,file={self.image(number)},cache=unsafe"]
            command += ["-device", f"scsi-hd,bus=scsihw0.0,scsi-id={number},drive=drive-scsi{number},id=scsi{number}"]
        return [*command, *self.extra]

    def cut(self) -> None:
        """The power goes, at once."""
        with self._switch:
            boot, self.boot = self.boot, None
        if boot:
            boot.process.kill()
            boot.process.wait()

    def reset(self) -> None:
        """The button of its case; what `qm reset` does to a guest."""
        assert self.boot
        self.boot.ask("system_reset")

    def wait(self) -> None:
        """Until QEMU fails: a reset goes on with another one, and so does a machine that turns itself off."""
        while self.boot and self.boot.process.wait() == 0:
            time.sleep(0.2)

    def image(self, number: int) -> Path:
        """The file of disk NUMBER; 0 is the system's."""
        return self.work / (f"data{number}.qcow2" if number else "system.qcow2")

    def grow(self, disk: int, size: int) -> None:
        """Resize DISK (0: the system's) of a machine that is off to SIZE GiB."""
        subprocess.run(["qemu-img", "resize", "-q", str(self.image(disk)), f"{size}G"], check=True)

    def status(self) -> str:
        """Of the migration that writes or reads the machine's state."""
        assert self.boot
        with contextlib.suppress(OSError):
            return str(self.boot.ask("query-migrate").get("status", ""))
        return ""

    def ssh(self, command: str, text: str = "", timeout: int = 300) -> "subprocess.CompletedProcess[str]":
        """COMMAND as root, over a connection of its own."""
        line = ["ssh", "-F", str(self.work / "ssh_config"), self.name, command]
        self.configure([self])
        return subprocess.run(line, input=text, capture_output=True, text=True, timeout=timeout, check=False)

    def sh(self, command: str, timeout: int = 300) -> str:
        """COMMAND's output. Raises AssertionError where it fails."""
        done = self.ssh(command, timeout=timeout)
        assert done.returncode == 0, f"{self.name}: {command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def answers(self) -> bool:
        assert self.boot and self.boot.process.poll() in (None, 0), (self.work / "qemu.log").read_text()
        try:
            return self.ssh("true", timeout=150).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def hears(self, command: str) -> str:
        """COMMAND's output; nothing while the machine is away."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.ssh(command, timeout=150).stdout.strip()
        return ""

    def boot_id(self) -> str:
        return self.hears("cat /proc/sys/kernel/random/boot_id")

    def booted_again(self, before: str, seconds: int = BOOT_DEADLINE) -> None:
        """Wait until it has booted since BEFORE, a ``boot_id``."""
        assert self.boot
        self.boot.until(lambda: self.boot_id() not in ("", before), seconds, f"{self.name} to boot again")

    def configure(self, machines: "Sequence[Machine]", host_keys: dict[str, str] | None = None) -> Path:
        """An OpenSSH client configuration for MACHINES with pinned keys, as stacks/ssh.py writes it."""
        keys = host_keys or {}
        known = self.work / "known_hosts"
        _write(known, "".join(f"{each.name} {keys.get(each.name, each.base.host_key)}\n" for each in machines))
        blocks = [
            f"Host {m.name}\n  HostName 127.0.0.1\n  Port {m.port}\n  User root\n  HostKeyAlias {m.name}\n" for m in machines
        ]
        common = (
            f'Host *\n  UserKnownHostsFile "{known}"\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n'
            f"  UpdateHostKeys no\n  CheckHostIP no\n  BatchMode yes\n  ConnectTimeout 120\n"
            f'  IdentityFile "{self.base.operator_key}"\n'
            "  IdentitiesOnly yes\n  ServerAliveInterval 60\n  ServerAliveCountMax 3\n"
        )
        return _write(self.work / "ssh_config", "".join(blocks) + common)


def ready() -> Base:
    """The lab's base with its first boot behind it: what a machine goes on from within seconds."""
    made = base()
    with alone():
        if not made.state.exists():
            work = made.folder / "first"
            shutil.rmtree(work, ignore_errors=True)
            machine = Machine(made, work, "first")
            try:
                machine.on()
                machine.sh("systemctl is-system-running --wait || true; sync")
                assert machine.boot
                machine.boot.ask("stop")
                draft = made.folder / "state.draft"
                machine.boot.ask("migrate", uri=f"exec:cat > {shlex.quote(str(draft))}")
                machine.boot.until(lambda: machine.status() == "completed", 120, "the state to be written")
                machine.cut()
                machine.image(0).replace(made.first_boot)
                shutil.copy(work / "variables.fd", made.variables)
                draft.replace(made.state)
            finally:
                machine.cut()
    return made


@cache
def accelerator() -> str:
    """kvm where a machine of it runs within a deadline, else tcg: /dev/kvm may open and hang."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    # A machine without a disk: the firmware runs, and the monitor ends it.
    command = ["qemu-system-x86_64", "-machine", "q35,accel=kvm", "-nodefaults", "-display", "none", "-monitor", "stdio"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        out, _ = process.communicate(b"info registers\nquit\n", timeout=KVM_DEADLINE)
        return "kvm" if b"RIP" in out and b"RIP=000000000000fff0" not in out else "tcg"
    except subprocess.TimeoutExpired:
        return "tcg"
    finally:
        process.kill()
        process.wait()


def _write(path: Path, text: str) -> Path:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        path.chmod(0o600)
    return path
