"""Secrets that a host's playbook cannot do without: read from where the roles themselves say so.

A role says it in its ``defaults/main.yml`` by ``lookup('aether_secret', NAME, required=true)``. From that one spelling come the
check before a deployment, the values that a new owner is asked for, what the playbook looks for before it changes anything, and
what the simulator invents. What a home needs beside that depends on the host's facts (role syncthing).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from inventory.os_names import os_of

_REQUIRED = re.compile(r"lookup\('aether_secret', '([a-z0-9][a-z0-9-]*)', required=true\)")
_TAG = re.compile(r"^'([\w-]+)' in aether_facts\.tags$")


def needed(ansible: Path, playbook: str | None, tags: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the secrets that PLAYBOOK (under ANSIBLE) needs of the file of a host with TAGS; none without a playbook."""
    if not playbook or not (ansible / playbook).is_file():
        return ()
    names = dict.fromkeys(
        name
        for role, condition in _roles(ansible / playbook, (ansible / playbook).stat().st_mtime_ns)
        if _holds(condition, tags)
        for name in _read(ansible / "roles" / role / "defaults" / "main.yml")
    )
    return tuple(sorted(names))


def of_home(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the secrets that the home of a host with FACTS needs: who it is to Syncthing, and the backup's account.

    On NixOS the system brings SharedHome, and a host without an identity in its secrets makes its own.
    """
    if not facts.get("home") or os_of(str(facts.get("kind", "")), facts) == "nixos":
        return ()
    identity = ("syncthing-cert", "syncthing-key") if facts.get("syncthing_id") else ()
    return (*(("rclone-conf",) if "drive-backup" in facts.get("tags", ()) else ()), *identity)


def _holds(condition: str, tags: Sequence[str]) -> bool:
    """Whether a role's ``when`` may hold; one that is not a question for a tag may."""
    tag = _TAG.match(condition.strip())
    return tag is None or tag[1] in tags


@lru_cache(maxsize=64)
def _roles(playbook: Path, _mtime: int) -> tuple[tuple[str, str], ...]:
    """Roles of a playbook with the condition of each; empty where there is none."""
    plays: Iterable[dict[str, Any]] = yaml.safe_load(playbook.read_text()) or ()
    found = []
    for play in plays:
        for role in play.get("roles", ()):
            entry = {"role": role} if isinstance(role, str) else role
            found.append((str(entry["role"]), str(entry.get("when", ""))))
    return tuple(found)


def _read(defaults: Path) -> list[str]:
    return _REQUIRED.findall(defaults.read_text()) if defaults.is_file() else []
