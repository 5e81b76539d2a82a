"""The service manager of one host: units that listen, run, fail and time out as their files say."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from aether_sim.hosts import listeners, units
from aether_sim.hosts import process as proc
from aether_sim.hosts.ssh import Reachable
from aether_sim.hosts.units import UnitFile

JOURNAL_LINES = 4000
# A unit with the fault `health` is active for a moment and then fails, as a service that crashes does.
CRASH_AFTER = 0.15


@dataclass
class Entry:
    """One journal line; `when` is Unix time in seconds."""

    when: float
    boot: int
    unit: str
    source: str
    message: str


@dataclass
class Unit:
    """Run-time state of a unit, with systemd's own words for it."""

    name: str
    active: str = "inactive"
    sub: str = "dead"
    result: str = "success"
    code: int = 0
    since: float = 0.0
    file: UnitFile | None = None
    transient: bool = False
    listening: list[asyncio.AbstractServer] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None
    task: asyncio.Task[None] | None = None
    description: str = ""
    next_elapse: float | None = None
    generation: int = 0

    def become(self, active: str, sub: str, result: str = "success") -> None:
        """Change state, and remember when."""
        self.active, self.sub, self.result, self.since = active, sub, result, time.time()


class ServiceManager:
    """What `systemctl` talks to. Everything in it is lost when the host goes down, as it should."""

    def __init__(self, host: Reachable) -> None:
        self.host = host
        self.units: dict[str, Unit] = {}
        self.journal: collections.deque[Entry] = collections.deque(maxlen=JOURNAL_LINES)

    def log(self, unit: str, message: str, source: str = "systemd") -> None:
        """Add a line to the journal."""
        self.journal.append(Entry(time.time(), self.host.boots, unit, source, message))

    def file(self, name: str) -> UnitFile | None:
        """The unit file as it is on the host now."""
        return units.find(self.host.root, name)

    def unit(self, name: str) -> Unit:
        """The run-time state of a unit, made when missing."""
        if name not in self.units:
            self.units[name] = Unit(name)
        return self.units[name]

    def known(self, name: str) -> bool:
        """Whether the unit has a file or is a transient one."""
        unit = self.units.get(name)
        return (unit is not None and unit.transient) or self.file(name) is not None

    def is_active(self, name: str) -> bool:
        """Whether the unit is active."""
        unit = self.units.get(self.real_name(name))
        return unit is not None and unit.active == "active"

    def real_name(self, name: str) -> str:
        """The name behind an alias."""
        if name in self.units:
            return name
        found = self.file(name)
        return found.name if found is not None else name

    async def boot(self) -> None:
        """Start what is enabled."""
        for target in ("basic.target", "multi-user.target", "network-online.target", "timers.target", "default.target"):
            self.unit(target).become("active", "active")
        names = [name for name in units.wanted_by(self.host.root) if not name.endswith(".target")]
        names += [f"{name}.service" for name in self.host.root.listdir("/etc/runlevels/default")]
        await asyncio.gather(*(self._start_at_boot(name) for name in names))

    async def _start_at_boot(self, name: str) -> None:
        try:
            await self.start(name)
        except (KeyError, PermissionError):
            self.log(name, f"{name}: enabled, but its unit file is missing or masked")

    def failed(self) -> list[Unit]:
        """Units in state failed."""
        return [unit for unit in self.units.values() if unit.active == "failed"]

    async def start(self, name: str) -> bool:
        """Start a unit; False when it failed. Raises KeyError when there is no such unit."""
        name = self.real_name(name)
        unit = self.unit(name)
        if unit.active in ("active", "activating"):
            return True
        found = self.file(name)
        if found is None and not unit.transient:
            del self.units[name]
            raise KeyError(name)
        if found is not None:
            unit.file = found
            unit.description = found.value("Unit", "Description", name)
        if found is not None and "masked" in found.sections:
            raise PermissionError(name)
        unit.generation += 1
        if not name.endswith(".service"):
            if name.endswith(".timer"):
                self._schedule(unit)
            unit.become("active", "waiting" if name.endswith(".timer") else "active")
            return True
        assert unit.file is not None
        unit.become("activating", "start")
        self.log(name, f"Starting {unit.description or name}...")
        return await self._start_service(unit, unit.file)

    async def _start_service(self, unit: Unit, file: UnitFile) -> bool:
        if file.value("X-Simulator", "Sshd") == "yes":
            if not await self.host.start_ssh():
                return self._fail(unit, "exit-code", "Missing privilege separation key or host key")
        elif file.simulated:
            if not await self._listen(unit, file):
                return False
        elif not await self._execute(unit, file):
            return unit.active != "failed"
        unit.become("active", "running")
        self.log(unit.name, f"Started {unit.description or unit.name}.")
        if file.simulated and self.host.faults.unhealthy(unit.name):
            unit.task = asyncio.create_task(self._crash(unit, unit.generation))
        return True

    async def _crash(self, unit: Unit, generation: int) -> None:
        await asyncio.sleep(CRASH_AFTER)
        if unit.generation == generation and unit.active == "active":
            self._close(unit)
            self.log(unit.name, "fatal: injected fault: health", unit.name.removesuffix(".service"))
            self._fail(unit, "exit-code", "Main process exited, code=exited, status=1/FAILURE")

    async def _listen(self, unit: Unit, file: UnitFile) -> bool:
        for listen in file.listens:
            try:
                unit.listening.append(await listeners.serve(self.host, unit.name, listen))
            except OSError as error:
                self._close(unit)
                self.log(unit.name, f"listen on port {listen.port}: {error.strerror or error}")
                return self._fail(unit, "exit-code", "Main process exited, code=exited, status=1/FAILURE")
        return True

    def _fail(self, unit: Unit, result: str, why: str) -> bool:
        self.log(unit.name, f"{unit.name}: {why}")
        self.log(unit.name, f"{unit.name}: Failed with result '{result}'.")
        unit.become("failed", "failed", result)
        unit.code = unit.code or 1
        return False

    async def _execute(self, unit: Unit, file: UnitFile) -> bool:
        """Run a service's commands. True: its main process goes on in the background and the unit is active."""
        kind = file.value("Service", "Type", "simple")
        commands = [units.command_line(value) for value in file.values("Service", "ExecStart")]
        commands = [command for command in commands if command]
        if not commands:
            if file.value("Service", "RemainAfterExit") != "yes":
                unit.become("inactive", "dead")
                return False
            return True
        for command in commands:
            if not self._executable(command[0]):
                unit.code = 203
                self._fail(unit, "exit-code", f"Unable to locate executable '{command[0]}': No such file or directory")
                return False
        if kind == "oneshot":
            return await self._run_oneshot(unit, file, commands)
        unit.process = await self._spawn(unit, file, commands[-1])
        unit.task = asyncio.create_task(self._watch(unit, unit.process, unit.generation))
        return True

    def _executable(self, path: str) -> bool:
        if not path.startswith("/"):
            return True
        return self.host.root.exists(path)

    async def _run_oneshot(self, unit: Unit, file: UnitFile, commands: list[list[str]]) -> bool:
        for command in commands:
            process = unit.process = await self._spawn(unit, file, command)
            code = await self._collect(unit, process)
            if code:
                unit.code = code
                self._fail(unit, "exit-code", f"Main process exited, code=exited, status={code}/FAILURE")
                return False
        if file.value("Service", "RemainAfterExit") in ("yes", "true"):
            unit.become("active", "exited")
        else:
            self.log(unit.name, f"{unit.name}: Deactivated successfully.")
            unit.become("inactive", "dead")
        return False

    async def _spawn(self, unit: Unit, file: UnitFile, command: list[str]) -> asyncio.subprocess.Process:
        user = proc.find_user(self.host.root, file.value("Service", "User", "root"))
        if user is None:
            raise OSError(f"no such user: {file.value('Service', 'User')}")
        environment = self.host.environment(user)
        for value in file.values("Service", "Environment"):
            for pair in units.command_line(value):
                key, _, text = pair.partition("=")
                environment[key] = text
        where = file.value("Service", "WorkingDirectory", "/").lstrip("-") or "/"
        entry = proc.enter_command(self.host.pid, user, environment)
        split = len(entry) - len(environment)
        argv = [*entry[:split], "-C", where, *entry[split:], *command]
        return await proc.spawn(argv, stderr=asyncio.subprocess.STDOUT)

    async def _collect(self, unit: Unit, process: asyncio.subprocess.Process) -> int:
        """Journal what the process prints, until it ends; its exit code (128 and the signal when killed)."""
        assert process.stdout is not None
        with contextlib.suppress(ValueError, ConnectionError):
            while line := await process.stdout.readline():
                self.log(unit.name, line.decode(errors="replace").rstrip("\n"), unit.name.removesuffix(".service"))
        code = await process.wait()
        return code if code >= 0 else 128 - code

    async def _watch(self, unit: Unit, process: asyncio.subprocess.Process, generation: int) -> None:
        code = await self._collect(unit, process)
        if unit.generation != generation or unit.process is not process:
            return
        unit.process = None
        unit.code = code
        if code == 0 or unit.active == "deactivating":
            self.log(unit.name, f"{unit.name}: Deactivated successfully.")
            unit.become("inactive", "dead")
        else:
            self._fail(unit, "exit-code", f"Main process exited, code=exited, status={code}/FAILURE")

    async def run_transient(self, unit: Unit, file: UnitFile) -> int:
        """Run a `systemd-run` unit to its end; its exit code."""
        unit.file, unit.transient = file, True
        unit.generation += 1
        unit.become("active", "running")
        self.log(unit.name, f"Started {unit.description or unit.name}.")
        command = units.command_line(file.value("Service", "ExecStart"))
        try:
            unit.process = await self._spawn(unit, file, command)
        except OSError as error:
            self._fail(unit, "exit-code", str(error))
            return 203
        code = await self._collect(unit, unit.process)
        unit.process, unit.code = None, code
        if code:
            self._fail(unit, "exit-code", f"Main process exited, code=exited, status={code}/FAILURE")
        else:
            self.log(unit.name, f"{unit.name}: Deactivated successfully.")
            unit.become("inactive", "dead")
        return code

    def arm(self, name: str, delay: float, file: UnitFile, description: str) -> None:
        """A transient timer: after `delay` seconds the service runs, whether anybody is logged in or not."""
        timer, service = self.unit(f"{name}.timer"), self.unit(f"{name}.service")
        timer.transient = service.transient = True
        timer.description = service.description = description
        service.file = file
        timer.generation += 1
        timer.become("active", "waiting")
        timer.next_elapse = time.time() + delay
        self.log(timer.name, f"Started {description}.")

        async def wait() -> None:
            await asyncio.sleep(delay)
            timer.become("active", "running")
            timer.next_elapse = None
            await self.run_transient(service, file)
            self.units.pop(timer.name, None)

        timer.task = asyncio.create_task(wait())

    def _schedule(self, unit: Unit) -> None:
        """A timer with a file: OnActiveSec=, OnBootSec= and OnUnitActiveSec= are honoured, OnCalendar= is only shown."""
        assert unit.file is not None
        spans = [unit.file.value("Timer", key) for key in ("OnActiveSec", "OnBootSec", "OnStartupSec")]
        first = min((span for text in spans if (span := units.seconds(text)) is not None), default=None)
        again = units.seconds(unit.file.value("Timer", "OnUnitActiveSec"))
        target = unit.file.value("Timer", "Unit", unit.name.removesuffix(".timer") + ".service")
        if first is None:
            return

        async def wait() -> None:
            delay: float | None = first
            while delay is not None:
                unit.next_elapse = time.time() + delay
                await asyncio.sleep(delay)
                with contextlib.suppress(KeyError, PermissionError):
                    # What it started goes on where somebody stops the timer.
                    await asyncio.shield(asyncio.ensure_future(self.start(target)))
                delay = again

        unit.task = asyncio.create_task(wait())

    async def stop(self, name: str) -> None:
        """Stop a unit. Raises KeyError when there is no such unit loaded or on disk."""
        name = self.real_name(name)
        unit = self.units.get(name)
        if unit is None:
            if self.file(name) is None:
                raise KeyError(name)
            return
        await self._halt(unit)
        if unit.transient and name.endswith(".timer"):
            # A transient timer takes its service with it when it is collected.
            self.units.pop(name, None)
            service = self.units.get(name.removesuffix(".timer") + ".service")
            if service is not None and service.active == "inactive":
                self.units.pop(service.name, None)

    async def _halt(self, unit: Unit) -> None:
        unit.generation += 1
        was = unit.active
        if unit.task is not None and unit.task is not asyncio.current_task():
            unit.task.cancel()
        unit.task = None
        self._close(unit)
        if unit.process is not None:
            unit.active = "deactivating"
            process, unit.process = unit.process, None
            await _terminate(process)
        if unit.file is not None and unit.file.value("X-Simulator", "Sshd") == "yes":
            await self.host.ssh.stop()
        if was in ("active", "activating", "deactivating"):
            self.log(unit.name, f"Stopped {unit.description or unit.name}.")
            unit.become("inactive", "dead")

    @staticmethod
    def _close(unit: Unit) -> None:
        for server in unit.listening:
            server.close()
        unit.listening.clear()

    async def restart(self, name: str) -> bool:
        """Stop and start; sshd reads its host key again."""
        real = self.real_name(name)
        if self.file(real) is None and real not in self.units:
            raise KeyError(name)
        await self.stop(real)
        unit = self.units.get(real)
        if unit is not None and unit.active == "failed":
            unit.become("inactive", "dead")
        return await self.start(real)

    def down(self) -> None:
        """The host lost power: nothing runs, nothing listens, no timer is armed."""
        for unit in self.units.values():
            self._close(unit)
            if unit.task is not None and unit.task is not asyncio.current_task():
                unit.task.cancel()
        self.units.clear()

    def lines(self, names: Iterable[str] = ()) -> list[Entry]:
        """Journal entries, of some units or all."""
        wanted = set(names)
        return [entry for entry in self.journal if not wanted or entry.unit in wanted]


class Served(Reachable, Protocol):
    """A host that has one."""

    @property
    def services(self) -> ServiceManager: ...


async def _terminate(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, and SIGKILL for what ignores it. The process group is that of the entering command and all below."""
    import os
    import signal

    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            await asyncio.wait_for(process.wait(), patience)
        except TimeoutError:
            continue
        return
