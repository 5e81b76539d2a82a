"""Machines of the lab without a kernel of their own: containers with a real systemd, OpenSSH and Nix, up in seconds.

They have the root of the lab's virtual machines. Where kernel, firmware and boot loader do not matter they answer as those do.
"""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from tests import nspawn
from tests.lab.disk import CACHE, NIX, REPOSITORY, Base, alone
from tests.lab.machine import Machine
from tests.lab.operator import Operator
from tests.nspawn import Ground

BRIDGE = "lab"
PREFIX = "10.77.0."
DEADLINE = 120
# The first program of a NixOS container.
SYSTEM = "/nix/var/nix/profiles/system/init"
# What a container has no use for, and what waits for hardware.
_MASKED = (
    *("systemd-logind", "systemd-boot-random-seed", "ldconfig", "systemd-journal-catalog-update"),
    *("systemd-update-done", "e2scrub_reap", "dpkg-db-backup", "getty@tty1", "console-getty", "cloud-init-local"),
    *("cloud-init-main", "cloud-init-network", "cloud-config", "cloud-final", "qemu-guest-agent"),
)
_NETWORK = (
    "[Match]\nName={card}\n[Network]\nAddress={address}/24\nGateway=" + PREFIX + "1\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
)


def container_tools() -> Path:
    """systemd-nspawn of the release that the lab's root is, unpacked; nothing of the machine's."""
    unpacked = CACHE / "container-tools"
    with alone():
        if not (unpacked / "complete").exists():
            shutil.rmtree(unpacked, ignore_errors=True)
            command = [str(REPOSITORY / "nix/tools/unpack-debian.sh"), str(unpacked), "trixie", "systemd-container"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            (unpacked / "complete").touch()
    return unpacked


@dataclass
class ContainerNetwork:
    """A network of containers; the operator's commands run in it by ``ground.network``, or over ``Container.configure``."""

    base: Base
    work: Path
    tools: Path
    ground: Ground
    containers: "list[Container]" = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The root that every container stands on; stays as it is."""
        return self.base.root / "root"

    def container(self, name: str, last: int, **more: object) -> "Container":
        """A container that is not started yet, at address 10.77.0.LAST."""
        made = Container(self, name, f"{PREFIX}{last}", self.work / name, **more)  # type: ignore[arg-type]
        self.containers.append(made)
        return made

    def stop(self) -> None:
        for container in self.containers:
            container.stop()


@dataclass
class Container:
    """One container. What is written before its start is there at its start."""

    site: ContainerNetwork
    name: str
    address: str
    work: Path
    card: str = "host0"
    host_key: str = ""
    """Public SSH host key that a client must see; default: the lab's."""
    _process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        for folder in ("own", "scratch", "root"):
            (self.work / folder).mkdir(parents=True)
        self.write("/etc/hostname", f"{self.name}\n")
        self.write("/etc/machine-id", hashlib.sha256(self.name.encode()).hexdigest()[:32] + "\n")
        # The virtual machines' has a disk in it.
        self.write("/etc/fstab", "")
        self.write("/etc/systemd/network/70-lab.network", _NETWORK.format(card=self.card, address=self.address))
        for unit in _MASKED:
            # nixpkgs' switch-to-configuration asks logind for users.
            if unit == "systemd-logind" and self.base.program:
                continue
            self.mask(f"{unit}.service")

    @property
    def base(self) -> Base:
        return self.site.base

    @property
    def on(self) -> bool:
        return self._process is not None

    @property
    def own(self) -> Path:
        """What it has of its own, over the lab's root."""
        return self.work / "own"

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file, by its absolute PATH there."""
        file = self.own / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def mask(self, unit: str) -> None:
        link = self.own / "etc/systemd/system" / unit
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("/dev/null")

    def unit(self, name: str, text: str, target: str = "multi-user") -> None:
        """A unit that TARGET starts."""
        self.write(f"/etc/systemd/system/{name}", text)
        wanted = self.own / f"etc/systemd/system/{target}.target.wants" / name
        wanted.parent.mkdir(parents=True, exist_ok=True)
        wanted.symlink_to(f"../{name}")

    def born_with(self, key: Path) -> None:
        """Another SSH host key than the lab's: the private one at KEY, with its public half beside it."""
        self.write("/etc/ssh/ssh_host_ed25519_key", key.read_text(), 0o600)
        self.write("/etc/ssh/ssh_host_ed25519_key.pub", key.with_suffix(".pub").read_text())

    def install(self, drv: str) -> str:
        """Give it the system DRV as its first generation, which it boots from then on, like NixOS in a container. Its path."""
        system = subprocess.run(
            [NIX, "build", "--no-link", "--print-out-paths", f"{drv}^out"], check=True, capture_output=True, text=True
        ).stdout.strip()
        root = self.work / "root"
        self._overlay([])
        try:
            copy = [*self.site.ground.inside, str(NIX), "copy", "--no-check-sigs", "--to", f"local?root={root}", system]
            done = subprocess.run(copy, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            profiles = "nix/var/nix/profiles"
            links = f"rm -f {profiles}/system*; ln -s {system} {profiles}/system-1-link; ln -s system-1-link {profiles}/system"
            subprocess.run([*self.site.ground.inside, "sh", "-ec", f"cd '{root}'; {links}"], check=True)
        finally:
            subprocess.run([*self.site.ground.inside, "umount", root], check=True)
        return system

    def _overlay(self, layers: Sequence[Path]) -> None:
        self.site.ground.overlay(self.work / "root", [*layers, self.site.root], self.own, self.work / "scratch")

    def start(self, *options: str, layers: Sequence[Path] = (), init: str = SYSTEM, nested: bool = False) -> "Container":
        """`boot`, and wait until it answers on SSH."""
        self.boot(*options, layers=layers, init=init, nested=nested)
        self.eventually(self.answers, "answers on SSH")
        return self

    def boot(self, *options: str, layers: Sequence[Path] = (), init: str = SYSTEM, nested: bool = False) -> None:
        """Boot it. OPTIONS are nspawn's; LAYERS go over the lab's root; a NESTED one may have containers of its own."""
        self._overlay(layers)
        root, log = self.work / "root", self.work / "console.log"
        every = [*(["--capability=all"] if nested else []), "--kill-signal=SIGRTMIN+3", *options, init]
        self._process = self.site.ground.start(self.site.tools, root, self.name, log, *every, nested=nested)

    def stop(self) -> None:
        if self._process is not None:
            nspawn.end(self._process)
            subprocess.run([*self.site.ground.inside, "umount", "--lazy", self.work / "root"], check=False)
        self._process = None

    def operator(self) -> Operator:
        """Who deploys to it."""
        # Of a machine an operator wants what a container has, too: base, name, ssh, sh, configure.
        return Operator(cast(Machine, self), self.work)

    def configure(self, containers: "Sequence[Container]", host_keys: dict[str, str] | None = None) -> Path:
        """An OpenSSH client configuration for CONTAINERS with pinned keys, which works from outside their network, too."""
        keys, known = host_keys or {}, self.work / "known_hosts"
        pins = {each.name: keys.get(each.name, each.host_key or each.base.host_key) for each in containers}
        _write(known, "".join(f"{name} {key}\n" for name, key in pins.items()))
        netcat = self.base.root / "parts/tools/bin/busybox"
        way = f"{' '.join(self.site.ground.network)} {netcat} nc %h %p"
        blocks = [f"Host {c.name}\n  HostName {c.address}\n  User root\n  HostKeyAlias {c.name}\n" for c in containers]
        common = (
            f'Host *\n  UserKnownHostsFile "{known}"\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n'
            f"  UpdateHostKeys no\n  CheckHostIP no\n  BatchMode yes\n  ConnectTimeout 30\n"
            f'  IdentityFile "{self.base.operator_key}"\n  IdentitiesOnly yes\n  ProxyCommand {way}\n'
        )
        return _write(self.work / "ssh_config", "".join(blocks) + common)

    def ssh(self, command: str, text: str = "", timeout: int = 300) -> "subprocess.CompletedProcess[str]":
        """COMMAND as root, over a connection of its own."""
        line = ["ssh", "-F", str(self.configure([self])), self.name, command]
        return subprocess.run(line, input=text, capture_output=True, text=True, timeout=timeout, check=False)

    def sh(self, command: str, timeout: int = 300) -> str:
        """COMMAND's output. Raises AssertionError where it fails."""
        done = self.ssh(command, timeout=timeout)
        assert done.returncode == 0, f"{self.name}: {command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def answers(self) -> bool:
        try:
            return self.ssh("true", timeout=30).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def eventually(self, true: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
        """Wait for a condition; what does not come within SECONDS is a failure, told with the console's last lines."""
        deadline = time.monotonic() + seconds
        while not true():
            alive = self._process is None or self._process.poll() is None
            console = self.work / "console.log"
            told = console.read_text(errors="replace")[-3000:] if console.exists() else ""
            assert alive and time.monotonic() < deadline, f"{self.name} never {what}\n{told}\n{nspawn.hint()}"
            time.sleep(0.2)


def _write(path: Path, text: str) -> Path:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        path.chmod(0o600)
    return path
