"""The lab's Pulumi program: the product's own components, for guests that are on their node already.

What the homelab's composition registers, without the guest itself: Proxmox' API is not in the lab. It runs as the
``__main__.py`` of a checkout whose flake and inventory are the lab's.
"""

from typing import Any

import pulumi

from components.base import Component, Operator
from components.proxmox.guest import GuestArgs, first_contact
from inventory.load import load
from inventory.models import NixosHost
from stacks.settings import Settings
from stacks.ssh import write_client_config
from stacks.systems import deployed_system, desired_systems


class Guest(Component):
    """A guest that somebody made: only its first contact is registered."""

    def __init__(self, name: str, args: GuestArgs, vmid: int) -> None:
        super().__init__("aether:lab:Guest", name)
        facts = inventory.guests()[name]
        self.contact = first_contact(self, name, args, kind="lxc", facts=facts, vmid=vmid, instance="born")
        self.done({"ready": self.contact.stdout})


settings = Settings.read(pulumi.Config("aether"))
inventory = load(settings.inventory)
operator = Operator(ssh_config=write_client_config(settings, inventory), secrets=str(settings.secrets), nix=settings.nix)
hosts = inventory.of(NixosHost, settings.phase)
desired = desired_systems(settings, inventory, hosts)
systems = {}
for name, facts in hosts.items():
    guest = inventory.guests()[name]
    # First contact asks for no more of them.
    wanted: dict[str, Any] = {"node_name": guest.node, "operator": operator}
    args = GuestArgs.model_construct(None, **wanted)
    made = Guest(name, args, guest.vmid)
    systems[name] = deployed_system(name, facts, desired[name], operator=operator, instance="born", after=[made])
