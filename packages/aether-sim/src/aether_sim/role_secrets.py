"""Values for the secrets that playbooks cannot do without, so that a simulated host has what its roles look for."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from aether_sim.keys import Keys
from aether_sim.world import World
from inventory.rolesecrets import needed, of_home
from inventory.syncthing import CERT, KEY, new_identity


def role_secrets(repository: Path, world: World, keys: Keys) -> dict[str, dict[str, str]]:
    """Host to name to value: 32 bytes of the host's own key in base64, the form of a WireGuard key, the same at each start.

    Who a host is to Syncthing is a certificate; its id is not the inventory's, whose certificate nobody has.
    """
    found: dict[str, dict[str, str]] = {}
    for name, facts in world.hosts.items():
        asked = of_home({"kind": facts.kind, **facts.extra})
        if CERT in asked:
            found[name] = dict(zip((CERT, KEY), keys.pair("syncthing", name, new_identity), strict=True))
        if "rclone-conf" in asked:
            found.setdefault(name, {})["rclone-conf"] = "[drive]\ntype = memory\n"
        for key in needed(repository / "ansible", facts.extra.get("playbook"), facts.extra.get("tags", ())):
            digest = hashlib.sha256(f"{key}\0{keys.host(name)}".encode()).digest()
            found.setdefault(name, {})[key] = base64.b64encode(digest).decode()
    return found
