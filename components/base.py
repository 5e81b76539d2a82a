"""What every component shares: its arguments' base model and the way it makes children."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
from pydantic import BaseModel, ConfigDict, Field

from inventory.files import REPOSITORY

# pulumi.Input is not complete at run time, so pydantic cannot check it; these are.
Text = str | pulumi.Output[str]
Number = int | pulumi.Output[int]


class Args(BaseModel):
    """Base of every component's arguments: immutable, unknown fields refused, Outputs allowed."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)


class Operator(Args):
    """How the machine that runs Pulumi reaches hosts. The same for every host of a stack."""

    ssh_config: str = Field(
        description="OpenSSH client configuration with one `Host` entry a host: address, user, key, pinned host keys. "
        "A path relative to the repository, so that what it points to may change without a host being redeployed."
    )
    secrets: str = Field(default="secrets", description="Directory of the sops files, relative to the repository.")
    nix: str = Field(default="nix", description="The nix executable.")
    wait: int | None = Field(
        default=None, description="Seconds that a host is given to answer on SSH; default: what its script says."
    )


class Component(pulumi.ComponentResource):
    """A ComponentResource whose type token is ``aether:AREA:Name``."""

    def __init__(self, token: str, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        # Pulumi does not pass a component's dependencies on to its children, who are the ones that have to wait (and whose
        # state has to say so). The component itself waits for nothing, which would hold up the program at each preview.
        after = opts.depends_on if opts else None
        self._after: list[Any] = list(after) if isinstance(after, Sequence) else [after] if after else []
        if opts and self._after:
            opts = pulumi.ResourceOptions.merge(opts, None)
            opts.depends_on = None
        super().__init__(token, name, None, opts)

    def child(self, depends_on: Sequence[pulumi.Resource] = (), **options: Any) -> pulumi.ResourceOptions:
        """Options of a child: its parent is this component, and it waits for what the component was told to wait for.

        Nothing else of the component's options is passed on: aliases and providers would be doubled.
        """
        return pulumi.ResourceOptions(parent=self, depends_on=[*self._after, *depends_on], **options)

    def done(self, outputs: Mapping[str, pulumi.Input[Any]]) -> None:
        """Set each output as an attribute's value for Pulumi, and say that the component is complete."""
        self.register_outputs({name: if_known(value) for name, value in outputs.items()})


def if_known(value: pulumi.Input[Any]) -> pulumi.Output[Any]:
    """VALUE, or null where a resource that it comes from failed."""
    return pulumi.Output.from_input(value).recover(lambda _: None)


def script(*parts: str) -> str:
    """A script of components/ as the command text of a local command, relative to the repository."""
    path = Path("components", *parts)
    if not (REPOSITORY / path).is_file():
        raise FileNotFoundError(f"{path} is not in the repository")
    return str(path)
