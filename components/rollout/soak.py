"""The end of a wave: what its hosts became holds for a while, or nobody else is touched."""

import json
from collections.abc import Mapping

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Component, Operator, Text
from components.health.checks import check_lines
from components.requests import SoakRequest, local_command
from inventory.models import ManagedHost, NixosHost


class SoakArgs(Args):
    hosts: dict[str, ManagedHost] = Field(description="The wave's hosts: their health is watched.")
    seconds: int = Field(default=0, ge=0, description="For which it has to hold, since the last deployment; 0: not at all.")
    left: dict[str, Text] = Field(description="What each host's deployments left it with. Something else is watched again.")
    operator: Operator


class Soak(Component):
    """Stands between two waves: waits for the deployments of one, and the other's wait for it.

    Nothing happens, and nobody is asked, where no host of the wave has become something else.

    Creates:
        - ``command:local:Command``: asks the hosts' health checks again and again, as ``scripts/soak.sh`` says.
    """

    watch: command.local.Command

    def __init__(self, name: str, args: SoakArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:rollout:Soak", name, opts)
        left = pulumi.Output.all(**args.left).apply(lambda found: json.dumps(found, sort_keys=True))
        request = SoakRequest(host=name, operator=args.operator, soak=args.seconds, left=left)
        self.watch = local_command(name, request, self.child(), stdin=watched(args.hosts) if args.seconds else None)
        self.done({})


def watched(hosts: Mapping[str, ManagedHost]) -> str:
    """HOSTS as soak.sh reads them, a line for each and for each of its checks: name, nixos or other, the check's fields."""
    lines = []
    for name, host in hosts.items():
        kind = "nixos" if isinstance(host, NixosHost) else "other"
        lines += [f"{name}\t{kind}", *(f"{name}\t{kind}\t{line}" for line in check_lines(host.health).splitlines())]
    return "".join(f"{line}\n" for line in lines)
