"""What the system of a simulated host has where it takes orders, as nix/modules/orders.nix makes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from aether_sim.keys import Keys
from aether_sim.operator.deploy_user import copy_scripts
from aether_sim.paths import SimPaths
from components.health.checks import check_lines
from inventory.building import Cache
from inventory.models import DEPLOY_USER, HealthCheck

# A calendar of minutes is too slow for somebody who looks on.
_TIMER = """[Unit]
Description=Asks for orders

[Timer]
OnActiveSec=3
OnUnitActiveSec=3

[Install]
WantedBy=multi-user.target
"""
_SERVICE = """[Unit]
Description=Takes the order that was left for this machine, if there is one
X-StopOnRemoval=false

[Service]
Type=oneshot
X-RestartIfChanged=false
ExecStart={command}
"""


def write_orders(target: Path, repository: Path, facts: Mapping[str, Any], table: Mapping[str, Any] | None) -> dict[str, str]:
    """The units of a host that takes orders at the cache of TABLE, by name; what they run is written into TARGET."""
    cache = Cache.model_validate(table) if table else None
    if not (cache and cache.has_orders and facts.get("roams") and facts.get("pulls", True) and facts.get("build_on") != "target"):
        return {}
    own = target / "etc/aether"
    copy_scripts(repository, own / "orders", "take-order", "pull", "host", "activate", "confirm")
    if facts.get("ssh_user", "root") != DEPLOY_USER:
        checks = TypeAdapter(tuple[HealthCheck, ...]).validate_python(facts.get("health", ()))
        (own / "checks").write_text(check_lines(checks))
    # Its services answer at its own address alone, which its name leads to.
    words = ["/run/current-system/etc/aether/orders/nixos/scripts/take-order.sh", facts["name"], cache.url, facts["name"]]
    command = " ".join([*words, Keys(SimPaths.of_checkout(repository)).signing_public])
    return {"aether-order.service": _SERVICE.format(command=command), "aether-order.timer": _TIMER}
