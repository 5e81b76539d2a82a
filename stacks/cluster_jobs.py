"""What a Proxmox cluster does for its guests by itself: virtual networks, pools, firewalls, backups, failover.

A kind's component is imported where the inventory has one: the SDK loads the part behind it, which takes as long as ten guests.
"""

from collections.abc import Mapping

import pulumi
import pulumi_proxmoxve as proxmox

from components.proxmox.lxc import NixosLxc
from components.proxmox.vm import NixosVm
from inventory.load import Inventory
from inventory.models import NixosVm as NixosVmFacts
from stacks.pools import Pools

Guests = Mapping[str, NixosVm | NixosLxc]


def virtual_networks(inventory: Inventory, provider: proxmox.Provider) -> list[pulumi.Resource]:
    """The cluster's SDN, for guests to wait for; nothing where the inventory has no zone."""
    zones = inventory.content.zones
    if not zones:
        return []
    from components.proxmox.sdn import VirtualNetworks, VirtualNetworksArgs

    args = VirtualNetworksArgs(zones=dict(zones), networks=dict(inventory.networks), provider=provider)
    return [VirtualNetworks(inventory.site.name, args).applier]


def cluster_jobs(inventory: Inventory, guests: Guests, pools: Pools, provider: proxmox.Provider) -> None:
    """Register what is about GUESTS that are there; of a job or a rule, the part that this phase has."""
    facts = inventory.guests()
    _pools(inventory, guests, pools, provider)
    _backups(inventory, guests, provider)
    _availability(inventory, guests, provider)
    for name in guests:
        if facts[name].firewall:
            _firewall(inventory, name, guests[name], provider)


def _pools(inventory: Inventory, guests: Guests, pools: Pools, provider: proxmox.Provider) -> None:
    facts = inventory.guests()
    pooled = {name: pool for name in guests if (pool := facts[name].pool)}
    if not pooled:
        return
    from components.proxmox.pool import Member, ResourcePools, ResourcePoolsArgs

    members = {
        name: Member(
            pool=pool,
            vmid=guests[name].vm_id,
            instance=guests[name].instance,
            was=facts[name].was,
            import_id=pools.joined.get(name),
        )
        for name, pool in pooled.items()
    }
    args = ResourcePoolsArgs(members=members, existing=pools.existing, foreign=pools.foreign, provider=provider)
    ResourcePools(inventory.site.name, args)


def _backups(inventory: Inventory, guests: Guests, provider: proxmox.Provider) -> None:
    for name, job in inventory.content.backups.items():
        from components.proxmox.backup import BackupJob, BackupJobArgs

        wanted = inventory.backed_up(job)
        vmids = tuple(guests[host].vm_id for host in wanted if host in guests)
        if vmids:
            BackupJob(name, BackupJobArgs(facts=job, vmids=vmids, provider=provider))


def _availability(inventory: Inventory, guests: Guests, provider: proxmox.Provider) -> None:
    facts = inventory.guests()
    for name, rule in inventory.content.availability.items():
        from components.proxmox.availability import Availability, AvailabilityArgs

        its = {host: (_kind(facts[host]), guests[host].vm_id) for host in rule.hosts if host in guests}
        if its:
            Availability(name, AvailabilityArgs(facts=rule, guests=its, provider=provider))


def _kind(facts: object) -> str:
    return "vm" if isinstance(facts, NixosVmFacts) else "ct"


def _firewall(inventory: Inventory, name: str, guest: NixosVm | NixosLxc, provider: proxmox.Provider) -> None:
    from components.proxmox.firewall import GuestFirewall, GuestFirewallArgs

    facts = inventory.guests()[name]
    services = {service: its.port for service, its in inventory.services.items() if its.host == name}
    ingress = inventory.hosts.get("gateway")
    GuestFirewall(
        name,
        GuestFirewallArgs(
            node_name=facts.node,
            kind="vm" if isinstance(facts, NixosVmFacts) else "ct",
            vmid=guest.vm_id,
            ssh_port=facts.ssh_port,
            services=services,
            services_from=(ingress.address,) if ingress is not None and name != "gateway" else (),
            open=facts.open,
            provider=provider,
            guest=guest.guest,
        ),
    )
