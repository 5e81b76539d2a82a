"""What every component shares: its arguments' base model and the way it makes children."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pydantic import BaseModel, ConfigDict, Field

# pulumi.Input is not complete at run time, so pydantic cannot check it; these are.
Text = str | pulumi.Output[str]
Number = int | pulumi.Output[int]

REPOSITORY = Path(__file__).resolve().parent.parent


class Args(BaseModel):
    """Base of every component's arguments: immutable, unknown fields refused, Outputs allowed."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Operator(Args):
    """How the machine that runs Pulumi reaches hosts. The same for every host of a stack."""

    ssh_config: str = Field(
        description="OpenSSH client configuration with one `Host` entry a host: address, user, key, pinned host keys. "
        "A path relative to the repository, so that what it points to may change without a host being redeployed."
    )
    secrets: str = Field(default="secrets", description="Directory of the sops files, relative to the repository.")
    nix: str = Field(default="nix", description="The nix executable.")

    def environment(self, host: str, **more: str) -> dict[str, pulumi.Input[str]]:
        """Environment of a script under ``scripts/`` that works on HOST."""
        return {
            "AETHER_HOST": host,
            "AETHER_SSH_CONFIG": self.ssh_config,
            "AETHER_SECRETS": self.secrets,
            "AETHER_NIX": self.nix,
            **more,
        }


class Component(pulumi.ComponentResource):
    """A ComponentResource whose type token is ``aether:AREA:Name``."""

    def __init__(self, token: str, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token, name, None, opts)

    def child(self, **options: Any) -> pulumi.ResourceOptions:
        """Options of a child: its parent is this component, nothing of the component's own options is passed on."""
        return pulumi.ResourceOptions(parent=self, **options)

    def done(self, outputs: Mapping[str, pulumi.Input[Any]]) -> None:
        """Set each output as an attribute's value for Pulumi, and say that the component is complete."""
        self.register_outputs(dict(outputs))


def script(*parts: str) -> str:
    """A script of components/ as the command text of a local command, relative to the repository."""
    path = Path("components", *parts)
    if not (REPOSITORY / path).is_file():
        raise FileNotFoundError(f"{path} is not in the repository")
    return str(path)
