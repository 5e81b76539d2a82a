"""Resource pools of the cluster: what is there of those that the inventory names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inventory.models import Guest
from stacks.cluster import Cluster, client, credentials, lacking_rights
from stacks.errors import SettingsError
from stacks.recorded import members_of, pools_of
from stacks.settings import Settings


@dataclass(frozen=True)
class Pools:
    """What is to be taken over of the cluster's pools."""

    existing: frozenset[str] = frozenset()
    """There, and not in the state."""
    foreign: frozenset[str] = frozenset()
    """Somebody else made them."""
    joined: Mapping[str, str] = field(default_factory=dict)
    """Host to import id: guests that are in their pool already, which the state does not know."""


def look(
    settings: Settings, tables: Mapping[str, Any], guests: Mapping[str, Guest], there: Cluster, state: Mapping[str, Any]
) -> Pools:
    """Ask the cluster for the pools of GUESTS; nothing is asked where they are in none. TABLES are the inventory's.

    Raises:
        SettingsError: the cluster does not say, or not all.
    """
    wanted = {name: facts.pool for name, facts in guests.items() if facts.pool}
    login = credentials()
    if not wanted or login is None:
        return Pools()
    # As in stacks/cluster_jobs.py.
    from proxmoxer import ResourceException

    from components.proxmox.pool import COMMENT, with_parents

    try:
        listed = client(settings, login).pools.get()
    except (ResourceException, OSError) as error:
        fix = f"give the token what ./aether --stack {settings.stack} proxmox role prints"
        raise SettingsError(f"{settings.proxmox_endpoint}: pools cannot be listed ({error}). Fix: {fix}") from None
    # The list lacks those that the token may not see.
    lacking = [right for right in lacking_rights(settings, tables) if right.startswith("Pool.")]
    if lacking:
        fix = f"./aether --stack {settings.stack} proxmox role --update"
        raise SettingsError(
            f"the Proxmox token lacks {', '.join(lacking)}, so pools cannot be told from missing ones. Fix: {fix}"
        )
    comments = {str(item["poolid"]): str(item.get("comment") or "") for item in listed}
    names = [name for name in with_parents(wanted.values()) if name in comments]
    known, members = pools_of(state), members_of(state)
    return Pools(
        existing=frozenset(name for name in names if name not in known),
        foreign=frozenset(name for name in names if comments[name] != COMMENT),
        joined={
            host: f"{pool}/vm/{guests[host].vmid}"
            for host, pool in wanted.items()
            if host not in members and (found := there.get(guests[host].vmid)) is not None and found.pool == pool
        },
    )
