"""Every field of an inventory as a page, made from the models: what it takes, its default, what it is."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from inventory.base import Facts
from inventory.marks import DEPLOYMENT, AtAws, AtGuest, ByKind, marks
from inventory.models import CloudVm, Guest, HostFacts, InventoryFile, NixosLxc, NixosVm


def page() -> str:
    """Markdown: the file's tables, then each model with its fields, by name."""
    schema = InventoryFile.model_json_schema()
    models: dict[str, Any] = schema["$defs"]
    lines = ["# Fields of an inventory", "", "Made from the models that check it. [How an inventory is written](inventory.md)."]
    lines += _model("Tables of the file", schema)
    for name in sorted(models):
        if "properties" in models[name]:
            lines += _model(name, models[name])
    return "\n".join(lines) + "\n"


def _model(name: str, model: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## {name}", "")
    if text := str(model.get("description", "")).strip().split("\n\n")[0]:
        yield from (" ".join(text.split()), "")
    yield from ("| field | takes | default | what it is | a change of it |", "|---|---|---|---|---|")
    needed = model.get("required", ())
    for field, facts in model["properties"].items():
        default = "needed" if field in needed else _code(facts.get("default"))
        yield f"| `{field}` | {_type(facts)} | {default} | {_cell(facts.get('description', ''))} | {_change(name, field)} |"


def _change(name: str, field: str) -> str:
    """What a change of the field does, as it is marked beside it."""
    model = _classes(Facts).get(name)
    if model is None:
        return ""
    marked = list(marks(model, field))
    said = [text if when == field else f"{when}: {text}" for when, mark in marked for text in _effects(model, mark)]
    return _cell("; ".join(said) or (DEPLOYMENT if (field, DEPLOYMENT) in marked else ""))


def _effects(model: type[Facts], mark: object) -> list[str]:
    """What MARK says of a host of this kind; of each place where the model is no host's."""
    places: dict[type[Facts], tuple[str, str | None]] = {}
    if isinstance(mark, AtGuest):
        places = {Guest: ("guest", mark)}
    elif isinstance(mark, ByKind):
        places = {NixosVm: ("virtual machine", mark.vm), NixosLxc: ("container", mark.lxc)}
    elif isinstance(mark, AtAws):
        places = {CloudVm: ("AWS", mark)}
    if issubclass(model, HostFacts):
        return [effect for kind, (_, effect) in places.items() if effect and issubclass(model, kind)]
    return [f"{place}: {effect}" for place, effect in places.values() if effect]


def _classes(base: type[Facts]) -> dict[str, type[Facts]]:
    """Every model below BASE, by name."""
    return {name: model for each in base.__subclasses__() for name, model in {each.__name__: each, **_classes(each)}.items()}


def _type(facts: Mapping[str, Any]) -> str:
    """What a field takes, in TOML's words; a link to a model of its own."""
    if "$ref" in facts:
        name = facts["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in facts:
            return " or ".join(dict.fromkeys(_type(each) for each in facts[several] if each.get("type") != "null"))
    if "const" in facts:
        return _code(facts["const"])
    if "enum" in facts:
        return ", ".join(_code(each) for each in facts["enum"])
    return _plain(facts)


def _plain(facts: Mapping[str, Any]) -> str:
    kind = facts.get("type")
    inner = facts.get("items") if kind == "array" else facts.get("additionalProperties")
    of = _type(inner) if isinstance(inner, Mapping) and inner else ""
    if kind in ("array", "object"):
        names = {"array": ("list", f"list of {of}"), "object": ("table", f"tables by name: {of}")}
        return names[str(kind)][bool(of)]
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false"}.get(str(kind), "any")


def _code(value: Any) -> str:
    """A value as TOML has it; nothing where there is none."""
    return "" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`".replace("|", "\\|")


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
