"""Which operating system a host runs, by its entry as it is written."""

from collections.abc import Mapping
from typing import Any

_BY_KIND = {"node": "debian", "atomic": "fedora-atomic"}
# Their entry says it, or nobody.
_BY_OS = ("ansible", "external")


def os_of(kind: str, facts: Mapping[str, Any]) -> str:
    """Like nixos, debian, fedora-atomic: what a host of another kind runs is NixOS, unless its ``os`` says otherwise. Empty where
    nobody knows.
    """
    return _BY_KIND.get(kind) or str(facts.get("os") or ("" if kind in _BY_OS else "nixos"))
