"""The user environment of a machine: Nix, Home Manager, dotfiles, Flatpaks, containers, synced home."""

from typing import Any

import pulumi
from pydantic import Field

from components.ansible.playbook import Playbook, PlaybookArgs
from components.base import Args, Component, Operator, Text
from inventory.models import Home


class HomeBootstrapArgs(Args):
    home: Home = Field(description="The host's `home` table in the inventory.")
    content: dict[str, Any] = Field(
        description="What the bootstrap is made of: its roles, home/, nix/home and the host's variables, as a Playbook's."
    )
    inventory: str
    endpoints_file: str = ""
    instance: Text = ""
    operator: Operator


class HomeBootstrap(Component):
    """Everything a person expects after logging in, by one idempotent playbook.

    Creates:
        - ``aether:ansible:Playbook`` with ``bootstrap.yml``: roles nix, home_manager, chezmoi, stow, flatpak, toolbox, syncthing.
          NixOS brings Nix, Home Manager's home and Syncthing with the system; there the playbook leaves them out.

    Outputs:
        configuration: Home Manager's flake attribute.  recap: Ansible's recap of the host.
    """

    playbook: Playbook

    def __init__(self, name: str, args: HomeBootstrapArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:home:HomeBootstrap", name, opts)
        self.playbook = Playbook(
            f"{name}-home",
            PlaybookArgs(
                host=name,
                playbook="bootstrap.yml",
                content=args.content,
                inventory=args.inventory,
                endpoints_file=args.endpoints_file,
                instance=args.instance,
                operator=args.operator,
            ),
            opts=self.child(),
        )
        self.recap = self.playbook.recap
        self.done({"configuration": args.home.configuration, "recap": self.recap})
