"""The way from the public entry home as a resource: what the world asks for is answered by the homelab."""

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Component, Operator, Text
from components.requests import WayHomeRequest, local_command


class WayHomeArgs(Args):
    service: str = Field(description="Public name of a service of the homelab, like auth.example.org.")
    home: Text = Field(description="Address of the homelab's gateway; empty while it is not deployed.")
    after: Text = Field(description="Known once the public gateway is healthy; another value proves again.")
    timeout: int = Field(default=120, ge=1, description="Seconds: a tunnel that was cut is dialled again within half a minute.")
    operator: Operator


class WayHome(Component):
    """Proof that a request from outside ends at a service behind the tunnel.

    Creates:
        - ``command:local:Command``: the request, through the public gateway's own front door.

    Outputs:
        state: ``proved``, or ``not proved`` while the homelab is not deployed.
    """

    proof: command.local.Command

    def __init__(self, name: str, args: WayHomeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:aws:WayHome", name, opts)
        request = WayHomeRequest(
            host=name, operator=args.operator, service=args.service, timeout=args.timeout, home=args.home, after=args.after
        )
        self.proof = local_command(f"{name}-way-home", request, self.child())
        self.state = self.proof.stdout
        self.done({"state": self.state})
