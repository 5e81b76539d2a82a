"""The stack's configuration as one frozen model; keys and their meaning are declared in Pulumi.yaml."""

from pathlib import Path
from typing import Any, Literal

import pulumi
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stacks.errors import SettingsError


class Settings(BaseModel):
    """What a stack may set. Field names are the keys of Pulumi.yaml in snake case."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    stack: str
    composition: Literal["homelab", "cloud", "hetzner"]
    inventory: Path
    secrets: Path = Path("secrets")
    phase: int = Field(default=9, ge=1, le=9)
    protect: bool = True
    detect_drift: bool = False
    ansible_check: bool = False
    snapshots: bool = False
    evaluator: Literal["auto", "nix", "source"] = "auto"
    nix: str = "nix"
    operator_key_file: str = ""
    endpoints_file: str = ""
    proxmox_endpoint: str = ""
    proxmox_ca: str = ""
    proxmox_insecure: bool = False
    proxmox_timeout: int = Field(default=900, ge=5)
    proxmox_username: str = ""
    proxmox_password: pulumi.Output[str] | None = None
    proxmox_api_token: pulumi.Output[str] | None = None
    aws_endpoint: str = ""
    aws_access_key: pulumi.Output[str] | None = None
    aws_secret_key: pulumi.Output[str] | None = None
    hcloud_endpoint: str = ""
    hcloud_token: pulumi.Output[str] | None = None
    github_base_url: str = "https://api.github.com/"
    github_token: pulumi.Output[str] | None = None
    image_registry: str = "ghcr.io"
    image_public_key: str = "image/cosign.pub"
    adopt_image_repository: bool = False
    image_timeout: int = Field(default=7200, ge=1)
    image_build: str = ""
    cloud_stack: str = ""
    prove_way_home: bool = False

    def aws_keys(self) -> dict[str, Any]:
        """Credentials for AWS's own library, where the stack has any; else it finds them as the AWS tools do."""
        access, secret = plain("awsAccessKey"), plain("awsSecretKey")
        return {"key": access, "secret": secret} if access and secret else {}

    @classmethod
    def read(cls, config: pulumi.Config) -> "Settings":
        """The settings of the current stack.

        Raises:
            SettingsError: naming each key and the command that sets it.
        """
        values: dict[str, object] = {"stack": pulumi.get_stack()}
        for field, info in cls.model_fields.items():
            key = key_of(field)
            if field == "stack":
                continue
            value: object
            if info.annotation == pulumi.Output[str] | None:
                value = config.get_secret(key)
            else:
                value = config.get(key)
            if value is not None:
                values[field] = value
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [_line(pulumi.get_stack(), dict(detail)) for detail in error.errors()]
            raise SettingsError("\n".join(lines)) from None


def plain(key: str) -> str | None:
    """A setting in plain text, also a secret one: for what asks an API before any resource is registered."""
    return pulumi.Config("aether").get(key)


def key_of(field: str) -> str:
    """What Pulumi.yaml calls a FIELD, without its namespace."""
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _line(stack: str, detail: dict[str, object]) -> str:
    location = detail["loc"]
    key = key_of(str(location[0])) if isinstance(location, tuple) and location else "?"
    message = str(detail["msg"])
    return f"Pulumi.{stack}.yaml: aether:{key}: {message}. Fix: pulumi -s {stack} config set aether:{key} VALUE"
