"""systemd-run of a simulated host: transient services and timers that run in the host, whoever is logged in.

Imitates systemd-run(1) of systemd 257: --unit, --on-active, --on-calendar (by the machine's systemd-analyze; refused where there
is none), --description, --wait, --collect, --property, --setenv, --working-directory, --uid, --quiet. Refused: --pipe, --pty,
--scope, and a unit name that is in use, as systemd refuses it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
from datetime import UTC, datetime

from aether_sim.fakes.host.simlib import options
from aether_sim.hosts import units
from aether_sim.hosts.agent import Refused
from aether_sim.hosts.host import Call

_VALUED = (
    "--unit/-u --on-active --on-calendar --description --property/-p --setenv/-E --working-directory --uid "
    "--timer-property --service-type"
)


async def run(call: Call) -> int:
    """Start a transient unit, or the timer that starts it."""
    if call.uid != 0:
        raise Refused("Failed to start transient service unit: Interactive authentication required.")
    given, words = options(call.argv[1:], _VALUED, first=True)
    if refused := {"--pipe", "-P", "--pty", "-t", "--scope", "--user"} & set(given):
        raise Refused(f"systemd-run: {min(refused)} is not simulated")
    if not words:
        raise Refused("Command line to execute required.")
    services, say = call.host.services, (lambda text: None) if {"--quiet", "-q"} & set(given) else call.err
    name = given.get("--unit", [f"run-r{secrets.token_hex(16)}"])[-1].removesuffix(".service").removesuffix(".timer")
    description = given.get("--description", [" ".join(words)])[-1]
    timer = "--on-active" in given or "--on-calendar" in given
    for suffix in (".timer", ".service") if timer else (".service",):
        unit = services.units.get(name + suffix)
        if (unit is not None and unit.active in ("active", "activating", "failed")) or services.file(name + suffix) is not None:
            kind = "timer" if timer else "service"
            raise Refused(
                f"Failed to start transient {kind} unit: Unit {name}{suffix} was already loaded or has a fragment file."
            )
    file = _unit_file(name, words, given)
    if timer:
        span = units.seconds(given["--on-active"][-1]) if "--on-active" in given else await _until(given["--on-calendar"][-1])
        if span is None:
            raise Refused(f"Failed to parse timer value: {given['--on-active'][-1]}")
        services.arm(name, span, file, description)
        say(f"Running timer as unit: {name}.timer\nWill run service as unit: {name}.service")
        return 0
    unit = services.unit(f"{name}.service")
    unit.description = description
    say(f"Running as unit: {name}.service")
    task = asyncio.create_task(services.run_transient(unit, file))
    call.host.keep([task])
    if "--wait" not in given:
        return 0
    code = await asyncio.shield(task)
    say(f"Finished with result: {'exit-code' if code else 'success'}")
    if "--collect" in given:
        services.units.pop(unit.name, None)
    return code


async def _until(calendar: str) -> float:
    """Seconds until a calendar event elapses."""
    command = ("systemd-analyze", "calendar", "--iterations=1", calendar)
    try:
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    except FileNotFoundError:
        raise Refused("systemd-run: --on-calendar is not simulated on a machine without systemd-analyze") from None
    found = re.search(r"(?:Next elapse|\(in UTC\)): \w+ ([\d-]+ [\d:]+) UTC", (await child.communicate())[0].decode())
    if not found:
        raise Refused(f"Failed to parse calendar event specification: {calendar}")
    moment = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return max(1.0, (moment - datetime.now(UTC)).total_seconds())


def _unit_file(name: str, words: list[str], given: dict[str, list[str]]) -> units.UnitFile:
    service = [("ExecStart", shlex.join(words if words[0].startswith("/") else ["/usr/bin/env", *words]))]
    service += [("Environment", shlex.quote(pair)) for pair in given.get("--setenv", [])]
    service += [("WorkingDirectory", where) for where in given.get("--working-directory", [])]
    service += [("User", user) for user in given.get("--uid", [])]
    service += [tuple(each.split("=", 1)) for each in given.get("--property", [])]  # type: ignore[misc]  # two of each
    return units.UnitFile(f"{name}.service", "", {"Service": service})
