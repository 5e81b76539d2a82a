"""What the Proxmox firewall lets through to a guest, before the guest's own."""

from typing import Any, Literal

import pulumi
import pulumi_proxmoxve as proxmox
from pydantic import Field

from components.base import Args, Component, Number
from inventory.models import Opening


class GuestFirewallArgs(Args):
    node_name: str
    kind: Literal["vm", "ct"]
    vmid: Number
    ssh_port: int = 22
    services: dict[str, int] = Field(default={}, description="Name to TCP port of the services that the host offers.")
    services_from: tuple[str, ...] = Field(default=(), description="Addresses that services are reached from; empty: everyone.")
    open: tuple[Opening, ...] = ()
    provider: pulumi.ProviderResource = Field(description="The proxmoxve provider.")
    guest: pulumi.Resource = Field(description="The machine or container: what filters it goes with it.")


class GuestFirewall(Component):
    """Drops what comes in, but for SSH, the host's services, its openings, ping and what IPv6 needs. What goes out passes.

    The cluster's firewall has to be on (Datacenter, Firewall, Options); that switch is for all guests and is left to its owner.

    Creates:
        - ``proxmoxve:firewall:RulesLegacy``: a rule each.
        - ``proxmoxve:firewall:OptionsLegacy``: on, policies; after the rules, so that nobody is locked out in between.
    """

    rules: proxmox.firewall.RulesLegacy
    options: proxmox.firewall.OptionsLegacy

    def __init__(self, name: str, args: GuestFirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:proxmox:GuestFirewall", name, opts)
        vm_id, container_id = (args.vmid, None) if args.kind == "vm" else (None, args.vmid)
        # Another guest has none of them: the provider would look for the old one's there. Those went with the old guest.
        its: dict[str, Any] = {"replace_on_changes": ["vmId", "containerId"], "deleted_with": args.guest}
        self.rules = proxmox.firewall.RulesLegacy(
            name,
            node_name=args.node_name,
            vm_id=vm_id,
            container_id=container_id,
            rules=_rules(args),
            opts=self.child(provider=args.provider, **its),
        )
        self.options = proxmox.firewall.OptionsLegacy(
            name,
            node_name=args.node_name,
            vm_id=vm_id,
            container_id=container_id,
            enabled=True,
            input_policy="DROP",
            output_policy="ACCEPT",
            dhcp=True,
            ndp=True,
            opts=self.child(provider=args.provider, depends_on=[self.rules], **its),
        )
        self.done({})


def _rules(args: GuestFirewallArgs) -> list[proxmox.firewall.RulesLegacyRuleArgs]:
    source = ",".join(args.services_from) or None
    allowed: list[tuple[str, int, str, str | None]] = [("SSH", args.ssh_port, "tcp", None)]
    allowed += [(f"service {name}", port, "tcp", source) for name, port in sorted(args.services.items())]
    everyone = ("0.0.0.0/0",)
    for opening in args.open:
        its = None if opening.cidrs == everyone else ",".join(opening.cidrs)
        allowed.append((opening.purpose, opening.port, opening.protocol, its))
    rules = [
        proxmox.firewall.RulesLegacyRuleArgs(
            type="in", action="ACCEPT", proto=protocol, dport=str(port), source=its, comment=purpose, enabled=True
        )
        for purpose, port, protocol, its in allowed
    ]
    ping = proxmox.firewall.RulesLegacyRuleArgs(type="in", action="ACCEPT", macro="Ping", comment="ping", enabled=True)
    return [*rules, ping]
