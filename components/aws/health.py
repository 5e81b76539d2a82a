"""A machine's health checks as a resource: what depends on it waits until they hold."""

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Component, Operator, Text, script
from components.nixos.system import check_lines
from inventory.models import HealthCheck


class HealthyArgs(Args):
    health: tuple[HealthCheck, ...] = Field(description="What must hold, each within its own seconds.")
    after: Text = Field(description="Known once the machine is configured; another value checks again.")
    operator: Operator


class Healthy(Component):
    """Proof that a machine which is not NixOS is healthy after it was configured.

    Creates:
        - ``command:local:Command``: the checks, on the machine itself.

    Outputs:
        healthy: the host's name.
    """

    checks: command.local.Command

    def __init__(self, name: str, args: HealthyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:aws:Healthy", name, opts)
        environment = args.operator.environment(name, AETHER_CHECKS=check_lines(args.health))
        environment["AETHER_AFTER"] = args.after
        self.checks = command.local.Command(
            f"{name}-health",
            command.local.CommandArgs(
                create=script("scripts", "healthy.sh"), environment=environment, logging=command.local.Logging.STDERR
            ),
            opts=self.child(),
        )
        self.healthy = self.checks.stdout
        self.done({"healthy": self.healthy})
