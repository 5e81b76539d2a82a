"""A machine's health checks as a resource: what depends on it waits until they hold."""

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Component, Operator, Text
from components.requests import HealthRequest, local_command
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
        # Its area until 0.1.0.
        was = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_="aether:aws:Healthy")])
        super().__init__("aether:health:Healthy", name, pulumi.ResourceOptions.merge(opts, was))
        request = HealthRequest(host=name, operator=args.operator, checks=args.health, after=args.after)
        self.checks = local_command(f"{name}-health", request, self.child())
        self.healthy = self.checks.stdout
        self.done({"healthy": self.healthy})
