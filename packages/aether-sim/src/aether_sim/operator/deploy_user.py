"""What the system of a simulated host has where it is deployed by an account that is not root."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from aether_sim.keys import Keys
from aether_sim.paths import SimPaths
from components.health.checks import check_lines
from inventory.models import DEPLOY_USER, HealthCheck

PROTOCOL = "components/nixos/scripts"
HEALTH = "components/health/scripts/health.sh"
# Who is let in, and what the account may have done, as nix/modules/deploy-user.nix writes it.
_SUDOERS = f"""root ALL=(ALL:ALL) SETENV: ALL
%wheel ALL=(ALL:ALL) SETENV: ALL
{DEPLOY_USER} ALL=(root) NOPASSWD: /run/current-system/etc/aether/host
"""


_ACCOUNT = f"""#!/bin/sh
grep -q '^{DEPLOY_USER}:' /etc/passwd && exit
echo '{DEPLOY_USER}:x:61990:61990:Deployments of Aether:/var/empty:/bin/bash' >>/etc/passwd
echo '{DEPLOY_USER}:x:61990:' >>/etc/group
"""


def copy_scripts(repository: Path, target: Path, *steps: str) -> None:
    """STEPS of the protocol and how health is asked, each at its place below components/, as nix/lib/scripts.nix has them."""
    for script in (HEALTH, *(f"{PROTOCOL}/{step}.sh" for step in steps)):
        place = target / Path(script).relative_to("components")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / script, place)


def write_deploy_user(target: Path, repository: Path, facts: Mapping[str, Any]) -> None:
    """What the system of a host that is deployed without being root has beside the rest."""
    if facts["ssh_user"] != DEPLOY_USER:
        return
    paths = SimPaths.of_checkout(repository)
    own = target / "etc/aether"
    steps = ("host", "activate", "confirm", "previous", "arm-boot", "confirm-boot", "after-boot", "status")
    copy_scripts(repository, own / "protocol", *steps)
    text = (repository / PROTOCOL / "entry.sh").read_text().replace("#!/usr/bin/env bash\n", "#!/bin/bash -p\n", 1)
    text = text.replace("@scripts@", "/run/current-system/etc/aether/protocol")
    (own / "host").write_text(text.replace("@key@", Keys(paths).signing_public))
    (own / "host").chmod(0o555)
    (own / "checks").write_text(check_lines(TypeAdapter(tuple[HealthCheck, ...]).validate_python(facts.get("health", ()))))
    (target / "etc/sudoers").write_text(_SUDOERS)
    (target / "activate").write_text(_ACCOUNT)
    (target / "activate").chmod(0o555)
    (target / "etc/ssh/authorized_keys.d").mkdir(parents=True)
    operator = paths.keys / "operator.pub"
    (target / "etc/ssh/authorized_keys.d" / DEPLOY_USER).write_text(operator.read_text())
    (target / "etc/ssh/sshd_config").write_text("PermitRootLogin no\nPasswordAuthentication no\n")
