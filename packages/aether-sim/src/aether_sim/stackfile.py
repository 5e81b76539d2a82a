"""The stack configuration that the simulator writes: the tracked Pulumi.<stack>.yaml and what is known only now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from aether_sim.paths import write_atomic

# What Pulumi itself writes at the top level of a stack file.
_PULUMI_KEYS = ("encryptionsalt", "secretsprovider", "encryptedkey")


def merge(tracked: Mapping[str, Any], previous: Mapping[str, Any], dynamic: Mapping[str, Any]) -> dict[str, Any]:
    """Tracked settings, overridden by dynamic ones; keys that Pulumi wrote into the previous file stay."""
    merged = {key: value for key, value in tracked.items() if key != "config"}
    merged.update({key: previous[key] for key in _PULUMI_KEYS if key in previous})
    merged["config"] = {**tracked.get("config", {}), **dynamic}
    return merged


def write(path: Path, tracked: Path, dynamic: Mapping[str, Any]) -> bool:
    """Write the stack file; False when it already said the same."""
    document = merge(_load(tracked), _load(path), dynamic)
    text = "# Written by `./aether sim start`; the constant part is in the tracked file of the same name.\n"
    text += yaml.safe_dump(document, sort_keys=False, width=1000)
    if path.exists() and path.read_text() == text:
        return False
    write_atomic(path, text.encode())
    return True


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    loaded = yaml.safe_load(path.read_text())
    return loaded if isinstance(loaded, dict) else {}
