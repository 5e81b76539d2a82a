"""One simulated host: its layers on disk, its namespaces while it is up, its boots, its SSH server."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import ssl
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aether_sim.fakes import catalogue
from aether_sim.hosts import base as bases
from aether_sim.hosts import boot, firstboot, ostree
from aether_sim.hosts import process as proc
from aether_sim.hosts.agent import Agent, HostCall
from aether_sim.hosts.faults import HostFaults
from aether_sim.hosts.inroot import HostRoot
from aether_sim.hosts.services import ServiceManager
from aether_sim.hosts.ssh import HOST_KEY, HostSsh
from aether_sim.world import HostFacts, sim_address

# <asm-generic/ioctls.h>; the termios module does not name them.
_TIOCSPTLCK, _TIOCGPTN = 0x40045431, 0x80045430
ENTER = Path(__file__).with_name("enter.py")
Call = HostCall["Host"]
Handler = Callable[[Call], Awaitable[int]]


@dataclass
class Surroundings:
    """What hosts of one simulator share."""

    directory: Path
    base: Path
    block: int
    ssh_port: int
    log: Callable[[str], None]
    served: Handler
    boot_seconds: float = 0.3
    operator_key: str = ""
    signing_key: str = ""
    names: dict[str, str] = field(default_factory=dict)
    tls: Callable[[], ssl.SSLContext] | None = None
    # Called when a guest turns itself off, so that the API says so.
    powered_off: Callable[[Host], None] | None = None
    forwardable: Callable[[str, int], bool] | None = None
    # The HTTP status of a request: host, unit, name that is asked for, status of a service that is ready.
    answer: Callable[[Host, str, str, int], int] | None = None


class Host:
    """State `down`, `booting` or `up`; only one change of power at a time."""

    def __init__(self, facts: HostFacts, surroundings: Surroundings, answers_at: str, directory_name: str | None = None) -> None:
        self.facts, self.surroundings, self.sim_address = facts, surroundings, answers_at
        # The inventory's side of it.
        self.address = facts.address
        self.name = facts.name
        self.directory = surroundings.directory / (directory_name or facts.name)
        self.state = "down"
        self.reason = ""
        self.boots = 0
        self.booted_entry = ""
        self.roll_back = False
        self.faults = HostFaults(self)
        self.services = ServiceManager(self)
        self.ssh = HostSsh(self, answers_at, surroundings.ssh_port)
        # Whether it has another address than its own, by DHCP.
        self.is_elsewhere: Callable[[], bool] = lambda: False
        # Whether nothing but itself is on its network, from its next boot on.
        self.isolated = False
        self.seed = firstboot.Seed()
        self._agent = Agent(self, self.directory / "agent", surroundings.served)
        self._root: HostRoot | None = None
        self._pid = 0
        self._holder: asyncio.subprocess.Process | None = None
        self._power = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()
        # Work of the host itself, which ends with its power; and changes of its power, which do not.
        self._kept: set[asyncio.Task[Any]] = set()
        self._detached: set[asyncio.Task[Any]] = set()

    @property
    def root(self) -> HostRoot:
        """The root of the running host. Raises ConnectionError while it is down."""
        if self._root is None:
            raise ConnectionError(f"{self.name} is down")
        return self._root

    @property
    def pid(self) -> int:
        """Process 1 of the running host, as the machine numbers it."""
        return self._pid

    @property
    def python(self) -> str:
        """The interpreter of fakes, as the host sees it."""
        return bases.machine_python()[0]

    def log(self, message: str) -> None:
        """Write to the supervisor's log."""
        self.surroundings.log(f"{self.name}: {message}")

    def _set_state(self, state: str, reason: str = "") -> None:
        self.state, self.reason = state, reason
        self.changed.set()
        self.changed = asyncio.Event()

    # Power

    async def power_on(self) -> None:
        """Boot, unless it is up or booting already; returns when it answers or has failed to boot."""
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._boot())
        await asyncio.shield(self._starting)

    async def power_off(self) -> None:
        """Power cut: every process, listener, timer and connection of the host ends."""
        starting, self._starting = self._starting, None
        if starting is not None and not starting.done() and starting is not asyncio.current_task():
            starting.cancel()
        async with self._power:
            await self._down()

    async def reboot(self) -> None:
        """Down and up again."""
        await self.power_off()
        await self.power_on()

    async def destroy(self) -> None:
        """Power off and lose the disk."""
        await self.power_off()
        await asyncio.to_thread(shutil.rmtree, self.directory, True)
        self.boots = 0

    async def _boot(self) -> None:
        async with self._power:
            if self.state == "up":
                return
            self._set_state("booting")
            try:
                await self._stand()
                await self._come_up()
            except asyncio.CancelledError:
                await self._down()
                raise
            except ostree.NoBoot as error:
                self.log(f"does not boot: {error}")
                await self._down(str(error))
                return
            except (OSError, RuntimeError) as error:
                self.log(f"boot failed: {error}")
                await self._down(str(error))
                return
            self._set_state("up")

    async def _come_up(self) -> None:
        """Boot until greenboot, where there is one, lets it stand."""
        while True:
            try:
                await boot.run(self)
                return
            except ostree.Again as red:
                self.roll_back = red.rollback
                await self._down("greenboot is red")
                self._set_state("booting")
                await self._stand()

    async def _stand(self) -> None:
        """Make the namespaces and the root."""
        self.boots += 1
        fresh = not self.directory.exists()
        for name in ("upper", "work", "usr-upper", "usr-work", "root", "agent"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        if fresh:
            (self.directory / "created").write_text(f"{time.time():.0f}\n")
        lower = await asyncio.to_thread(bases.prepare, self.surroundings.base, self.facts.flavour, self.facts.users)
        self.faults.publish()
        spec = {
            "parent": os.getpid(),
            "hostname": self.facts.name,
            "root": str(self.directory / "root"),
            "lower": list(lower.root),
            "upper": str(self.directory / "upper"),
            "work": str(self.directory / "work"),
            "usr_lower": list(lower.usr),
            "usr_upper": str(self.directory / "usr-upper"),
            "usr_work": str(self.directory / "usr-work"),
            "agent": str(self.directory / "agent"),
            "binds": [list(pair) for pair in lower.binds],
            "init": lower.init,
            "usr_readonly": self.facts.flavour == "atomic",
            "isolated": self.isolated,
        }
        await self._agent.start()
        holder = await proc.spawn(
            [sys.executable, "-IS", str(ENTER)], stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        self._holder = holder
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdin.write(json.dumps(spec).encode())
        holder.stdin.close()
        answer = (await holder.stdout.readline()).decode().strip()
        if not answer.startswith("ready "):
            rest = (await holder.stdout.read()).decode().strip()
            raise RuntimeError(f"cannot make the host: {answer} {rest}".strip())
        self._pid = int(answer.split()[1])
        self._root = HostRoot.of_process(self._pid)

    async def _down(self, reason: str = "") -> None:
        self.cancel_kept()
        await self.ssh.stop(drop=True)
        self.services.down()
        await self._agent.stop()
        if self._holder is not None:
            if self._holder.returncode is None:
                self._holder.kill()
            await self._holder.wait()
            self._holder = None
        if self._root is not None:
            self._root.close()
            self._root = None
        self._pid = 0
        self._set_state("down", reason)

    def keep(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Remember work that ends when the host goes down."""
        for task in tasks:
            self._kept.add(task)
            task.add_done_callback(self._kept.discard)

    def cancel_kept(self) -> None:
        """End that work."""
        for task in list(self._kept):
            if task is not asyncio.current_task():
                task.cancel()

    def detach(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something to the host that outlives the command which asked for it."""
        task = asyncio.create_task(work)
        self._detached.add(task)
        task.add_done_callback(self._detached.discard)

    async def turn_off(self) -> None:
        """The host powers itself off, and Proxmox notices."""
        await self.power_off()
        if self.surroundings.powered_off is not None:
            self.surroundings.powered_off(self)

    # What its services need

    def environment(self, user: proc.User) -> dict[str, str]:
        """The environment of a login or a service."""
        return proc.login_environment(user, catalogue.search_path(self.facts.flavour))

    def open_terminal(self) -> tuple[int, int, str]:
        """A new terminal of the host's devpts: descriptors of both ends, and its name in the host."""
        master = self.root.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        number = struct.unpack("i", fcntl.ioctl(master, _TIOCGPTN, struct.pack("i", 0)))[0]
        slave = self.root.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY)
        return master, slave, f"/dev/pts/{number}"

    def answer(self, unit: str, name: str, ready: int) -> int:
        """The HTTP status of a request for NAME at a UNIT which says READY itself."""
        return self.surroundings.answer(self, unit, name, ready) if self.surroundings.answer else ready

    def tls_context(self) -> ssl.SSLContext:
        """The server side of https for simulated services."""
        if self.surroundings.tls is None:
            raise OSError("no certificate")
        return self.surroundings.tls()

    async def start_ssh(self) -> bool:
        """Start sshd with the host's own key; False when it has none. Faults decide whether it is reachable."""
        try:
            key = self.root.read(HOST_KEY)
        except OSError:
            return False
        if self.faults.hides_ssh():
            return True
        try:
            await self.ssh.start(self.faults.host_key(key))
        except (ValueError, OSError) as error:
            self.log(f"sshd: {error}")
            return False
        return True

    async def reconsider_ssh(self) -> None:
        """Called when a fault or the running system changed."""
        if self._root is None:
            return
        if self.faults.hides_ssh():
            await self.ssh.stop(drop=self.faults.has("unreachable"))
        elif self.sshd_active():
            await self.start_ssh()

    async def move(self, address: str) -> None:
        """Answer at another ADDRESS (the inventory's side of it) from now on, at the old one no longer."""
        listening = self.ssh.listening
        await self.ssh.stop(drop=True)
        self.address, self.sim_address = address, sim_address(address, self.surroundings.block)
        self.ssh.address = self.sim_address
        if listening:
            await self.start_ssh()

    def sshd_active(self) -> bool:
        """Whether the host's sshd is meant to run."""
        return self.services.is_active("sshd.service") or self.services.is_active("ssh.service")

    def authorizes(self, user: str, key: list[str]) -> bool:
        """Whether a public key (type and base64) may log in as the user, by the files that sshd reads."""
        if self._root is None:
            return False
        account = proc.find_user(self._root, user)
        if account is None:
            return False
        system = "/etc/static/ssh"
        if user == "root" and "PermitRootLogin no" in self._root.read_text(f"{system}/sshd_config", ""):
            return False
        for path in (
            f"{account.home}/.ssh/authorized_keys",
            f"/etc/ssh/authorized_keys.d/{user}",
            f"{system}/authorized_keys.d/{user}",
        ):
            for line in self._root.read_text(path, "").splitlines():
                words = line.split()
                if any(words[at : at + 2] == key for at in range(len(words) - 1)):
                    return True
        return False

    def may_forward_to(self, address: str, port: int) -> bool:
        """Every sshd forwards to its own host; jumps go through Proxmox nodes, to hosts of this datacentre alone."""
        if address == self.sim_address:
            return True
        forwardable = self.surroundings.forwardable
        return self.facts.kind == "node" and forwardable is not None and forwardable(address, port)

    async def run(self, *command: str) -> tuple[int, str]:
        """Run a command as root in the host: exit code and output."""
        user = proc.find_user(self.root, "root")
        assert user is not None
        child = await proc.spawn(
            [*proc.enter_command(self.pid, user, self.environment(user)), *command],
            stderr=asyncio.subprocess.STDOUT,
        )
        assert child.stdout is not None
        output = await child.stdout.read()
        return await child.wait(), output.decode(errors="replace")

    async def set_hostname(self, name: str) -> None:
        """Change the running host name, as sethostname(2) in the host's UTS namespace."""
        child = await proc.spawn(
            ["/usr/bin/nsenter", f"--target={self.pid}", "--uts", "--", "/usr/bin/hostname", name],
            stdout=asyncio.subprocess.DEVNULL,
        )
        await child.wait()
