"""One Ansible playbook on one host."""

from typing import Any

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Component, Operator, Text, script
from components.contents import as_lines


class PlaybookArgs(Args):
    host: str = Field(description="Host (or node) of the inventory that it runs on.")
    playbook: str = Field(description="Playbook under ansible/.")
    content: dict[str, Any] = Field(
        description="What it is made of: roles, variables, facts of the host. Shown by previews; another one runs it again."
    )
    inventory: str = Field(description="Inventory file, relative to the repository; ansible/inventory.py reads it.")
    reach_file: str = Field(default="", description="As the stack's aether:reachFile.")
    variables: dict[str, Text] = Field(default={}, description="Extra variables. Nothing secret: they are shown.")
    secret_environment: dict[str, Text] = Field(
        default={}, description="Environment of the run that holds secrets, kept as secrets in the state."
    )
    instance: Text = Field(default="", description="Of the machine; one that was made anew is configured anew.")
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
        environment = args.operator.environment(
            args.host,
            AETHER_PLAYBOOK=args.playbook,
            AETHER_INVENTORY=args.inventory,
            AETHER_REACH=args.reach_file,
            AETHER_CHECK=args.check or "",
        )
        environment |= {f"AETHER_VAR_{key}": value for key, value in args.variables.items()}
        environment["AETHER_INSTANCE"] = args.instance
        environment |= {key: pulumi.Output.secret(value) for key, value in args.secret_environment.items()}
        self.run = command.local.Command(
            name,
            command.local.CommandArgs(
                create=script("ansible", "scripts", "playbook.sh"),
                environment=environment,
                stdin=as_lines(args.content),
                logging=command.local.Logging.STDERR,
            ),
            # What a check found is a reason to run, its absence is none.
            opts=self.child(ignore_changes=None if args.check else ["environment.AETHER_CHECK"]),
        )
        self.recap = self.run.stdout
        self.done({"recap": self.recap})
