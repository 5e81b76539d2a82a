"""Who may decrypt what: ``.sops.yaml``, derived from the inventory."""

import re
from collections.abc import Sequence

from inventory.load import Inventory
from inventory.models import ManagedHost

_HEAD = """# Derived from the inventory: do not edit. `./aether inventory sops --write` writes it again.
# Each file is encrypted to the owners, to the host of its name, and to the hosts whose `secrets` list it.
creation_rules:
"""


def readers(inventories: Sequence[Inventory]) -> dict[str, list[str]]:
    """age recipients of each sops file (relative to secrets/), owners last."""
    found: dict[str, list[str]] = {}
    for inventory in inventories:
        for node in inventory.nodes:
            found.setdefault(f"hosts/{node}.yaml", [])
        for name, host in inventory.hosts.items():
            if not isinstance(host, ManagedHost):
                continue
            for file in dict.fromkeys((f"hosts/{name}.yaml", *host.secrets)):
                recipients = found.setdefault(file, [])
                if host.age_recipient and host.age_recipient not in recipients:
                    recipients.append(host.age_recipient)
    owners = owner_recipients(inventories)
    return {file: [*recipients, *owners] for file, recipients in sorted(found.items())}


def owner_recipients(inventories: Sequence[Inventory]) -> list[str]:
    """age recipients of the owners of all sites."""
    return list(dict.fromkeys(key for inventory in inventories for key in inventory.site.age_recipients))


def config(inventories: Sequence[Inventory]) -> str:
    """Text of ``.sops.yaml``."""
    rules = [_rule(rf"^secrets/{re.escape(file)}$", keys) for file, keys in readers(inventories).items()]
    rules.append(_rule("^secrets/", owner_recipients(inventories)))
    return _HEAD + "".join(rules)


def _rule(pattern: str, recipients: Sequence[str]) -> str:
    lines = "".join(f"\n      {key}{',' if i < len(recipients) else ''}" for i, key in enumerate(recipients, 1))
    return f"  - path_regex: {pattern}\n    age: >-{lines}\n"
