"""One Ansible playbook on one host."""

from typing import Any

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Component, Operator, Text
from components.contents import as_lines
from components.requests import PlaybookRequest, changed, local_command


class PlaybookArgs(Args):
    host: str = Field(description="Host (or node) of the inventory that it runs on.")
    playbook: str = Field(description="Playbook under ansible/.")
    content: dict[str, Any] = Field(
        description="What it is made of: roles, variables, facts of the host. Shown by previews; another one runs it again."
    )
    inventory: str = Field(description="Inventory file, relative to the repository; ansible/inventory.py reads it.")
    endpoints_file: str = Field(default="", description="As the stack's aether:endpointsFile.")
    variables: dict[str, Text] = Field(default={}, description="Extra variables. Nothing secret: they are shown.")
    secret_environment: dict[str, Text] = Field(
        default={}, description="Environment of the run that holds secrets, kept as secrets in the state."
    )
    instance: Text = Field(default="", description="Of the machine; one that was recreated is configured again.")
    check: str | None = Field(default=None, description="What --check --diff would change, found at preview; None: not asked.")
    operator: Operator


class Playbook(Component):
    """A host that stays on Ansible, converged by one playbook.

    Creates:
        - ``command:local:Command``: ``ansible-playbook --limit HOST``, again when the playbook, a role or a variable changes.

    Outputs:
        recap: Ansible's recap line of the host, like ``ok=12 changed=0``.
    """

    run: command.local.Command

    def __init__(self, name: str, args: PlaybookArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:ansible:Playbook", name, opts)
        request = PlaybookRequest(
            host=args.host,
            operator=args.operator,
            playbook=args.playbook,
            inventory=args.inventory,
            endpoints=args.endpoints_file,
            check=args.check or "",
            var=args.variables,
            instance=args.instance,
        )
        self.run = local_command(
            name,
            request,
            # What a check found is a reason to run, its absence is none.
            self.child(ignore_changes=None if args.check else [changed("check")]),
            stdin=as_lines(args.content),
            environment={key: pulumi.Output.secret(value) for key, value in args.secret_environment.items()},
        )
        self.recap = self.run.stdout
        self.done({"recap": self.recap})
