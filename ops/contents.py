"""What changes inside a host: its command's standard input says what is in its system, or what its playbook is made of."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.contents import DIGITS, from_lines
from components.requests import host_of

MOST = 40
"""Lines that one host is given: a new nixpkgs changes hundreds of packages."""

_DIGEST = re.compile(rf"[0-9a-f]{{8}}|[0-9a-f]{{{DIGITS}}}")


def content_differences(steps: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Text by host, for each host of STEPS (of `pulumi preview --json`) that is told to become something else."""
    found: dict[str, list[str]] = {}
    for step in steps:
        before, after = (_content(step.get(state)) for state in ("oldState", "newState"))
        if before and after and (lines := list(differences(before, after))):
            name = host_of(step["newState"]) or step["urn"].rsplit("::", 1)[1]
            found.setdefault(name, []).extend(lines)
    return {
        host: "\n".join([*lines[:MOST], *([f"… and {len(lines) - MOST} more"] if len(lines) > MOST else [])])
        for host, lines in found.items()
    }


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """A line for each fact that is new (``+``), gone (``-``) or another one (``~``): its names, and what it was and is.

    Of a digest nobody wants to read more than what it is of.
    """
    for names in sorted({*before, *after}):
        values = [facts[names] for facts in (before, after) if names in facts]
        if len(values) == 2 and values[0] == values[1]:
            continue
        sign = "~" if len(values) == 2 else "+" if names in after else "-"
        shown = "" if all(_DIGEST.fullmatch(value) for value in values) else " → ".join(values)
        yield f"{sign} {names} {shown}".rstrip()


def _content(state: dict[str, Any] | None) -> dict[str, str]:
    """What a command was given to read; empty for another resource, and where it is not known yet."""
    given = ((state or {}).get("inputs") or {}).get("stdin")
    return from_lines(given) if isinstance(given, str) else {}
