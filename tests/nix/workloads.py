"""What the system of a host is made of, as texts: every file and unit that its derivations would write."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

from nix.tools import evaluate

from . import golden
from .conftest import host_report


@cache
def derivations(host: str) -> list[dict[str, Any]]:
    """Attributes of every derivation behind the host's system, ``name`` among them; without trees those in golden/."""
    path = host_report(host).value["drvPath"]
    if not golden.available():
        return golden.derivations(host)
    shown = evaluate.run(["derivation", "show", "--recursive", path], json_output=True).value
    found = []
    for derivation in shown.get("derivations", shown).values():
        environment = derivation["env"]
        attributes = derivation.get("structuredAttrs") or json.loads(environment.get("__json", "{}")) or environment
        found.append({**attributes, "name": derivation["name"]})
    return found


@cache
def generated(host: str) -> Mapping[str, list[Any]]:
    """Derivation name to what it writes: text as it is, JSON and YAML as data."""
    found: dict[str, list[Any]] = defaultdict(list)
    for attributes in derivations(host):
        content = attributes.get("value", attributes.get("text"))
        if content is not None:
            found[attributes["name"]].append(content)
    return found


def only(host: str, name: str) -> Any:
    """The one content of that name."""
    contents = generated(host)[name]
    assert len(contents) == 1, f"{host} writes {len(contents)} files called {name}"
    return contents[0]


def settings(unit: str) -> dict[str, list[str]]:
    """A unit's assignments by key, in order; continued lines joined."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in re.sub(r"\\\n\s*", " ", unit).splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith(("[", "#")):
            found[key.strip()].append(value.strip())
    return found
