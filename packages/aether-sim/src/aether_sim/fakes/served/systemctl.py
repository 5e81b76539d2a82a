"""systemctl of a simulated host.

Imitates systemd 257's systemctl(1) (https://www.freedesktop.org/software/systemd/man/systemctl.html): verbs, wording
and exit codes of start, stop, restart, reload, is-active, is-failed, is-enabled, enable, disable, mask, status, show,
cat, list-units, list-timers, list-unit-files, daemon-reload, reset-failed, is-system-running, reboot, poweroff.
Refuses what systemd refuses: unknown units, masked units, callers who are not root, enabling on NixOS.
"""

from __future__ import annotations

import asyncio
import time

from aether_sim.fakes.catalogue import words as split_words
from aether_sim.fakes.served import machine
from aether_sim.hosts import units
from aether_sim.hosts.agent import Call, Refused
from aether_sim.hosts.services import Unit

_WITH_VALUE = (
    "-p",
    "--property",
    "-t",
    "--type",
    "--state",
    "-n",
    "--lines",
    "-o",
    "--output",
    "--job-mode",
    "-s",
    "--signal",
    "--when",
)
_CHANGING = split_words(
    "start stop restart try-restart reload reload-or-restart try-reload-or-restart enable disable reenable "
    "mask unmask daemon-reload daemon-reexec reset-failed kill isolate set-default preset"
)


class _Arguments:
    """Options and words of a command line, in any order, as systemctl takes them."""

    def __init__(self, argv: list[str]) -> None:
        self.flags: set[str] = set()
        self.values: dict[str, list[str]] = {}
        self.words: list[str] = []
        rest = iter(argv)
        for word in rest:
            name, eq, value = word.partition("=")
            if name in _WITH_VALUE:
                self.values.setdefault(name, []).extend((value if eq else next(rest, "")).split(","))
            elif word.startswith("--"):
                self.flags.add(word)
            elif word.startswith("-") and len(word) > 1:
                if word[1] in "ptnos" and len(word) > 2:
                    self.values.setdefault(word[:2], []).extend(word[2:].split(","))
                else:
                    self.flags.update(f"-{letter}" for letter in word[1:])
            else:
                self.words.append(word)

    def has(self, *names: str) -> bool:
        """Whether one of the flags was given."""
        return any(name in self.flags for name in names)

    def listed(self, *names: str) -> list[str]:
        """The values given for an option."""
        return [value for name in names for value in self.values.get(name, [])]


async def run(call: Call) -> int:
    """Answer one systemctl command."""
    arguments = _Arguments(call.argv[1:])
    if arguments.has("--version"):
        call.out("systemd 257 (257.9, simulated)")
        return 0
    if arguments.has("--user"):
        raise Refused("Failed to connect to user scope bus via local transport: No medium found")
    verb = arguments.words.pop(0) if arguments.words else "list-units"
    handler = _VERBS.get(verb)
    if handler is None:
        raise Refused(f"Unknown command verb '{verb}'.")
    if verb in _CHANGING and call.uid != 0:
        raise Refused(f"Failed to {verb} {' '.join(arguments.words) or 'units'}: Interactive authentication required.")
    return int(await handler(call, arguments))


def _names(call: Call, arguments: _Arguments) -> list[str]:
    if not arguments.words:
        raise Refused("Too few arguments.")
    import fnmatch

    names: list[str] = []
    for word in arguments.words:
        if any(letter in word for letter in "*?["):
            names += [name for name in call.host.services.units if fnmatch.fnmatch(name, word)]
        else:
            names.append(units.with_suffix(word))
    return names


async def _start_like(call: Call, arguments: _Arguments, verb: str) -> int:
    services = call.host.services
    names = _names(call, arguments)

    async def one(name: str) -> int:  # noqa: PLR0911 - one return an outcome
        try:
            if verb == "stop":
                await services.stop(name)
                return 0
            active = services.is_active(name)
            if verb.startswith("try-") and not active:
                return 0
            if verb == "reload":
                if not services.known(name):
                    raise KeyError(name)
                if not active:
                    call.err(f"{name} is not active, cannot reload.")
                    return 1
                return 0
            done = await (services.start(name) if verb == "start" else services.restart(name))
        except KeyError:
            call.err(f"Failed to {verb} {name}: Unit {name} not {'loaded' if verb == 'stop' else 'found'}.")
            return 5
        except PermissionError:
            call.err(f"Failed to {verb} {name}: Unit {name} is masked.")
            return 1
        unit = services.units.get(services.real_name(name))
        if done or unit is None or unit.active != "failed":
            return 0
        call.err(f"Job for {name} failed because the control process exited with error code.")
        call.err(f'See "systemctl status {name}" and "journalctl -xeu {name}" for details.')
        return 1

    if arguments.has("--no-block"):
        for name in names:
            if verb != "stop" and not services.known(name):
                call.err(f"Failed to {verb} {name}: Unit {name} not found.")
                return 5
        tasks = [asyncio.create_task(one(name)) for name in names]
        call.host.keep(tasks)
        return 0
    return max(await asyncio.gather(*(one(name) for name in names)))


def _starter(verb: str):  # type: ignore[no-untyped-def]
    async def handler(call: Call, arguments: _Arguments) -> int:
        return await _start_like(call, arguments, verb)

    return handler


def _state(call: Call, name: str) -> Unit | None:
    services = call.host.services
    return services.units.get(services.real_name(name))


async def _is_active(call: Call, arguments: _Arguments) -> int:
    code = 3
    for name in _names(call, arguments):
        unit = _state(call, name)
        state = unit.active if unit is not None else "inactive"
        if not arguments.has("-q", "--quiet"):
            call.out(state)
        if state in ("active", "reloading"):
            code = 0
        elif code == 3 and unit is None and not call.host.services.known(name):
            code = 4
    return code


async def _is_failed(call: Call, arguments: _Arguments) -> int:
    if not arguments.words:
        failed = call.host.services.failed()
        if not arguments.has("-q", "--quiet"):
            call.out("degraded" if failed else "running")
        return 0 if failed else 1
    code = 1
    for name in _names(call, arguments):
        unit = _state(call, name)
        state = unit.active if unit is not None else "inactive"
        if not arguments.has("-q", "--quiet"):
            call.out(state)
        if state == "failed":
            code = 0
        elif code == 1 and unit is None and not call.host.services.known(name):
            code = 4
    return code


def _enabled(call: Call, name: str) -> str:  # noqa: PLR0911 - one return a state
    services = call.host.services
    unit = services.units.get(name)
    if unit is not None and unit.transient:
        return "transient"
    found = services.file(name)
    if found is None:
        return "not-found"
    if "masked" in found.sections:
        return "masked"
    if found.name != name:
        return "alias"
    wanted = units.wanted_by(call.host.root)
    if name in wanted:
        return "enabled"
    if found.value("Install", "WantedBy") or found.value("Install", "RequiredBy") or found.value("Install", "Alias"):
        return "disabled"
    return "static"


async def _is_enabled(call: Call, arguments: _Arguments) -> int:
    code = 1
    for name in _names(call, arguments):
        state = _enabled(call, name)
        if state == "not-found":
            call.out("not-found")
            code = 4 if code == 1 else code
            continue
        if not arguments.has("-q", "--quiet"):
            call.out(state)
        if state in ("enabled", "alias", "static", "transient"):
            code = 0
    return code


def _need_writable(call: Call, name: str) -> None:
    if call.host.facts.flavour == "nixos":
        raise Refused(
            f"Failed to enable unit: File '/etc/systemd/system/multi-user.target.wants/{name}' already exists"
            " or is on a read-only file system."
        )


async def _enable(call: Call, arguments: _Arguments) -> int:
    for name in _names(call, arguments):
        found = call.host.services.file(name)
        if found is None:
            raise Refused(f"Failed to enable unit: Unit {name} does not exist")
        if "masked" in found.sections:
            raise Refused(f"Failed to enable unit: Unit {name} is masked")
        _need_writable(call, name)
        for target in found.value("Install", "WantedBy").split():
            link = f"/etc/systemd/system/{target}.wants/{found.name}"
            if call.host.root.readlink(link) is None:
                call.host.root.symlink(found.path, link)
                call.err(f"Created symlink '{link}' → '{found.path}'.")
    return await _start_like(call, arguments, "start") if arguments.has("--now") else 0


async def _disable(call: Call, arguments: _Arguments) -> int:
    root = call.host.root
    for name in _names(call, arguments):
        found = call.host.services.file(name)
        if found is None:
            raise Refused(f"Failed to disable unit: Unit {name} does not exist")
        _need_writable(call, name)
        for directory in root.listdir("/etc/systemd/system"):
            link = f"/etc/systemd/system/{directory}/{found.name}"
            if directory.endswith((".wants", ".requires")) and root.readlink(link) is not None:
                root.unlink(link)
                call.err(f"Removed '{link}'.")
    return await _start_like(call, arguments, "stop") if arguments.has("--now") else 0


async def _mask(call: Call, arguments: _Arguments) -> int:
    for name in _names(call, arguments):
        _need_writable(call, name)
        call.host.root.symlink("/dev/null", f"/etc/systemd/system/{name}")
        call.err(f"Created symlink '/etc/systemd/system/{name}' → '/dev/null'.")
    return await _start_like(call, arguments, "stop") if arguments.has("--now") else 0


async def _unmask(call: Call, arguments: _Arguments) -> int:
    for name in _names(call, arguments):
        if call.host.root.readlink(f"/etc/systemd/system/{name}") == "/dev/null":
            call.host.root.unlink(f"/etc/systemd/system/{name}")
            call.err(f"Removed '/etc/systemd/system/{name}'.")
    return 0


async def _daemon_reload(call: Call, arguments: _Arguments) -> int:
    services = call.host.services
    for unit in services.units.values():
        found = services.file(unit.name)
        if found is not None:
            unit.file, unit.description = found, found.value("Unit", "Description", unit.name)
    await call.host.reconsider_ssh()
    return 0


async def _reset_failed(call: Call, arguments: _Arguments) -> int:
    names = set(_names(call, arguments)) if arguments.words else None
    for unit in call.host.services.failed():
        if names is None or unit.name in names:
            unit.become("inactive", "dead")
            if unit.transient:
                # Nothing holds on to it: systemd forgets it.
                call.host.services.units.pop(unit.name, None)
    return 0


async def _is_system_running(call: Call, arguments: _Arguments) -> int:
    host = call.host
    if arguments.has("--wait"):
        while host.state == "booting":
            await host.changed.wait()
    state = "starting" if host.state != "up" else "degraded" if host.services.failed() else "running"
    if not arguments.has("-q", "--quiet"):
        call.out(state)
    return 0 if state == "running" else 1


def _stamp(when: float) -> str:
    return time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(when)) if when else ""


def _properties(call: Call, name: str) -> dict[str, str]:
    unit, found = _state(call, name), call.host.services.file(name)
    real = unit.name if unit is not None else (found.name if found is not None else name)
    masked = found is not None and "masked" in found.sections
    loaded = "masked" if masked else "loaded" if found is not None or (unit and unit.transient) else "not-found"
    state = _enabled(call, real)
    return {
        "Id": real,
        "Names": real,
        "Description": (unit.description if unit else "") or (found.value("Unit", "Description") if found else "") or real,
        "LoadState": loaded,
        "ActiveState": unit.active if unit else "inactive",
        "SubState": unit.sub if unit else "dead",
        "UnitFileState": "" if state == "not-found" else state,
        "FragmentPath": found.path if found is not None else "",
        "Result": unit.result if unit else "success",
        "ExecMainStatus": str(unit.code if unit else 0),
        "ExecMainCode": "1" if unit and unit.code else "0",
        "MainPID": str(unit.process.pid if unit and unit.process else 0),
        "NRestarts": "0",
        "ActiveEnterTimestamp": _stamp(unit.since) if unit and unit.active == "active" else "",
        "StateChangeTimestamp": _stamp(unit.since) if unit else "",
        "InactiveEnterTimestamp": _stamp(unit.since) if unit and unit.active in ("inactive", "failed") else "",
        "NextElapseUSecRealtime": _stamp(unit.next_elapse or 0) if unit else "",
        "Type": found.value("Service", "Type", "simple") if found else "",
        "CanStart": "yes" if loaded == "loaded" else "no",
        "CanStop": "yes" if loaded == "loaded" else "no",
        "CanReload": "no",
        "NeedDaemonReload": "no",
        "Transient": "yes" if unit and unit.transient else "no",
    }


async def _show(call: Call, arguments: _Arguments) -> int:
    wanted = arguments.listed("-p", "--property")
    names = _names(call, arguments) if arguments.words else []
    if not names:
        manager = {
            "Version": "257",
            "SystemState": "degraded" if call.host.services.failed() else "running",
            "NFailedUnits": str(len(call.host.services.failed())),
            "DefaultTarget": "multi-user.target",
        }
        for key, value in manager.items():
            if not wanted or key in wanted:
                call.out(value if arguments.has("--value") else f"{key}={value}")
        return 0
    for number, name in enumerate(names):
        if number:
            call.out("")
        for key, value in _properties(call, name).items():
            if not wanted or key in wanted:
                call.out(value if arguments.has("--value") else f"{key}={value}")
    return 0


async def _status(call: Call, arguments: _Arguments) -> int:
    if not arguments.words:
        call.out(f"● {call.host.name}\n    State: {'degraded' if call.host.services.failed() else 'running'}")
        return 0
    worst = 0
    for name in _names(call, arguments):
        facts = _properties(call, name)
        if facts["LoadState"] == "not-found":
            call.err(f"Unit {name} could not be found.")
            worst = 4
            continue
        mark = {"active": "●", "failed": "\u00d7"}.get(facts["ActiveState"], "○")
        call.out(f"{mark} {facts['Id']} - {facts['Description']}")
        call.out(f"     Loaded: {facts['LoadState']} ({facts['FragmentPath']}; {facts['UnitFileState']})")
        result = f" (Result: {facts['Result']})" if facts["ActiveState"] == "failed" else f" ({facts['SubState']})"
        call.out(f"     Active: {facts['ActiveState']}{result} since {facts['StateChangeTimestamp']}")
        call.out("")
        for entry in call.host.services.lines([facts["Id"]])[-10:]:
            call.out(f"{_stamp(entry.when)} {call.host.name} {entry.source}[1]: {entry.message}")
        if facts["ActiveState"] != "active":
            worst = max(worst, 3)
    return worst


async def _cat(call: Call, arguments: _Arguments) -> int:
    for name in _names(call, arguments):
        found = call.host.services.file(name)
        if found is None:
            raise Refused(f"No files found for {name}.")
        call.out(f"# {found.path}")
        call.out(call.host.root.read_text(found.path, "").rstrip("\n"))
    return 0


async def _list_units(call: Call, arguments: _Arguments) -> int:
    services = call.host.services
    kinds = arguments.listed("-t", "--type")
    states = arguments.listed("--state") + (["failed"] if arguments.has("--failed") else [])
    patterns = arguments.words
    names = set(services.units)
    if arguments.has("-a", "--all"):
        names |= set(units.list_files(call.host.root))
    rows = []
    import fnmatch

    for name in sorted(names):
        facts = _properties(call, name)
        if kinds and name.rsplit(".", 1)[-1] not in kinds:
            continue
        if patterns and not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            continue
        if states and not {facts["ActiveState"], facts["SubState"], facts["LoadState"]} & set(states):
            continue
        if not states and not arguments.has("-a", "--all") and facts["ActiveState"] == "inactive":
            continue
        rows.append(f"{facts['Id']} {facts['LoadState']} {facts['ActiveState']} {facts['SubState']} {facts['Description']}")
    plain = arguments.has("--plain", "--no-legend", "--legend=false")
    if not arguments.has("--no-legend", "--legend=false"):
        call.out("  UNIT LOAD ACTIVE SUB DESCRIPTION" if not plain else "UNIT LOAD ACTIVE SUB DESCRIPTION")
    for row in rows:
        mark = "" if arguments.has("--plain") else "● " if " failed " in row else "  "
        call.out(mark + row)
    if not arguments.has("--no-legend", "--legend=false"):
        call.out(f"\n{len(rows)} loaded units listed.")
    return 0


async def _list_timers(call: Call, arguments: _Arguments) -> int:
    timers = [unit for unit in call.host.services.units.values() if unit.name.endswith(".timer")]
    if not arguments.has("--no-legend", "--legend=false"):
        call.out("NEXT LEFT LAST PASSED UNIT ACTIVATES")
    for unit in timers:
        left = f"{max(0, round((unit.next_elapse or time.time()) - time.time()))}s left"
        service = unit.name.removesuffix(".timer") + ".service"
        call.out(f"{_stamp(unit.next_elapse or 0) or '-'} {left} - - {unit.name} {service}")
    if not arguments.has("--no-legend", "--legend=false"):
        call.out(f"\n{len(timers)} timers listed.")
    return 0


async def _list_unit_files(call: Call, arguments: _Arguments) -> int:
    kinds = arguments.listed("-t", "--type")
    if not arguments.has("--no-legend", "--legend=false"):
        call.out("UNIT FILE STATE PRESET")
    for name in units.list_files(call.host.root):
        if (not kinds or name.rsplit(".", 1)[-1] in kinds) and (not arguments.words or name in arguments.words):
            call.out(f"{name} {_enabled(call, name)} enabled")
    return 0


async def _kill(call: Call, arguments: _Arguments) -> int:
    import os
    import signal

    for name in _names(call, arguments):
        unit = _state(call, name)
        if unit is None or unit.active not in ("active", "activating"):
            raise Refused(f"Failed to kill unit {name}: Unit {name} not loaded.")
        wanted = (arguments.listed("-s", "--signal") or ["SIGTERM"])[0]
        number = int(wanted) if wanted.isdigit() else signal.Signals["SIG" + wanted.removeprefix("SIG")]
        if unit.process is not None:
            os.killpg(unit.process.pid, number)
    return 0


async def _get_default(call: Call, arguments: _Arguments) -> int:
    call.out("multi-user.target")
    return 0


async def _reboot(call: Call, arguments: _Arguments) -> int:
    return await machine.reboot(call)


async def _poweroff(call: Call, arguments: _Arguments) -> int:
    return await machine.poweroff(call)


_VERBS = {
    **{verb: _starter(verb) for verb in (
        "start", "stop", "restart", "try-restart", "reload", "reload-or-restart", "try-reload-or-restart",
    )},
    "is-active": _is_active,
    "is-failed": _is_failed,
    "is-enabled": _is_enabled,
    "enable": _enable,
    "disable": _disable,
    "mask": _mask,
    "unmask": _unmask,
    "daemon-reload": _daemon_reload,
    "daemon-reexec": _daemon_reload,
    "reset-failed": _reset_failed,
    "is-system-running": _is_system_running,
    "show": _show,
    "status": _status,
    "cat": _cat,
    "list-units": _list_units,
    "list-timers": _list_timers,
    "list-unit-files": _list_unit_files,
    "kill": _kill,
    "get-default": _get_default,
    "reboot": _reboot,
    "poweroff": _poweroff,
}  # fmt: skip
