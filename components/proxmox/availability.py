"""Guests that the HA manager of a Proxmox cluster keeps running."""

import pulumi
import pulumi_proxmoxve as proxmox
from pydantic import Field

from components.base import Args, Component, Number
from inventory.proxmox import Availability as AvailabilityFacts

PREFERRED = 100
"""Priority of the first node; each further one has ten less (PVE: 0 to 1000, the highest wins)."""


class AvailabilityArgs(Args):
    facts: AvailabilityFacts
    guests: dict[str, tuple[str, Number]] = Field(description="Host to its kind, ``vm`` or ``ct``, and VMID.")
    provider: pulumi.ProviderResource = Field(description="The proxmoxve provider.")


class Availability(Component):
    """A node-affinity rule and the HA resources that it is about (Proxmox VE 9; before, groups did this).

    Creates:
        - ``proxmoxve:Haresource`` a guest.
        - ``proxmoxve:Harule``: on which nodes they may run, and which comes first.

    Outputs:
        resources: ids of the HA resources, like ``vm:110``.
    """

    resources: dict[str, proxmox.Haresource]
    rule: proxmox.Harule

    def __init__(self, name: str, args: AvailabilityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:proxmox:Availability", name, opts)
        facts = args.facts
        self.resources = {
            host: proxmox.Haresource(
                host,
                resource_id=pulumi.Output.concat(kind, ":", pulumi.Output.from_input(vmid).apply(str)),
                type=kind,
                state="started",
                max_restart=facts.max_restart,
                max_relocate=facts.max_relocate,
                comment="Aether",
                opts=self.child(provider=args.provider),
            )
            for host, (kind, vmid) in args.guests.items()
        }
        self.rule = proxmox.Harule(
            name,
            rule=name,
            type="node-affinity",
            resources=[resource.resource_id for resource in self.resources.values()],
            nodes={node: PREFERRED - 10 * index for index, node in enumerate(facts.nodes)},
            strict=facts.strict,
            comment="Aether",
            opts=self.child(provider=args.provider, depends_on=list(self.resources.values())),
        )
        self.done({"resources": [resource.resource_id for resource in self.resources.values()]})
