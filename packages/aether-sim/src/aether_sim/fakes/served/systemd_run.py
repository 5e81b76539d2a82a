"""systemd-run of a simulated host: transient services and timers that run in the host, whoever is logged in.

Imitates systemd-run(1) of systemd 257: --unit, --on-active, --description, --wait, --collect, --property, --setenv,
--working-directory, --uid, --quiet, --no-block, --service-type, --remain-after-exit, --timer-property, --on-calendar (by the
machine's systemd-analyze; refused where there is none). Refused: --pipe, --pty,
and a unit name that is in use, as systemd refuses it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
from datetime import UTC, datetime

from aether_sim.fakes.catalogue import words as split_words
from aether_sim.hosts import units
from aether_sim.hosts.agent import Call, Refused

_VALUED = split_words(
    "--unit -u --on-active --on-calendar --description --property -p --setenv -E --working-directory --uid --gid "
    "--service-type --slice --timer-property --on-boot --on-startup --on-unit-active --nice"
)
_REFUSED = ("--pipe", "-P", "--pty", "-t", "--scope", "--user", "--on-clock-change")


async def run(call: Call) -> int:  # noqa: PLR0912, PLR0915 - one branch an option
    """Start a transient unit, or the timer that starts it."""
    if call.uid != 0:
        raise Refused("Failed to start transient service unit: Interactive authentication required.")
    values: dict[str, list[str]] = {}
    flags: set[str] = set()
    words = call.argv[1:]
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "--":
            break
        name, eq, value = word.partition("=")
        if name in _REFUSED:
            raise Refused(f"systemd-run: {name} is not simulated")
        if name in _VALUED:
            values.setdefault(name, []).append(value if eq else words.pop(0) if words else "")
        elif word[:2] in ("-p", "-u", "-E") and len(word) > 2:
            values.setdefault(word[:2], []).append(word[2:])
        else:
            flags.add(word)
    if not words:
        raise Refused("Command line to execute required.")
    given = (values.get("--unit", []) + values.get("-u", []) + [""])[0]
    name = given.removesuffix(".service").removesuffix(".timer") or f"run-r{secrets.token_hex(16)}"
    description = (values.get("--description") or [" ".join(words)])[-1]
    file = _unit_file(call, name, words, values)
    services = call.host.services
    delay_text = (values.get("--on-active") or values.get("--on-boot") or [""])[-1]
    if "--on-calendar" in values:
        delay_text = await _until(values["--on-calendar"][-1])
    _refuse_taken(call, name, delay_text != "")
    if delay_text != "":
        delay = units.seconds(delay_text)
        if delay is None:
            raise Refused(f"Failed to parse timer value: {delay_text}")
        services.arm(name, delay, file, description)
        if "--quiet" not in flags and "-q" not in flags:
            call.err(f"Running timer as unit: {name}.timer")
            call.err(f"Will run service as unit: {name}.service")
        return 0
    unit = services.unit(f"{name}.service")
    unit.description = description
    if "--quiet" not in flags and "-q" not in flags:
        call.err(f"Running as unit: {name}.service")
    task = asyncio.create_task(services.run_transient(unit, file))
    call.host.keep([task])
    if "--wait" not in flags:
        return 0
    code = await asyncio.shield(task)
    if "--quiet" not in flags and "-q" not in flags:
        call.err(f"Finished with result: {'success' if code == 0 else 'exit-code'}")
        call.err(f"Main processes terminated with: code=exited, status={code}")
    if "--collect" in flags or "-G" in flags:
        services.units.pop(unit.name, None)
    return code


async def _until(calendar: str) -> str:
    """Seconds until a calendar event elapses, as --on-active takes them."""
    command = ("systemd-analyze", "calendar", "--iterations=1", calendar)
    try:
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    except FileNotFoundError:
        raise Refused("systemd-run: --on-calendar is not simulated on a machine without systemd-analyze") from None
    out, _ = await child.communicate()
    found = re.search(r"Next elapse: \w+ (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", out.decode()) or re.search(
        r"\(in UTC\): \w+ (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", out.decode()
    )
    if child.returncode or not found:
        raise Refused(f"Failed to parse calendar event specification: {calendar}")
    moment = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return f"{max(1, int((moment - datetime.now(UTC)).total_seconds()))}s"


def _refuse_taken(call: Call, name: str, timer: bool) -> None:
    services = call.host.services
    for suffix in ((".timer",) if timer else ()) + (".service",):
        unit = services.units.get(name + suffix)
        busy = unit is not None and unit.active in ("active", "activating", "failed")
        if busy or services.file(name + suffix) is not None:
            kind = "timer" if timer else "service"
            raise Refused(
                f"Failed to start transient {kind} unit: Unit {name}{suffix} was already loaded or has a fragment file."
            )


def _unit_file(call: Call, name: str, words: list[str], values: dict[str, list[str]]) -> units.UnitFile:
    command = words if words[0].startswith("/") else ["/usr/bin/env", *words]
    service = [("ExecStart", shlex.join(command))]
    for pair in values.get("--setenv", []) + values.get("-E", []):
        service.append(("Environment", shlex.quote(pair)))
    for where in values.get("--working-directory", []):
        service.append(("WorkingDirectory", where))
    for user in values.get("--uid", []):
        service.append(("User", user))
    for assignment in values.get("--property", []) + values.get("-p", []):
        key, _, value = assignment.partition("=")
        service.append((key, value))
    return units.UnitFile(f"{name}.service", "", {"Service": service})
