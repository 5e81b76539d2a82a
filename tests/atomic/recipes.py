"""The image recipes, with their modules in place."""

import tomllib
from typing import Any

import yaml

from tests.atomic.sysroot import HERE, IMAGE

UNITS = tomllib.loads((HERE / "units.toml").read_text())
KERNEL = "7.0.14-201.fc44.x86_64"


def modules(recipe: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for module in recipe["modules"]:
        if "from-file" in module:
            found += modules(yaml.safe_load((IMAGE / "recipes" / module["from-file"]).read_text()))
        else:
            found.append(module)
    return found


def recipe(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((IMAGE / "recipes" / f"{name}.yml").read_text())
    return loaded
