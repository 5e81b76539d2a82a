"""What the system of a simulated host has of the deployment's own scripts: where it is deployed by an account that is not root,
and where it takes orders, as nix/modules/deploy-user.nix and orders.nix make it. With the inventory's models, whose import costs
more than the rest of a build.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from aether_sim.keys import Keys
from aether_sim.paths import SimPaths
from components.health.checks import check_lines
from inventory.building import Cache
from inventory.models import DEPLOY_USER, HealthCheck

_SUDOERS = f"""root ALL=(ALL:ALL) SETENV: ALL
%wheel ALL=(ALL:ALL) SETENV: ALL
{DEPLOY_USER} ALL=(root) NOPASSWD: /run/current-system/etc/aether/host
"""
_ACCOUNT = f"""#!/bin/sh
grep -q '^{DEPLOY_USER}:' /etc/passwd && exit
echo '{DEPLOY_USER}:x:61990:61990:Deployments of Aether:/var/empty:/bin/bash' >>/etc/passwd
echo '{DEPLOY_USER}:x:61990:' >>/etc/group
"""
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


def _copy_scripts(repository: Path, target: Path, steps: str) -> None:
    """STEPS of the protocol and how health is asked, each at its place below components/, as nix/lib/scripts.nix has them."""
    for script in ("health/scripts/health.sh", *(f"nixos/scripts/{step}.sh" for step in steps.split())):
        (target / script).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / "components" / script, target / script)


def write(target: Path, repository: Path, facts: Mapping[str, Any], table: Mapping[str, Any] | None) -> dict[str, str]:
    """Write both into the system at TARGET; the units of a host that takes orders at the cache of TABLE, by name."""
    paths, own, deployed = SimPaths.of_checkout(repository), target / "etc/aether", facts.get("ssh_user") == DEPLOY_USER
    key = Keys(paths).signing_public
    cache = Cache.model_validate(table) if table else None
    orders = facts.get("roams") and facts.get("pulls", True) and facts.get("build_on") != "target" and cache and cache.has_orders
    if deployed or orders:
        own.mkdir(parents=True)
        checks = TypeAdapter(tuple[HealthCheck, ...]).validate_python(facts.get("health", ()))
        (own / "checks").write_text(check_lines(checks))
    if deployed:
        _copy_scripts(repository, own / "protocol", "host activate confirm previous arm-boot confirm-boot after-boot status")
        text = (repository / "components/nixos/scripts/entry.sh").read_text()
        text = text.replace("#!/usr/bin/env bash\n", "#!/bin/bash -p\n", 1)
        text = text.replace("@scripts@", "/run/current-system/etc/aether/protocol").replace("@key@", key)
        for path, script in ((own / "host", text), (target / "activate", _ACCOUNT)):
            path.write_text(script)
            path.chmod(0o555)
        (target / "etc/sudoers").write_text(_SUDOERS)
        (target / "etc/ssh/authorized_keys.d").mkdir(parents=True)
        (target / "etc/ssh/authorized_keys.d" / DEPLOY_USER).write_text((paths.keys / "operator.pub").read_text())
        (target / "etc/ssh/sshd_config").write_text("PermitRootLogin no\nPasswordAuthentication no\n")
    if not orders or cache is None:
        return {}
    _copy_scripts(repository, own / "orders", "take-order pull host activate confirm")
    # Its services answer at its own address alone, which its name leads to.
    words = ["/run/current-system/etc/aether/orders/nixos/scripts/take-order.sh", facts["name"], cache.url, facts["name"], key]
    return {"aether-order.service": _SERVICE.format(command=" ".join(words)), "aether-order.timer": _TIMER}
