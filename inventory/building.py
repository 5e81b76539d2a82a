"""How systems are built and carried to hosts: the fleet's binary cache, and machines that build for others."""

from typing import Annotated

from pydantic import Field, model_validator

from inventory.base import Facts

_STORE = r"^(s3|https?|file)://[^@\s\t]+$"
System = Annotated[str, Field(pattern=r"^(x86_64|aarch64|i686|riscv64)-linux$")]
Feature = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]


class Cache(Facts):
    """A binary cache: the operator copies a signed closure there once, and hosts take it from there."""

    push: str = Field(
        pattern=_STORE, description="Where the operator copies to, as Nix calls a store: s3://BUCKET?region=…, https://…"
    )
    pull: str | None = Field(
        default=None, pattern=_STORE, description="Where hosts take it from, like https://cache.example.org; default: push."
    )

    @property
    def url(self) -> str:
        """Where hosts take it from."""
        return self.pull or self.push

    @property
    def has_orders(self) -> bool:
        """Whether hosts find orders there: what asks for them speaks HTTP."""
        return self.url.startswith(("http://", "https://"))

    @model_validator(mode="after")
    def _hosts_can_read_it(self) -> "Cache":
        if self.url.startswith("file://"):
            raise ValueError(
                "pull is a folder of the operator's machine, which no host can read; "
                'write the address that serves it, pull = "http://cache.example.org"'
            )
        return self


class Builder(Facts):
    """What a host of this name builds for the operator's Nix, as a machines file of Nix's says it."""

    systems: tuple[System, ...] = Field(default=(), description="For these platforms; default: its own.")
    features: tuple[Feature, ...] = Field(
        default=(), description="Like kvm, big-parallel, nixos-test: what derivations may ask for."
    )
    jobs: int = Field(default=1, ge=1, description="Derivations at a time.")
    speed: int = Field(default=1, ge=1, description="The fastest that is free is asked first.")
