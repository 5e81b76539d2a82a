"""A Fedora Atomic host, rebased to an image digest."""

from typing import Literal

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Component, Operator, Text
from components.requests import RebaseRequest, changed, local_command
from inventory.models import HealthCheck


class AtomicHostArgs(Args):
    hostname: str = Field(description="What the machine calls itself; a machine of another name is refused.")
    image: str = Field(description="Registry, owner and name without tag, like ghcr.io/OWNER/IMAGE.")
    digest: Text = Field(
        description="sha256:…; a tag is refused, it may mean another image tomorrow. Empty: the host stays as it is."
    )
    signed: bool = Field(default=True, description="End on ostree-image-signed:, so that every update is verified.")
    reboot: Literal["now", "window", "never"] = Field(default="now", description="When the staged deployment is booted.")
    window: str = Field(default="", description="systemd calendar of the maintenance window, with reboot = window.")
    health: tuple[HealthCheck, ...] = Field(default=(), description="What must hold after the boot, beside greenboot's verdict.")
    drift: str | None = Field(default=None, description="What it was found to run instead; None: not found, or not asked.")
    operator: Operator


class AtomicHost(Component):
    """A Fedora Atomic host on one image digest, rolled back when greenboot says red.

    Creates:
        - ``command:local:Command``: rebase (unverified once where the policy is not installed yet, then signed), boot,
          greenboot's verdict, as ``scripts/rebase.sh`` says.

    Outputs:
        booted: digest that the host has booted.  staged: digest that waits for a boot, or "".
    """

    rebase: command.local.Command

    def __init__(self, name: str, args: AtomicHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:atomic:AtomicHost", name, opts)
        request = RebaseRequest(
            host=name,
            operator=args.operator,
            hostname=args.hostname,
            image=args.image,
            digest=args.digest,
            signed=args.signed,
            reboot=args.reboot,
            window=args.window,
            checks=args.health,
            drift=args.drift or "",
        )
        # A value that reports a drift must not be a change of its own when the drift is gone.
        self.rebase = local_command(name, request, self.child(ignore_changes=None if args.drift else [changed("drift")]))
        # "booted staged", one line.
        words = self.rebase.stdout.apply(lambda text: [*(text or "").split(), "", ""][:2])
        self.booted = words.apply(lambda pair: pair[0])
        self.staged = words.apply(lambda pair: "" if pair[1] == "-" else pair[1])
        self.done({"booted": self.booted, "staged": self.staged})
