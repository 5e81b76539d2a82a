"""Whom each host waits for before it is configured, and what a change makes of that."""

from collections.abc import Iterable, Mapping
from typing import Any

from components.requests import DeployRequest, PlaybookRequest, RebaseRequest, State, host_of

_CONFIGURE = (DeployRequest, RebaseRequest, PlaybookRequest)


def order_changes(steps: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line of Markdown for each host that waits for others than before, by the dependencies in STEPS of `pulumi preview --json`
    (with ``--show-sames``: a host that waits for another one is not changed by that).
    """
    known = list(steps)
    hosts = {step["urn"]: host for step in known for state in ("oldState", "newState") if (host := _configured(step.get(state)))}
    before, after = (_waits(known, state, hosts) for state in ("oldState", "newState"))
    lines = []
    for host in sorted(before.keys() & after.keys()):
        more, less = sorted(after[host] - before[host]), sorted(before[host] - after[host])
        said = [f"for {_listed(more)} from now on"] if more else []
        said += [f"no longer for {_listed(less)}"] if less else []
        if said:
            lines.append(f"`{host}` waits {', and '.join(said)}")
    return lines


def _waits(steps: Iterable[Mapping[str, Any]], state: str, hosts: Mapping[str, str]) -> dict[str, set[str]]:
    """The other hosts that each one waits for in a STATE of its own; without those that the state does not have."""
    found: dict[str, set[str]] = {}
    for step in steps:
        there = step.get(state)
        if there and step["urn"] in hosts:
            host = hosts[step["urn"]]
            others = {hosts[urn] for urn in there.get("dependencies") or () if urn in hosts}
            found.setdefault(host, set()).update(others - {host})
    return found


def _configured(state: State) -> str:
    """The host whose configuration a command is; empty for another resource."""
    return host_of(state) if any(kind.fields_of(state) for kind in _CONFIGURE) else ""


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
