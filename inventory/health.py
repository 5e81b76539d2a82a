"""What says that a host is healthy: the checks of its entry."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from inventory.base import Facts
from inventory.types import Port, UnitName

Warn = Annotated[bool, Field(description="Its failure is told and takes nothing back: for what hangs on a peripheral.")]


class UnitCheck(Facts):
    """The systemd unit is active."""

    unit: UnitName
    timeout: int = Field(default=60, ge=1, description="Seconds until it must hold.")
    warn: Warn = False


class TcpCheck(Facts):
    """The port accepts connections on the host's own address."""

    tcp: Port
    timeout: int = Field(default=60, ge=1)
    warn: Warn = False


class HttpCheck(Facts):
    """The URL answers with the status; ``{address}`` in it stands for the host's own address."""

    http: str = Field(pattern=r"^https?://")
    status: int = Field(default=200, ge=100, le=599)
    timeout: int = Field(default=60, ge=1)
    warn: Warn = False


class CommandCheck(Facts):
    """The command, run as root by ``sh -c``, exits 0."""

    command: str = Field(min_length=1)
    timeout: int = Field(default=60, ge=1)
    warn: Warn = False


CHECKS: dict[str, type[Facts]] = {
    "unit": UnitCheck,
    "tcp": TcpCheck,
    "http": HttpCheck,
    "command": CommandCheck,
}
"""Models of health checks by the field that tells them apart."""


def _which_check(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((name for name in CHECKS if name in value), None)
    return next((name for name, model in CHECKS.items() if isinstance(value, model)), None)


HealthCheck = Annotated[
    Annotated[UnitCheck, Tag("unit")]
    | Annotated[TcpCheck, Tag("tcp")]
    | Annotated[HttpCheck, Tag("http")]
    | Annotated[CommandCheck, Tag("command")],
    Discriminator(_which_check),
]
