"""systemctl of a simulated host.

Imitates systemd 257's systemctl(1) (https://www.freedesktop.org/software/systemd/man/systemctl.html): verbs, wording
and exit codes of start, stop, restart, reload, is-active, is-failed, is-enabled, enable, disable, mask, unmask, status, show,
list-units, list-timers, daemon-reload, reset-failed, is-system-running, reboot, poweroff.
Refuses what systemd refuses: unknown units, masked units, callers who are not root, enabling on NixOS.
"""

from __future__ import annotations

import asyncio
import fnmatch
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aether_sim.fakes.host.simlib import options
from aether_sim.fakes.served import machine
from aether_sim.hosts import units
from aether_sim.hosts.agent import Refused
from aether_sim.hosts.host import Call
from aether_sim.hosts.services import Unit
from aether_sim.hosts.units import UnitFile

_VALUED = "--property/-p --type/-t --state --lines/-n --output/-o"
_ETC = "/etc/systemd/system"


@dataclass
class Question:
    """One command line, taken apart."""

    call: Call
    verb: str
    options: dict[str, list[str]]
    words: list[str]

    def has(self, *names: str) -> bool:
        """Whether one of the options was given."""
        return any(name in self.options for name in names)

    def values(self, name: str) -> list[str]:
        """Those of an option, which may be lists with commas."""
        return ",".join(self.options.get(name, [])).split(",") if name in self.options else []

    def units(self) -> list[str]:
        """The units that are meant. Raises Refused without any."""
        if not self.words:
            raise Refused("Too few arguments.")
        return [units.with_suffix(word) for word in self.words]

    def say(self, text: str) -> None:
        """Print what --quiet leaves out."""
        if not self.has("--quiet", "-q"):
            self.call.out(text)

    def state(self, name: str) -> Unit | None:
        """What runs of a unit."""
        services = self.call.host.services
        return services.units.get(services.real_name(name))


async def run(call: Call) -> int:
    """Answer one systemctl command."""
    given, words = options(call.argv[1:], _VALUED)
    question = Question(call, words[0] if words else "list-units", given, words[1:])
    if question.has("--user"):
        raise Refused("Failed to connect to user scope bus via local transport: No medium found")
    if question.verb not in _VERBS:
        raise Refused(f"Unknown command verb '{question.verb}'.")
    answer, changes = _VERBS[question.verb]
    if changes and call.uid != 0:
        raise Refused(f"Failed to {question.verb} {' '.join(question.words) or 'units'}: Interactive authentication required.")
    return await answer(question)


async def _change(question: Question) -> int:
    return max(await asyncio.gather(*(_change_one(question, name) for name in question.units())))


async def _change_one(question: Question, name: str) -> int:  # noqa: PLR0911 - one return an outcome
    services, call, verb = question.call.host.services, question.call, question.verb
    try:
        if verb == "stop":
            await services.stop(name)
            return 0
        if verb == "reload":
            if not services.known(name):
                raise KeyError(name)
            if services.is_active(name):
                return 0
            call.err(f"{name} is not active, cannot reload.")
            return 1
        done = await (services.start(name) if verb == "start" else services.restart(name))
    except KeyError:
        call.err(f"Failed to {verb} {name}: Unit {name} not {'loaded' if verb == 'stop' else 'found'}.")
        return 5
    except PermissionError:
        call.err(f"Failed to {verb} {name}: Unit {name} is masked.")
        return 1
    unit = question.state(name)
    if done or unit is None or unit.active != "failed":
        return 0
    call.err(f"Job for {name} failed because the control process exited with error code.")
    call.err(f'See "systemctl status {name}" and "journalctl -xeu {name}" for details.')
    return 1


async def _is(question: Question) -> int:
    """is-active, is-failed: 0 where one of them is, 4 where nobody knows it, else 3 and 1."""
    good, code = (("active", "reloading"), 3) if question.verb == "is-active" else (("failed",), 1)
    codes = []
    for name in question.units():
        unit = question.state(name)
        state = unit.active if unit is not None else "inactive"
        question.say(state)
        lost = unit is None and not question.call.host.services.known(name)
        codes.append(0 if state in good else 4 if lost else code)
    return 0 if 0 in codes else codes[0]


def _enabled(call: Call, name: str) -> str:
    unit, found = call.host.services.units.get(name), call.host.services.file(name)
    if unit is not None and unit.transient:
        return "transient"
    if found is None:
        return "not-found"
    if "masked" in found.sections:
        return "masked"
    if found.name != name:
        return "alias"
    if name in units.wanted_by(call.host.root):
        return "enabled"
    return "disabled" if any(found.value("Install", key) for key in ("WantedBy", "RequiredBy", "Alias")) else "static"


async def _is_enabled(question: Question) -> int:
    codes = []
    for name in question.units():
        state = _enabled(question.call, name)
        (question.call.out if state == "not-found" else question.say)(state)
        codes.append({"not-found": 4, "disabled": 1, "masked": 1}.get(state, 0))
    return 0 if 0 in codes else codes[0]


async def _install(question: Question) -> int:
    """enable, disable, mask, unmask: links in /etc; --now starts or stops."""
    call, verb, root = question.call, question.verb, question.call.host.root
    for name in question.units():
        found = call.host.services.file(name)
        if verb in ("enable", "disable") and found is None:
            raise Refused(f"Failed to {verb} unit: Unit {name} does not exist")
        if call.host.facts.flavour == "nixos":
            raise Refused(f"Failed to {verb} unit: File '{_ETC}/{name}' already exists or is on a read-only file system.")
        if verb == "enable":
            assert found is not None
            if "masked" in found.sections:
                raise Refused(f"Failed to enable unit: Unit {name} is masked")
            links = {f"{_ETC}/{target}.wants/{found.name}": found.path for target in found.value("Install", "WantedBy").split()}
        else:
            links = {f"{_ETC}/{name}": "/dev/null"}
        for link, target in links.items() if verb in ("enable", "mask") else ():
            if root.readlink(link) is None:
                root.symlink(target, link)
                call.err(f"Created symlink '{link}' → '{target}'.")
        real = found.name if found is not None else name
        wants = [f"{_ETC}/{folder}/{real}" for folder in root.listdir(_ETC) if folder.endswith(".wants")]
        for link in wants if verb == "disable" else links if verb == "unmask" else ():
            if root.readlink(link) is not None:
                root.unlink(link)
                call.err(f"Removed '{link}'.")
    if not question.has("--now"):
        return 0
    question.verb = "start" if verb == "enable" else "stop"
    return await _change(question)


async def _daemon_reload(question: Question) -> int:
    services = question.call.host.services
    for unit in services.units.values():
        found = services.file(unit.name)
        if found is not None:
            unit.file, unit.description = found, found.value("Unit", "Description", unit.name)
    await question.call.host.reconsider_ssh()
    return 0


async def _reset_failed(question: Question) -> int:
    services = question.call.host.services
    for unit in services.failed():
        if not question.words or unit.name in question.units():
            unit.become("inactive", "dead")
            if unit.transient:
                # Nothing holds on to it: systemd forgets it.
                services.units.pop(unit.name, None)
    return 0


async def _is_system_running(question: Question) -> int:
    host = question.call.host
    state = "starting" if host.state != "up" else "degraded" if host.services.failed() else "running"
    question.say(state)
    return 0 if state == "running" else 1


def _stamp(when: float | None) -> str:
    return time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(when)) if when else ""


def _properties(question: Question, name: str) -> dict[str, str]:
    call = question.call
    found = call.host.services.file(name) or UnitFile(name, "", {})
    unit = question.state(name) or Unit(found.name)
    known = bool(found.path) or unit.transient
    state = _enabled(call, unit.name)
    return {
        "Id": unit.name,
        "Description": unit.description or found.value("Unit", "Description") or unit.name,
        "LoadState": "masked" if "masked" in found.sections else "loaded" if known else "not-found",
        "ActiveState": unit.active,
        "SubState": unit.sub,
        "UnitFileState": state if known else "",
        "FragmentPath": found.path,
        "Result": unit.result,
        "ExecMainStatus": str(unit.code),
        "MainPID": str(unit.process.pid if unit.process else 0),
        "ActiveEnterTimestamp": _stamp(unit.since) if unit.active == "active" else "",
        "StateChangeTimestamp": _stamp(unit.since),
        "NextElapseUSecRealtime": _stamp(unit.next_elapse),
    }


async def _show(question: Question) -> int:
    wanted = question.values("--property")
    # Of the manager itself nothing is kept: what it says of a boot's times is left out, as a container's does.
    for name in question.units() if question.words else ():
        for key, value in _properties(question, name).items():
            if not wanted or key in wanted:
                question.call.out(value if question.has("--value") else f"{key}={value}")
    return 0


async def _status(question: Question) -> int:
    worst, call = 0, question.call
    for name in question.units():
        facts = _properties(question, name)
        if facts["LoadState"] == "not-found":
            call.err(f"Unit {name} could not be found.")
            worst = 4
            continue
        mark = {"active": "●", "failed": "\u00d7"}.get(facts["ActiveState"], "○")
        result = f"Result: {facts['Result']}" if facts["ActiveState"] == "failed" else facts["SubState"]
        call.out(f"{mark} {facts['Id']} - {facts['Description']}")
        call.out(f"     Loaded: {facts['LoadState']} ({facts['FragmentPath']}; {facts['UnitFileState']})")
        call.out(f"     Active: {facts['ActiveState']} ({result}) since {facts['StateChangeTimestamp']}\n")
        for entry in call.host.services.lines([facts["Id"]])[-10:]:
            call.out(f"{_stamp(entry.when)} {call.host.name} {entry.source}[1]: {entry.message}")
        worst = max(worst, 0 if facts["ActiveState"] == "active" else 3)
    return worst


async def _list_units(question: Question) -> int:
    services, kinds = question.call.host.services, question.values("--type")
    states = {*question.values("--state"), *(["failed"] if question.has("--failed") else [])}
    rows = []
    for name in sorted(services.units):
        facts = _properties(question, name)
        if (
            (not kinds or name.rpartition(".")[2] in kinds)
            and (not question.words or any(fnmatch.fnmatch(name, pattern) for pattern in question.words))
            and (not states or states & {facts["ActiveState"], facts["SubState"], facts["LoadState"]})
            and (states or question.has("--all", "-a") or facts["ActiveState"] != "inactive")
        ):
            mark = "" if question.has("--plain") else "● " if facts["ActiveState"] == "failed" else "  "
            rows.append(mark + " ".join(facts[key] for key in ("Id", "LoadState", "ActiveState", "SubState", "Description")))
    return _table(question, "UNIT LOAD ACTIVE SUB DESCRIPTION", rows, "loaded units")


async def _list_timers(question: Question) -> int:
    rows = []
    for unit in question.call.host.services.units.values():
        if unit.name.endswith(".timer"):
            left = round(max(0, (unit.next_elapse or 0) - time.time()))
            rows.append(f"{_stamp(unit.next_elapse) or '-'} {left}s left - - {unit.name} {unit.name[:-6]}.service")
    return _table(question, "NEXT LEFT LAST PASSED UNIT ACTIVATES", rows, "timers")


def _table(question: Question, head: str, rows: list[str], what: str) -> int:
    legend = not question.has("--no-legend", "--legend=false")
    for line in [*([head] if legend else []), *rows, *([f"\n{len(rows)} {what} listed."] if legend else [])]:
        question.call.out(line)
    return 0


async def _power(question: Question) -> int:
    return await machine.power(question.call, question.verb)


# Verb -> what answers it, and whether it is root's.
_VERBS: dict[str, tuple[Callable[[Question], Awaitable[int]], bool]] = {
    **dict.fromkeys(("start", "stop", "restart", "reload"), (_change, True)),
    **dict.fromkeys(("enable", "disable", "mask", "unmask"), (_install, True)),
    **dict.fromkeys(("is-active", "is-failed"), (_is, False)),
    **dict.fromkeys(("reboot", "poweroff"), (_power, False)),
    "daemon-reload": (_daemon_reload, True),
    "reset-failed": (_reset_failed, True),
    "is-enabled": (_is_enabled, False),
    "is-system-running": (_is_system_running, False),
    "show": (_show, False),
    "status": (_status, False),
    "list-units": (_list_units, False),
    "list-timers": (_list_timers, False),
}
