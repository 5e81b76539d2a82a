"""A server at Hetzner Cloud with a public address and a data volume that outlive it."""

from typing import Any

import pulumi
import pulumi_hcloud as hcloud
from pydantic import Field

from components.base import Args, Component, Text
from components.cloud import user_data
from components.cloud.bootstrap import bootstrap_key
from inventory.models import HcloudVm

EVERYONE, EVERYONE_IPV6 = "0.0.0.0/0", "::/0"
# The simulator and people find a server's host by it.
HOST_LABEL = "aether-host"


class HcloudServerArgs(Args):
    facts: HcloudVm = Field(description="The host's entry in the inventory: image, size, place, openings.")
    ssh_keys: tuple[Text, ...] = Field(description="Ids of the project's SSH keys that root's account is born with.")
    host_private_key: Text = Field(description="Private half of its SSH host key; its birth key follows from it. Secret.")
    protect: bool = Field(default=True, description="Neither destroy nor replace server, address and volume.")
    provider: pulumi.ProviderResource


class HcloudServer(Component):
    """A NixOS server that answers the first connection with a key made for it (`bootstrap_key`), and its own key comes by that.

    Creates:
        - ``hcloud:index:PrimaryIp``: the public IPv4 address; ``Firewall``: SSH and what the inventory opens.
        - ``hcloud:index:Server``: from the pinned image (a snapshot of an own NixOS image).
        - ``hcloud:index:Volume`` where the inventory says ``volume``.

    Outputs:
        server_id: new for each machine.  address: public IPv4.  bootstrap_key: public line of the host key that it was born with.
    """

    address_: hcloud.PrimaryIp
    firewall: hcloud.Firewall
    server: hcloud.Server
    volume: hcloud.Volume | None

    def __init__(self, name: str, args: HcloudServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:hcloud:HcloudServer", name, opts)
        facts, labels = args.facts, {HOST_LABEL: name}
        kept: dict[str, Any] = {"provider": args.provider, "protect": args.protect}
        self.address_ = hcloud.PrimaryIp(
            name, name=name, type="ipv4", assignee_type="server", location=facts.location, auto_delete=False, labels=labels,
            opts=self.child(**kept),
        )  # fmt: skip
        self.firewall = hcloud.Firewall(
            name, name=name, labels=labels, rules=list(_rules(facts)), opts=self.child(provider=args.provider)
        )
        # The host's own key is its age key, and user data are read by whoever may describe the server.
        born = pulumi.Output.from_input(args.host_private_key).apply(lambda key: bootstrap_key(name, key))
        data: pulumi.Output[str] = pulumi.Output.secret(born.apply(lambda pair: user_data.nixos(*pair)))
        self.bootstrap_key = pulumi.Output.unsecret(born.apply(lambda pair: pair[1]))
        self.server = hcloud.Server(
            name,
            name=name,
            server_type=facts.server_type,
            image=facts.image,
            location=facts.location,
            # What it was born with: a key that changes later is the system's, not a reason for another machine.
            ssh_keys=list(args.ssh_keys),
            user_data=data,
            # The API takes numbers where Pulumi's ids are texts.
            firewall_ids=[self.firewall.id.apply(int)],
            public_nets=[
                hcloud.ServerPublicNetArgs(ipv4_enabled=True, ipv4=self.address_.id.apply(int), ipv6_enabled=facts.ipv6)
            ],
            # A smaller type can be gone back to while the disk is as it was.
            keep_disk=True,
            shutdown_before_deletion=True,
            labels=labels,
            delete_protection=args.protect,
            rebuild_protection=args.protect,
            opts=self.child(
                **kept,
                ignore_changes=["sshKeys", "userData"],
                # A name and an address are one server's at a time.
                delete_before_replace=True,
            ),
        )
        self.volume = None
        if facts.volume:
            self.volume = hcloud.Volume(
                name, name=name, size=facts.volume, server_id=self.server.id.apply(int), format="ext4", automount=False,
                labels=labels, delete_protection=args.protect, opts=self.child(**kept),
            )  # fmt: skip
        self.server_id = self.server.id
        self.address = self.address_.ip_address
        # Known once the server has it.
        self.ready = pulumi.Output.all(self.address, self.server.id).apply(lambda values: str(values[0]))
        self.done(
            {
                "server_id": self.server_id,
                "address": self.address,
                "ready": self.ready,
                "bootstrap_key": self.bootstrap_key,
            }
        )


def _rules(facts: HcloudVm) -> list[hcloud.FirewallRuleArgs]:
    """SSH from where the owner is, and what the inventory opens."""
    rules: list[tuple[str, int, str, tuple[str, ...]]] = [
        ("tcp", facts.ssh_port, f"SSH from {name}", (cidr,)) for name, cidr in sorted(facts.ssh_from.items())
    ]
    rules += [(opening.protocol, opening.port, opening.purpose, opening.cidrs) for opening in facts.open]
    return [
        hcloud.FirewallRuleArgs(
            direction="in",
            protocol=protocol,
            port=str(port),
            source_ips=[*cidrs, *([EVERYONE_IPV6] if facts.ipv6 and EVERYONE in cidrs else [])],
            description=purpose,
        )
        for protocol, port, purpose, cidrs in rules
    ]
