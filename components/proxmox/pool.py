"""Resource pools of a Proxmox cluster: guests (and rights on them) by a name."""

from collections.abc import Iterable

import pulumi
import pulumi_proxmoxve as proxmox
from pydantic import Field

from components.base import Args, Component, Number, Text

COMMENT = "Made by Aether"
"""Of a pool that the program made; one with another comment is somebody else's."""


class Member(Args):
    """A guest in a pool."""

    pool: str
    vmid: Number
    instance: Text = Field(description="Changes when another guest takes its place, which is in no pool.")
    was: str | None = Field(default=None, description="Name of the host before.")
    import_id: str | None = Field(default=None, description="Of one that is in its pool already, and not in the state.")


class ResourcePoolsArgs(Args):
    members: dict[str, Member] = Field(description="By host.")
    existing: frozenset[str] = Field(default=frozenset(), description="Pools that are there and not in the state.")
    foreign: frozenset[str] = Field(default=frozenset(), description="Pools that somebody else made: they stay, whatever goes.")
    provider: pulumi.ProviderResource = Field(description="The proxmoxve provider.")


class ResourcePools(Component):
    """The pools that guests are in. One that is there already is imported with its comment; its other members stay in it.

    Creates:
        - ``proxmoxve:PoolLegacy`` a pool, its parents first (`a` of `a/b`).
        - ``proxmoxve:pool:Membership`` a guest. Not the guest's own ``pool_id``, a change of which replaces a container.

    Outputs:
        pools: names of the pools.
    """

    pools: dict[str, proxmox.PoolLegacy]
    members: dict[str, proxmox.pool.Membership]

    def __init__(self, name: str, args: ResourcePoolsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:proxmox:ResourcePools", name, opts)
        self.pools = {}
        for pool in with_parents(member.pool for member in args.members.values()):
            parent = self.pools.get(pool.rpartition("/")[0])
            self.pools[pool] = proxmox.PoolLegacy(
                pool,
                pool_id=pool,
                comment=COMMENT,
                opts=self.child(
                    [parent] if parent else [],
                    provider=args.provider,
                    import_=pool if pool in args.existing else None,
                    retain_on_delete=pool in args.foreign,
                    ignore_changes=["comment"] if pool in args.foreign else None,
                ),
            )
        self.members = {
            host: proxmox.pool.Membership(
                host,
                pool_id=self.pools[member.pool].pool_id,
                vm_id=member.vmid,
                opts=self.child(
                    provider=args.provider,
                    import_=member.import_id,
                    aliases=[pulumi.Alias(name=member.was)] if member.was else None,
                    # A guest is in one pool at most.
                    delete_before_replace=True,
                    replacement_trigger=member.instance,
                ),
            )
            for host, member in args.members.items()
        }
        self.done({"pools": sorted(self.pools)})


def with_parents(pools: Iterable[str]) -> list[str]:
    """POOLS and those that they are nested in, each after its parent."""
    steps = [pool.split("/") for pool in pools]
    return sorted({"/".join(names[:depth]) for names in steps for depth in range(1, len(names) + 1)})
