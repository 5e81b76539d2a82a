"""The system of a NixOS host: built, copied, activated for a trial, proved healthy, confirmed."""

import json
from typing import Any, Literal

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Component, Operator, Text
from components.requests import DeployRequest, changed, local_command
from inventory.models import HealthCheck


class NixosSystemArgs(Args):
    hostname: str = Field(description="What the machine calls itself; a machine of another name is refused.")
    was: str | None = Field(default=None, description="What it calls itself until this deployment, when it is renamed.")
    flake: str = Field(description="Attribute of nixosConfigurations.")
    desired: str = Field(description="Desired closure: drvPath, or source:HASH where there is no Nix. A new one deploys.")
    boots: str = Field(
        default="",
        description="What of it only a boot brings, as JSON: kernel, initrd, modules, parameters, critical. Previews show it.",
    )
    system: str = Field(default="", description="What a person reviews of the system, a fact a line.")
    health: tuple[HealthCheck, ...] = Field(default=(), description="What must hold before the activation is confirmed.")
    settle: int = Field(default=2, ge=0, description="Seconds for which health checks have to go on holding, once they do.")
    may_fail: tuple[str, ...] = Field(default=(), description="Units, or globs of them, whose failure reverts nothing.")
    confirm_timeout: int = Field(default=60, ge=5, description="Seconds until an unconfirmed activation reverts.")
    reboot: Literal["never", "ask", "auto"] = Field(default="ask", description="When the kernel changes.")
    build_on: str = Field(default="operator", description="operator, target, or the name of a builder host.")
    instance: Text = Field(default="", description="Of the guest; a guest that was recreated is deployed again.")
    drift: str | None = Field(default=None, description="What the host was found to run instead; None: not found, or not asked.")
    operator: Operator


class NixosSystem(Component):
    """What a host runs, deployed so that a bad system reverts by itself.

    Creates:
        - ``command:local:Command``: build, copy, activate, health checks, confirmation, as ``scripts/deploy.sh`` says. It is one
          resource because a half of it that succeeded would be a state that no host is in.

    Outputs:
        closure: store path.  generation: number of the system profile.  reboot: the new kernel waits for a boot.
    """

    deployment: command.local.Command

    def __init__(self, name: str, args: NixosSystemArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:nixos:NixosSystem", name, opts)
        request = DeployRequest(
            host=name,
            operator=args.operator,
            hostname=(args.hostname, *([args.was] if args.was else [])),
            flake=args.flake,
            desired=args.desired,
            checks=args.health,
            settle=args.settle,
            confirm_timeout=args.confirm_timeout,
            reboot=args.reboot,
            build_on=args.build_on,
            drift=args.drift or "",
            may_fail=args.may_fail or None,
            boots=args.boots or None,
            instance=args.instance,
        )
        # A value that reports a drift must not be a change of its own when the drift is gone.
        ignored = None if args.drift else [changed("drift")]
        self.deployment = local_command(name, request, self.child(ignore_changes=ignored), stdin=args.system or None)
        result = self.deployment.stdout.apply(deployment_result)
        self.closure = result.apply(lambda value: str(value.get("closure", "")))
        self.generation = result.apply(lambda value: int(value.get("generation", 0)))
        self.reboot = result.apply(lambda value: bool(value.get("reboot", False)))
        self.done({"closure": self.closure, "generation": self.generation, "reboot": self.reboot})


def deployment_result(stdout: str | None) -> dict[str, Any]:
    """What deploy.sh printed last: closure (store path), generation, reboot; empty before there is anything."""
    lines = (stdout or "").strip().splitlines()
    return dict(json.loads(lines[-1])) if lines else {}
