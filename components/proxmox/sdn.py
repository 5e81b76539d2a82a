"""Zones and VNets of Proxmox's software-defined network, and their application to the nodes."""

import pulumi
import pulumi_proxmoxve as proxmox
from pydantic import Field

from components.base import Args, Component
from inventory.models import Network
from inventory.proxmox import Zone as ZoneFacts


class VirtualNetworksArgs(Args):
    zones: dict[str, ZoneFacts] = Field(min_length=1)
    networks: dict[str, Network] = Field(description="Those of the inventory; the ones with a zone are made.")
    provider: pulumi.ProviderResource = Field(description="The proxmoxve provider.")


class VirtualNetworks(Component):
    """The SDN of a cluster. Guests of its VNets wait for it.

    Creates:
        - ``proxmoxve:sdn/zone:Vlan`` or ``Simple`` a zone.
        - ``proxmoxve:sdn:Vnet`` a network that names a zone: its bridge is the VNet's id.
        - ``proxmoxve:sdn:Applier``: writes the pending configuration to every node; replaced when zones or VNets change.

    Outputs:
        vnets: network name to VNet id.
    """

    zones: dict[str, pulumi.Resource]
    vnets: dict[str, proxmox.sdn.Vnet]
    applier: proxmox.sdn.Applier

    def __init__(self, name: str, args: VirtualNetworksArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:proxmox:VirtualNetworks", name, opts)
        self.zones = {zone: _zone(zone, facts, self.child(provider=args.provider)) for zone, facts in args.zones.items()}
        self.vnets = {
            network: proxmox.sdn.Vnet(
                network,
                resource_id=facts.bridge,
                zone=facts.zone,
                tag=facts.vlan or None,
                alias=network,
                opts=self.child([self.zones[facts.zone]], provider=args.provider),
            )
            for network, facts in args.networks.items()
            if facts.zone is not None
        }
        made = [*self.zones.values(), *self.vnets.values()]
        applied = [(zone, facts.model_dump()) for zone, facts in sorted(args.zones.items())]
        seen = {"vlan", "zone", "bridge"}
        applied += [(network, args.networks[network].model_dump(include=seen)) for network in sorted(self.vnets)]
        self.applier = proxmox.sdn.Applier(
            name,
            # What is deleted is applied by the next run's applier, not while its VNets are still in use.
            on_destroy=False,
            opts=pulumi.ResourceOptions.merge(
                self.child(made, provider=args.provider), pulumi.ResourceOptions(replacement_trigger=repr(applied))
            ),
        )
        self.done({"vnets": {network: vnet.resource_id for network, vnet in self.vnets.items()}})


def _zone(name: str, facts: ZoneFacts, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    nodes = list(facts.nodes) or None
    if facts.type == "vlan":
        assert facts.bridge is not None, "the inventory's model says so"
        return proxmox.sdn.zone.Vlan(name, resource_id=name, bridge=facts.bridge, nodes=nodes, mtu=facts.mtu, opts=opts)
    return proxmox.sdn.zone.Simple(name, resource_id=name, nodes=nodes, mtu=facts.mtu, opts=opts)
