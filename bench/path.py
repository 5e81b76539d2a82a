"""The longest path of an update: which chain of resources its time is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def step_seconds(events: Iterable[tuple[float, Mapping[str, Any]]]) -> dict[str, float]:
    """Seconds that the engine worked on each resource, by URN; components and the stack do no work of their own."""
    begun: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for moment, event in events:
        for kind in ("resourcePreEvent", "resOutputsEvent", "resOpFailedEvent"):
            metadata = (event.get(kind) or {}).get("metadata") or {}
            token = str(metadata.get("type", ""))
            if not metadata or token == "pulumi:pulumi:Stack" or token.startswith("aether:"):
                continue
            if kind == "resourcePreEvent":
                begun[metadata["urn"]] = moment
            elif metadata["urn"] in begun:
                seconds[metadata["urn"]] = moment - begun[metadata["urn"]]
    return seconds


def first_and_last_step(events: Iterable[tuple[float, Mapping[str, Any]]]) -> tuple[float, float]:
    """When the first step began, and when the last one ended."""
    moments = [moment for moment, event in events if "resourcePreEvent" in event or "resOutputsEvent" in event]
    return min(moments), max(moments)


def needs(state: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """What each resource of a state waits for: dependencies, parent, provider."""
    found: dict[str, set[str]] = {}
    for item in state:
        before = {*(item.get("dependencies") or ()), item.get("parent"), str(item.get("provider") or "").rsplit("::", 1)[0]}
        found[item["urn"]] = {urn for urn in before if urn}
    return found


def longest_path(seconds: Mapping[str, float], before: Mapping[str, set[str]]) -> tuple[float, list[str]]:
    """Length in seconds of the longest chain, and its resources in order. The state lists what is needed first."""
    best: dict[str, tuple[float, str | None]] = {}
    for urn, earlier in before.items():
        last = max((known for known in earlier if known in best), key=lambda known: best[known][0], default=None)
        best[urn] = ((best[last][0] if last else 0.0) + seconds.get(urn, 0.0), last)
    if not best:
        return 0.0, []
    end: str | None = max(best, key=lambda urn: best[urn][0])
    length = best[end][0] if end else 0.0
    chain: list[str] = []
    while end:
        chain.insert(0, end)
        end = best[end][1]
    return length, [urn for urn in chain if urn in seconds]


def shown(urn: str) -> str:
    """The end of a URN: type and name."""
    token, name = urn.split("::")[2:4]
    return f"{token.split('$')[-1].rsplit(':', 1)[1]} {name}"
