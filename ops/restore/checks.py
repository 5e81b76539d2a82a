"""The health checks of a host, asked in a copy of it that has no network."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from components.health.checks import check_lines, check_name
from inventory.models import CommandCheck, Guest, HealthCheck, HttpCheck, UnitCheck
from stacks.live import SCRIPTS, STATUS

BOOT = 300
"""Seconds until a copy must answer."""
PAUSE = 2.0
_OWN = ("localhost", "127.0.0.1", "{address}")


@dataclass(frozen=True)
class Found:
    """What a copy said: its system, checks that hold, those that do not, and those that say nothing without a network (why)."""

    answers: bool = False
    system: str = ""
    generation: str = ""
    held: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    units: tuple[str, ...] = ()
    """Units that have failed."""

    @property
    def good(self) -> bool:
        return self.answers and not self.failed


def beyond(checks: Sequence[HealthCheck], others: Mapping[str, str]) -> dict[str, str]:
    """Checks that ask more than the host itself, and what; OTHERS are the addresses of the other hosts by name."""
    found = {}
    for check in checks:
        if isinstance(check, HttpCheck) and (asked := urlsplit(check.http).hostname or "") not in _OWN:
            found[check_name(check)] = f"asks {asked}"
        if isinstance(check, CommandCheck):
            words = set(check.command.replace("/", " ").replace(":", " ").replace("@", " ").split())
            named = [name for name, address in others.items() if name in words or address in words]
            if named:
                found[check_name(check)] = f"asks {named[0]}"
    return found


def prove(ask: Callable[..., str | None], host: Guest, address: str, others: Mapping[str, str], *, pause: float = PAUSE) -> Found:
    """Ask until everything holds that can, or until its time is over. ASK runs a script in the copy, and gives what it prints."""
    outside = beyond(host.health, others)
    checks = tuple(check for check in host.health if check_name(check) not in outside)
    text = "\n".join((SCRIPTS / name).read_text() for name in (*STATUS, "nixos/scripts/waits.sh"))
    deadline, answered = time.monotonic() + BOOT, False
    found = Found(left_out=outside)
    good_since: float | None = None
    while True:
        said = ask(text, address, check_lines(checks))
        now = time.monotonic()
        if said is not None:
            if not answered:
                answered, deadline = True, now + max((check.timeout for check in checks), default=0)
            found = _read(said, checks, outside)
            good_since = (good_since or now) if found.good else None
            # What crashes right after its start held for a moment.
            if good_since is not None and now - good_since >= host.settle:
                return found
        if now >= deadline and (good_since is None or now >= deadline + host.settle):
            return found
        time.sleep(pause)


def _read(said: str, checks: Sequence[HealthCheck], outside: Mapping[str, str]) -> Found:
    facts, end = json.JSONDecoder().raw_decode(said.strip())
    waits = {unit: rest for line in said.strip()[end:].splitlines() if line.strip() for unit, _, rest in [line.partition(" ")]}
    unhealthy = set(facts.get("unhealthy", ()))
    held, failed, left_out = [], [], dict(outside)
    for check in checks:
        name = check_name(check)
        if name not in unhealthy:
            held.append(name)
        elif isinstance(check, UnitCheck) and check.unit in waits:
            left_out[name] = f"waits for {waits[check.unit]}"
        elif check.warn:
            left_out[name] = "may fail (warn = true)"
        else:
            failed.append(name)
    system = str(facts.get("current", "")).rsplit("/", 1)[-1].partition("-")[2]
    return Found(
        True, system, str(facts.get("generation", "")), tuple(held), tuple(failed), left_out, tuple(facts.get("failed", ()))
    )
