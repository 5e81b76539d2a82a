"""What virtual machines and containers on Proxmox have in common."""

from collections.abc import Sequence
from typing import Any, Literal

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Component, Number, Operator, Text
from components.requests import FirstContactRequest, local_command
from inventory.models import Guest, Network, Node


class GuestArgs(Args):
    """Facts that both kinds of guest need; the guest's own are in the subclass."""

    node_name: str
    node: Node
    networks: dict[str, Network] = Field(description="Networks of the inventory, by name.")
    domain: str = Field(description="Search domain of the guest.")
    authorized_keys: tuple[str, ...] = Field(description="Owner's SSH keys, for the image's root until its system is deployed.")
    image: Text = Field(description="Volume id of the disk image or template on the node.")
    protect: bool = Field(description="Refuse to destroy it.")
    birth: int = Field(default=1, description="How many guests of its host there were, this one counted.")
    importing: bool = Field(default=False, description="It is on the cluster, and the state does not have it yet.")
    operator: Operator
    provider: pulumi.ProviderResource = Field(description="The proxmoxve provider.")

    def import_id(self, vmid: int) -> str | None:
        """What the provider finds the guest by; None where there is nothing to import."""
        return f"{self.node_name}/{vmid}" if self.importing else None


# What an import takes from the guest; the deployment after it brings what is Aether's: tags and the like.
SHARED_IMPORT = ("description", "tags", "cpu", "memory", "operatingSystem", "initialization", "startup", "started")


def instance(facts: Guest, birth: int, mac: pulumi.Output[str]) -> pulumi.Output[str]:
    """Text that is another one for each guest that is created: the MAC that Proxmox made up, or BIRTH where it is pinned."""
    return mac.apply(lambda made: f"{facts.mac} {birth}" if facts.mac and not facts.adopted else made)


def births(said: str) -> int:
    """BIRTH of an `instance`; 0 where it has none."""
    number = said.partition(" ")[2]
    return int(number) if number.isdigit() else 0


def first_contact(
    parent: Component,
    name: str,
    args: GuestArgs,
    *,
    kind: Literal["vm", "lxc"],
    facts: Guest,
    vmid: Number,
    instance: Text,
    after: Sequence[pulumi.Resource] = (),
) -> command.local.Command:
    """The command that gives a guest its own SSH host key before anything connects to it.

    The private half goes from sops through the (pinned) node into the guest by ``qm guest exec`` or ``pct push``, never over the
    network to an unknown key and never into Pulumi's state. Runs again when the guest is a new one (INSTANCE differs for each
    that is created, even with the same VMID), or when the public half in FACTS, or the lease that it waits for, changed.
    """
    request = FirstContactRequest(
        **through_node(name, args, vmid, instance),
        guest=kind,
        host_key=" ".join(facts.host_key.split()[:2]),
        lease=(facts.address, facts.mac or "") if facts.dhcp else None,
    )
    return local_command(name, request, parent.child(depends_on=after))


def through_node(name: str, args: GuestArgs, vmid: Number, instance: Text) -> dict[str, Any]:
    """What every request says that is put to a guest over the connection to its node."""
    return {
        "host": name,
        "operator": args.operator,
        "node": args.node_name,
        "vmid": pulumi.Output.from_input(vmid).apply(str),
        "instance": instance,
    }
