"""A Fedora Atomic host, rebased to an image digest."""

from typing import Literal

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Component, Operator, Text, script
from components.nixos.system import check_lines
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
        environment = args.operator.environment(
            name,
            AETHER_HOSTNAME=args.hostname,
            AETHER_IMAGE=args.image,
            AETHER_SIGNED="yes" if args.signed else "no",
            AETHER_REBOOT=args.reboot,
            AETHER_WINDOW=args.window,
            AETHER_CHECKS=check_lines(args.health),
            AETHER_DRIFT=args.drift or "",
        )
        environment["AETHER_DIGEST"] = args.digest
        self.rebase = command.local.Command(
            name,
            command.local.CommandArgs(
                create=script("atomic", "scripts", "rebase.sh"),
                environment=environment,
                logging=command.local.Logging.STDERR,
            ),
            # A value that reports a drift must not be a change of its own when the drift is gone.
            opts=self.child(ignore_changes=None if args.drift else ["environment.AETHER_DRIFT"]),
        )
        # "booted staged", one line.
        words = self.rebase.stdout.apply(lambda text: [*(text or "").split(), "", ""][:2])
        self.booted = words.apply(lambda pair: pair[0])
        self.staged = words.apply(lambda pair: "" if pair[1] == "-" else pair[1])
        self.done({"booted": self.booted, "staged": self.staged})
