"""pydantic's errors in the words of somebody who edits an inventory: what is wrong, and the line to write."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from inventory.building import Builder, Cache
from inventory.examples import example
from inventory.models import (
    CHECKS,
    HOSTS,
    Cloud,
    Deployers,
    Disk,
    Home,
    ImageBuild,
    Interface,
    Network,
    Node,
    Opening,
    Overlay,
    PciDevice,
    PolicyFacts,
    Rollout,
    Service,
    Site,
    UsbDevice,
)
from inventory.plaintext import why_secret
from inventory.problems import did_you_mean, nearest, one_of
from inventory.proxmox import Availability, Backup, Keep, Zone
from inventory.types import LEAST_MEMORY


def _tags(model: type[BaseModel], field: str) -> tuple[str, ...]:
    return get_args(model.model_fields[field].annotation)


KINDS = {kind: [model for model in HOSTS if kind in _tags(model, "kind")] for each in HOSTS for kind in _tags(each, "kind")}
"""Host models by kind. Where a kind has several, ``os`` tells them apart."""
_SYSTEMS = {kind: [tag for model in models for tag in _tags(model, "os")] for kind, models in KINDS.items() if len(models) > 1}

_MODELS: dict[str, type[BaseModel]] = {
    "site": Site,
    "networks": Network,
    "nodes": Node,
    "services": Service,
    "rollout": Rollout,
    "cloud": Cloud,
    "image": ImageBuild,
    "zones": Zone,
    "backups": Backup,
    "availability": Availability,
    "builders": Builder,
    "cache": Cache,
    "policies": PolicyFacts,
    "deployers": Deployers,
    "overlay": Overlay,
}
INNER: dict[str, type[BaseModel]] = {
    "disks": Disk,
    "home": Home,
    "open": Opening,
    "usb": UsbDevice,
    "pci": PciDevice,
    "interfaces": Interface,
    "keep": Keep,
}
_TYPES = {
    "string_type": "text in quotes",
    "int_type": "a whole number without quotes",
    "int_from_float": "a whole number",
    "bool_type": "true or false without quotes",
    "tuple_type": "a list in [ ]",
    "list_type": "a list in [ ]",
    "dict_type": "a table",
    "model_type": "a table in { }",
    "model_attributes_type": "a table in { }",
}
_AMOUNT = re.compile(r"(\d+) *([MmGg](?:i?[Bb])?|s)?")
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


def explain(  # noqa: PLR0911 (one return a case)
    detail: Mapping[str, Any], table: str, raw: Mapping[str, Any]
) -> tuple[str, str, str, str]:
    """(code, field, message, fix) of one pydantic error of an entry RAW of TABLE."""
    loc = _plain(detail["loc"])
    at = _dotted(loc)
    last = str(loc[-1]) if loc else ""
    kind, context, value = str(detail["type"]), detail.get("ctx", {}), detail["input"]
    if kind == "missing":
        return "missing-field", at, "is missing", f"write {last} = {example(last, table)}"
    if kind == "extra_forbidden":
        return _unknown_field(at, loc, table, raw, value)
    if kind in ("union_tag_invalid", "union_tag_not_found") and not loc:
        return _undecided(context, raw)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        fix = 'write { unit = "x.service" }, { tcp = 443 }, { http = "https://…" } or { command = "…" }'
        return "bad-check", at, "is not a health check", fix
    if kind in _TYPES:
        return "wrong-type", at, f"must be {_TYPES[kind]}, not {_shown(value)}", _retyped(last, kind, value)
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        limit = context[key]
        if limit == LEAST_MEMORY and 0 < value < limit:
            message = f"is {value} MiB, less than a machine's memory; it is written in MiB, not in GiB"
            return "out-of-range", at, message, f"write {last} = {value * 1024} for {value} GiB"
        return (
            "out-of-range",
            at,
            f"is {value}, must be {words} {limit}",
            f"write {last} = {limit} or a value beyond it",
        )
    if kind == "literal_error":
        expected = str(context["expected"]).replace(" or ", ", ").replace("'", "")
        choices = expected.split(", ")
        near = nearest(str(value), choices)
        message = f"'{value}' is not one of {', '.join(choices)}{did_you_mean(str(value), choices)}"
        return "unsupported-value", at, message, f'write {last} = "{near or choices[0]}"'
    if kind in ("too_short", "string_too_short"):
        return "empty", at, "is empty", f"write {_field_of(loc)} = {example(_field_of(loc))}"
    if kind == "string_pattern_mismatch":
        return (
            "bad-format",
            at,
            f"'{value}' has not the form {context['pattern']}",
            f"write {_field_of(loc)} = {example(_field_of(loc))}",
        )
    message, _, fix = str(detail["msg"]).removeprefix("Value error, ").partition("; ")
    if not loc:
        # A rule between fields starts with the name of the one to change.
        at, _, message = message.partition(" ")
        return "contradiction", at, message, fix
    plain = isinstance(value, str) and len(value) < 60 and not why_secret(last, value)
    return "bad-format", at, f"'{value}' {message}" if plain else message, fix


def _undecided(context: Mapping[str, Any], raw: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """What is missing, or is no such thing, where a host's ``kind``, and of a cloud machine its ``os``, say what it is."""
    field, written = str(context["discriminator"]).strip("'"), str(context.get("tag", ""))
    choices = list(KINDS) if field == "kind" else _SYSTEMS[str(raw["kind"])]
    near = nearest(written, choices)
    fix = f'write {field} = "{near}"' if near else f"write {field} = {one_of(choices)}"
    if not written:
        return "missing-field", field, "is missing", fix
    if field == "kind":
        return "unsupported-kind", "kind", f"'{written}' is not a kind of host{did_you_mean(written, choices)}", fix
    return "unsupported-value", field, f"'{written}' is not one of {', '.join(choices)}{did_you_mean(written, choices)}", fix


def without_echoes(details: Iterable[Any]) -> list[dict[str, Any]]:
    """Errors that are not the echo of another: the field that a typo leaves missing, the list a bad item empties."""
    errors = [dict(detail) for detail in details]
    slips = [tuple(_plain(error["loc"])) for error in errors if error["type"] == "extra_forbidden"]
    missing = {tuple(_plain(error["loc"])) for error in errors if error["type"] == "missing"}
    echoes = set()
    for *parent, name in slips:
        near = nearest(str(name), [str(field) for *other, field in missing if other == parent])
        echoes |= {(*parent, near)} if near else set()
    deeper = {tuple(error["loc"][:-1]) for error in errors} | {tuple(error["loc"][:-2]) for error in errors}
    return [
        error
        for error in errors
        if not (error["type"] == "missing" and tuple(_plain(error["loc"])) in echoes)
        and not (error["type"] == "too_short" and tuple(error["loc"]) in deeper)
    ]


def _unknown_field(at: str, loc: list[Any], table: str, raw: Mapping[str, Any], value: Any) -> tuple[str, str, str, str]:
    model = _model_at(loc, table, raw)
    known = set(model.model_fields) if model else set()
    near = nearest(str(loc[-1]), known - set(raw)) or nearest(str(loc[-1]), known)
    what = f"of a {raw['kind']}" if table == "hosts" and len(loc) == 1 else "here"
    message = f"is not a field {what}" + (f", did you mean '{near}'?" if near else "")
    fix = f"write {near} = {_toml(value)}" if near else f"remove it, or write {one_of(known)}"
    return "unknown-field", at, message, fix


def _model_at(loc: list[Any], table: str, raw: Mapping[str, Any]) -> type[BaseModel] | None:
    if len(loc) == 1:
        return _host_model(raw) if table == "hosts" else _MODELS.get(table)
    if loc[0] == "health":
        entry = raw["health"][loc[1]]
        return next((CHECKS[name] for name in CHECKS if name in entry), None)
    return INNER.get(str(loc[0]))


def _host_model(raw: Mapping[str, Any]) -> type[BaseModel] | None:
    models = KINDS.get(str(raw.get("kind")), [])
    return next((model for model in models if len(models) == 1 or raw.get("os") in _tags(model, "os")), None)


def _plain(loc: tuple[Any, ...]) -> list[Any]:
    """Without the tags that pydantic puts in: a host's kind and system, and which check an item of health is."""
    parts = list(loc)
    if parts and parts[0] in KINDS:
        systems = _SYSTEMS.get(parts.pop(0), [])
        if parts and parts[0] in systems:
            del parts[0]
    if len(parts) > 2 and parts[0] == "health" and parts[2] in CHECKS:
        del parts[2]
    return parts


def _dotted(loc: list[Any]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _field_of(loc: list[Any]) -> str:
    return next((str(part) for part in reversed(loc) if isinstance(part, str)), "")


def _retyped(name: str, kind: str, value: Any) -> str:
    """The line with the value as it was probably meant."""
    if kind == "int_type" and isinstance(value, str) and (match := _AMOUNT.fullmatch(value.strip())):
        number, unit = int(match.group(1)), (match.group(2) or "").lower()
        # Memory is in MiB; everything else that has a unit is in that unit.
        return f"write {name} = {number * 1024 if unit.startswith('g') and name == 'memory' else number}"
    if kind == "bool_type" and str(value).lower() in ("true", "yes", "on", "1"):
        return f"write {name} = true"
    if kind == "bool_type":
        return f"write {name} = false"
    if kind == "string_type" and isinstance(value, int | float | bool):
        return f'write {name} = "{_toml(value)}"'
    if kind in ("tuple_type", "list_type") and isinstance(value, str | int):
        return f"write {name} = [{_toml(value)}]"
    return f"write {name} = {example(name)}"


def _shown(value: Any) -> str:
    words = {
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a fraction",
        list: "a list",
        dict: "a table",
    }
    return f"{words.get(type(value), 'that')} ({_toml(value)})" if not isinstance(value, list | dict) else words[type(value)]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return str(value)
