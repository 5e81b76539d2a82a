"""The reboot that a redeployment brings, as its preview knows it: what only a boot changes, and what comes of it."""

import json
from typing import Any

_CRITICAL = "critical"


def reboot_notice(host: str, old: dict[str, str], new: dict[str, str]) -> str:
    """One sentence for HOST; empty where it will not boot, or where nobody knows. OLD and NEW are fields of its deployment's
    request (``boots``, see components/nixos/desired.py, and ``reboot``).
    """
    before, after = _facts(old), _facts(new)
    automatic = new.get("reboot") == "auto"
    if not before or not after:
        return f"{host} may reboot by itself (its kernel decides)" if automatic else ""
    if critical := _changes(before.get(_CRITICAL, {}), after.get(_CRITICAL, {}), added=False):
        if automatic:
            return f"**{host} reboots**: its new system cannot be switched to, and is booted for a trial ({critical})"
        return f'**{host} refuses this** (exit 38): only a boot leads there ({critical}). Fix: `reboot = "auto"` in the inventory'
    kernel = _changes(*({key: value for key, value in facts.items() if key != _CRITICAL} for facts in (before, after)))
    if not kernel:
        return ""
    if automatic:
        return f"**{host} reboots**: {kernel}"
    return f"{host} runs this only after a reboot, `make reboot HOST={host}`: {kernel}"


def _facts(request: dict[str, str]) -> dict[str, Any]:
    return dict(json.loads(request.get("boots") or "{}"))


def _changes(old: dict[str, Any], new: dict[str, Any], *, added: bool = True) -> str:
    """What differs, by name; what only one of them has counts where ADDED. NixOS compares inhibitors that both have."""
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name) and (added or (name in old and name in new))]
    return ", ".join(f"{name} {_readable(old.get(name))} -> {_readable(new.get(name))}" for name in names)


def _readable(value: Any) -> str:
    """A store path's name with the first letters of its hash; two builds of one version differ in these alone."""
    text = " ".join(value) if isinstance(value, list) else str(value)
    digest, _, name = text.removeprefix("/nix/store/").partition("-")
    return f"{name} ({digest[:7]})" if text.startswith("/nix/store/") else text
