"""TOML text to models, entry by entry, so that one bad entry does not hide what is wrong with the others."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from inventory import overlay
from inventory.building import Builder, Cache
from inventory.models import Cloud, Deployers, Host, ImageBuild, Network, Node, Overlay, PolicyFacts, Rollout, Service, Site
from inventory.problems import HEADER, Lines, Problem, did_you_mean, one_of
from inventory.proxmox import Availability, Backup, Zone
from inventory.types import LEAST_MEMORY, HostName
from inventory.validation_messages import explain, without_echoes

_TABLES: dict[str, TypeAdapter[Any]] = {
    "networks": TypeAdapter(Network),
    "nodes": TypeAdapter(Node),
    "hosts": TypeAdapter(Host),
    "services": TypeAdapter(Service),
    "zones": TypeAdapter(Zone),
    "backups": TypeAdapter(Backup),
    "availability": TypeAdapter(Availability),
    "builders": TypeAdapter(Builder),
    "policies": TypeAdapter(PolicyFacts),
    "deployers": TypeAdapter(Deployers),
}
_SINGLES: dict[str, TypeAdapter[Any]] = {
    "site": TypeAdapter(Site),
    "rollout": TypeAdapter(Rollout),
    "cache": TypeAdapter(Cache),
    "cloud": TypeAdapter(Cloud),
    "image": TypeAdapter(ImageBuild),
}
_NAME: TypeAdapter[str] = TypeAdapter(HostName)
# Left out, these would make other rules report what is not so.
_RELATIONS = {"kind", "network", "node", "address"}

# Stand in for required fields that did not parse: no rule objects to them.
_NEUTRAL: dict[str, dict[str, Any]] = {
    "hosts": {"memory": LEAST_MEMORY, "cpu": 1, "disks": [{"size": 1}]},
    "nodes": {"memory": 1 << 30, "cpu": 1 << 16},
}


@dataclass
class Draft:
    """One file as far as it could be read: what parsed, which names are written, what is wrong so far."""

    file: str
    lines: Lines
    raw: dict[str, Any]
    site: Site | None = None
    rollout: Rollout = field(default_factory=Rollout)
    cache: Cache | None = None
    cloud: Cloud | None = None
    image: ImageBuild | None = None
    networks: dict[str, Network] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    zones: dict[str, Zone] = field(default_factory=dict)
    backups: dict[str, Backup] = field(default_factory=dict)
    availability: dict[str, Availability] = field(default_factory=dict)
    builders: dict[str, Builder] = field(default_factory=dict)
    policies: dict[str, PolicyFacts] = field(default_factory=dict)
    deployers: dict[str, Deployers] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    damaged: dict[str, set[str]] = field(default_factory=dict)
    """Fields that did not parse, by table: what depends on them is not judged."""
    base: Path | None = None
    """The file that this one is an overlay of."""
    inherited: set[str] = field(default_factory=set)
    """Tables of an overlay that are the base's own thing, like ``nodes.oracle``: no second one of them is meant."""
    written: dict[str, str] = field(default_factory=dict)
    """Where an overlay writes what a host has otherwise: ``hosts.staging-gateway`` under ``hosts.gateway``."""

    def names(self, table: str) -> set[str]:
        """Every name written in TABLE, also of entries that did not parse."""
        entries = self.raw.get(table)
        return set(entries) if isinstance(entries, dict) else set()

    def report(self, code: str, where: str, at: str, message: str, fix: str) -> None:
        """Add a problem with field AT of table WHERE."""
        line = self.lines.find(self.written.get(where, where), at)
        self.problems.append(Problem(self.file, where, at, message, fix, code, line))


def parse(path: Path) -> Draft:
    """Read PATH; ``problems`` of the result holds what does not fit the models."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        draft = Draft(str(path), Lines(""), {})
        draft.report("no-file", "file", "", "does not exist", "name an inventory file, like inventory/homelab.toml")
        return draft
    except (OSError, UnicodeDecodeError) as error:
        draft = Draft(str(path), Lines(""), {})
        draft.report("no-file", "file", "", f"cannot be read: {error}", "make it a readable UTF-8 text file")
        return draft
    draft = Draft(str(path), Lines(text), {})
    try:
        draft.raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        draft.raw = _block_by_block(draft, text)
    if "base" in draft.raw:
        _lay_over(draft, path)
    _tables(draft)
    return draft


def _lay_over(draft: Draft, path: Path) -> None:
    """Put the base's facts under what an overlay file says."""
    said, draft.base = draft.raw, overlay.base_of(path, draft.raw)
    draft.raw = {key: value for key, value in said.items() if key not in ("base", "overlay")}
    if "overlay" in said and _entry(draft, "overlay", "overlay", said["overlay"], TypeAdapter(Overlay)) is None:
        return
    try:
        base = tomllib.loads((draft.base or Path()).read_text(encoding="utf-8"))
        if "base" in base:
            raise ValueError("is an overlay itself")
    except (OSError, ValueError) as error:
        message = f"{said['base']}: {error.strerror if isinstance(error, OSError) else error}"
        fix = "name the file beside this one that is written whole, like homelab.toml, and correct that first"
        draft.report("overlay-base", "base", "", message, fix)
        return
    for code, where, at, message, fix in overlay.faults(base, said):
        draft.report(code, where, at, message, fix)
    draft.raw = overlay.merge(base, said)
    draft.written, draft.inherited = overlay.written_as(base, said), overlay.inherited(base, draft.raw)


def _block_by_block(draft: Draft, text: str) -> dict[str, Any]:
    """The blocks that are TOML by themselves; the others are reported."""
    merged: dict[str, Any] = {}
    seen: dict[str, int] = {}
    lines = text.splitlines()
    starts = sorted({0, *(i for i, line in enumerate(lines) if HEADER.match(line)), len(lines)})
    for start, end in pairwise(starts):
        header = HEADER.match(lines[start]) if start < len(lines) else None
        name = header.group(1) if header else "file"
        if header and name in seen:
            message = f"is declared twice, in lines {seen[name]} and {start + 1}"
            fix = f"give one of them another name, or merge both under one [{name}]"
            draft.problems.append(Problem(draft.file, name, "", message, fix, "declared-twice", start + 1))
            continue
        seen[name] = start + 1
        try:
            block = tomllib.loads("\n".join(lines[start:end]))
        except tomllib.TOMLDecodeError as error:
            number = start + int(match.group(1)) if (match := re.search(r"at line (\d+)", str(error))) else end
            message = f"is not TOML: {re.sub(r' *[(]at .*[)]', '', str(error))}"
            written = lines[min(number, len(lines)) - 1].strip()
            fix = f"correct this line: {written}" if written else "close the quote or bracket that is open above"
            if "overwrite" in message:
                message, fix = f"{written.partition('=')[0].strip()} is written twice", "remove one of the two lines"
            draft.problems.append(Problem(draft.file, name, "", message, fix, "not-toml", number))
            block = _placeholder(name)
        _merge(merged, block)
    return merged


def _placeholder(header: str) -> dict[str, Any]:
    """Keeps the name of an unreadable block, so that those who refer to it are not blamed."""
    table, _, entry = header.partition(".")
    return {table: {entry.strip("\"'"): None}} if table in _TABLES and entry else {}


def _merge(into: dict[str, Any], block: Mapping[str, Any]) -> None:
    for key, value in block.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _tables(draft: Draft) -> None:
    known = {*_TABLES, *_SINGLES}
    for table in draft.raw:
        if table not in known:
            message = f"is not a table of the inventory{did_you_mean(table, known)}"
            draft.report("unknown-table", table, "", message, f"rename it to {one_of(known)}, or remove it")
    unreadable = any(problem.code in ("not-toml", "declared-twice") for problem in draft.problems)
    for table in ("site", "networks", "hosts"):
        if table not in draft.raw and not unreadable:
            fix = "write [site]" if table == "site" else f"write a [{table}.NAME] table"
            draft.report("missing-table", table, "", "is missing", f"{fix}; see docs/inventory.md")
    for table, single in _SINGLES.items():
        if table in draft.raw:
            value = _entry(draft, table, table, draft.raw[table], single)
            if value is not None:
                setattr(draft, table, value)
    for table, adapter in _TABLES.items():
        entries = draft.raw.get(table, {})
        if not isinstance(entries, dict):
            draft.report("wrong-type", table, "", "must be a table of named entries", f"write [{table}.NAME]")
            continue
        for name, raw in entries.items():
            where = f"{table}.{name}"
            try:
                _NAME.validate_python(name)
            except ValidationError as error:
                message, _, fix = str(error.errors()[0]["msg"]).removeprefix("Value error, ").partition("; ")
                draft.report("bad-name", where, "", message, fix)
            if raw is not None and (value := _entry(draft, table, where, raw, adapter)) is not None:
                getattr(draft, table)[name] = value


def _entry(draft: Draft, table: str, where: str, raw: Any, adapter: TypeAdapter[Any]) -> Any:
    """The model of one entry; None when it cannot be made, with the reasons reported."""
    if not isinstance(raw, dict):
        draft.report("wrong-type", where, "", "must be a table", f"write [{where}] and its fields below")
        return None
    try:
        return _validate(adapter, raw)
    except ValidationError as error:
        bad: set[str] = set()
        for detail in without_echoes(error.errors(include_url=False)):
            code, at, message, fix = explain(dict(detail), table, raw)
            draft.report(code, where, at, message, fix)
            if at:
                bad.add(re.split(r"[.\[]", at)[0])
            else:
                bad.add("kind")
    draft.damaged[where] = bad
    if bad & _RELATIONS:
        return None
    try:
        # What is right of the entry still takes part in the rules between entries.
        sound = {key: value for key, value in raw.items() if key not in bad}
        neutral = {key: value for key, value in _NEUTRAL.get(table, {}).items() if key in bad}
        return _validate(adapter, sound | neutral)
    except ValidationError:
        return None


def _validate(adapter: TypeAdapter[Any], raw: Mapping[str, Any]) -> Any:
    # Through JSON: strict models take TOML's arrays as tuples that way. A date becomes what no field takes.
    return adapter.validate_json(json.dumps(raw, default=lambda value: {"date": str(value)}))
