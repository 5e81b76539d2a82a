"""Every field of an inventory as a page, made from the models: what it takes, its default, what it is."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from inventory.models import InventoryFile


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
    yield from ("| field | takes | default | what it is |", "|---|---|---|---|")
    needed = model.get("required", ())
    for field, facts in model["properties"].items():
        default = "needed" if field in needed else _code(facts.get("default"))
        yield f"| `{field}` | {_type(facts)} | {default} | {_cell(facts.get('description', ''))} |"


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
