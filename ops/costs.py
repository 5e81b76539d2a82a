"""What a change of AWS resources costs: a table for the review, from the price list that is kept in ops/prices.toml."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

LIST = Path(__file__).with_name("prices.toml")
LEFT_OUT = "traffic, snapshots, requests, taxes and what is stopped at night are left out"


@dataclass(frozen=True)
class Prices:
    """List prices in US dollars."""

    day: date
    hours: float
    """Of a month."""
    everywhere: Mapping[str, float]
    regions: Mapping[str, Mapping[str, Mapping[str, float]]]

    def instance(self, region: str, kind: str) -> float | None:
        """A machine of KIND, a month; None: not known."""
        hour = self.regions.get(region, {}).get("instances", {}).get(kind)
        return None if hour is None else hour * self.hours

    def volume(self, region: str, kind: str, size: float) -> float | None:
        """A disk of KIND and SIZE (GiB), a month; None: not known."""
        each = self.regions.get(region, {}).get("volumes", {}).get(kind)
        return None if each is None else each * size

    @property
    def address(self) -> float:
        """A public IPv4 address, a month."""
        return self.everywhere["address"] * self.hours

    @property
    def zone(self) -> float:
        """A hosted zone, a month."""
        return self.everywhere["zone"]


def prices(path: Path = LIST) -> Prices:
    """The price list at PATH."""
    said = tomllib.loads(path.read_text())
    return Prices(said["date"], float(said["hours"]), said["global"], said["regions"])


@dataclass(frozen=True)
class Item:
    """One thing that is paid for: what it is, and US dollars a month (None: not known)."""

    what: str
    month: float | None


NOTHING = Item("", 0.0)


def cost_table(steps: Iterable[dict[str, Any]], region: str, known: Prices) -> list[str]:
    """Lines of Markdown: what the STEPS of a preview change in what a month costs in REGION; none where they change nothing."""
    rows: list[tuple[str, str, float | None]] = []
    for name, old, new in _changes(steps):
        for before, after in zip(_items(old, region, known), _items(new, region, known), strict=True):
            if before == after:
                continue
            what = " -> ".join(dict.fromkeys(item.what for item in (before, after) if item.what))
            how = "" if before.what and after.what else " (new)" if after.what else " (goes)"
            unknown = before.month is None or after.month is None
            difference = None if unknown else (after.month or 0) - (before.month or 0)
            rows.append((name, what + how, difference))
    if not rows:
        return []
    sums = [difference for _, _, difference in rows if difference is not None]
    lines = ["### Cost", "", "| | what | US dollars a month |", "|---|---|---:|"]
    lines += [f"| {name} | {what} | {_money(difference)} |" for name, what, difference in rows]
    open_end = " and what is unknown" if len(sums) < len(rows) else ""
    lines += [f"| **together** | | **{_money(sum(sums))}{open_end}** |", ""]
    lines += [f"List prices of {region} of {known.day.isoformat()} (`ops/prices.toml` says how to renew them); {LEFT_OUT}.", ""]
    return lines


def _money(difference: float | None) -> str:
    return "unknown" if difference is None else f"{difference:+.2f}"


def _changes(steps: Iterable[dict[str, Any]]) -> list[tuple[str, dict[str, Any] | None, dict[str, Any] | None]]:
    """Name, old and new state of each AWS resource that a step changes; a replacement, which is several steps, is one change."""
    old: dict[str, dict[str, Any]] = {}
    new: dict[str, dict[str, Any]] = {}
    for step in steps:
        # What is imported, or let go of, is paid for before and after.
        if step["op"] in ("same", "read", "refresh", "import", "read-replacement", "discard-replaced"):
            continue
        urn: str = step["urn"]
        if not _kind(urn).startswith("aws:"):
            continue
        if step.get("oldState"):
            old.setdefault(urn, step["oldState"])
        if step.get("newState") and step["op"] not in ("delete", "delete-replaced"):
            new[urn] = step["newState"]
    return [(urn.rsplit("::", 1)[1], old.get(urn), new.get(urn)) for urn in dict.fromkeys([*old, *new])]


def _kind(urn: str) -> str:
    return urn.split("::")[2].rsplit("$", 1)[-1]


def _items(state: dict[str, Any] | None, region: str, known: Prices) -> tuple[Item, Item]:
    """What is paid for a resource: itself, and the disk that a machine comes with."""
    if state is None:
        return NOTHING, NOTHING
    inputs: dict[str, Any] = state.get("inputs") or {}
    match _kind(state["urn"]) if "urn" in state else state.get("type", ""):
        case "aws:ec2/instance:Instance":
            size = str(inputs.get("instanceType", ""))
            return Item(f"`{size}`", known.instance(region, size)), _disk(
                inputs.get("rootBlockDevice") or {}, "volume", region, known
            )
        case "aws:ebs/volume:Volume":
            return _disk(inputs, "", region, known), NOTHING
        case "aws:ec2/eip:Eip":
            return Item("public IPv4 address", known.address), NOTHING
        case "aws:route53/zone:Zone":
            return Item("hosted zone", known.zone), NOTHING
    return NOTHING, NOTHING


def _disk(inputs: Mapping[str, Any], before: str, region: str, known: Prices) -> Item:
    """A disk by its inputs, whose names begin with BEFORE."""
    size, kind = (inputs.get(f"{before}{name.capitalize()}" if before else name) for name in ("size", "type"))
    if not isinstance(size, int | float):
        return Item("disk", None) if size is not None else NOTHING
    return Item(f"disk of {size:g} GiB ({kind})", known.volume(region, str(kind), size))
