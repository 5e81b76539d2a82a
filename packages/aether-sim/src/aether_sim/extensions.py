"""Services beside Proxmox and the hosts (AWS, GitHub): modules of their own that the supervisor starts and stops.

A module named here that exists offers `create(datacentre) -> Extension`. Faults are switched by name, settings go into the
stack file that the simulator writes.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from aether_sim.datacentre import Datacentre

MODULES = (
    "aether_sim.aws.service",
    "aether_sim.hcloud.service",
    "aether_sim.github.service",
    "aether_sim.registry.service",
)


class Extension(Protocol):
    """A simulated service."""

    name: str
    # Fault name -> what it does.
    faults: Mapping[str, str]

    async def start(self) -> None:
        """Listen (loopback only)."""

    async def filled(self) -> None:
        """Wait until it holds what it begins with."""

    async def stop(self) -> None:
        """Leave no process, mount or port behind."""

    def stack_settings(self) -> dict[str, Any]:
        """Keys for the stack file, with their namespace."""

    def listing(self) -> dict[str, dict[str, str]]:
        """Faults that are on: target -> name -> value."""

    async def switch(self, target: str, name: str, on: bool, value: str = "") -> None:
        """Turn a fault on or off."""


def load(datacentre: Datacentre, wanted: Collection[str] | None = None) -> list[Extension]:
    """The extensions that exist; with names (`aws`, `github`, `registry`), those alone."""
    found: list[Extension] = []
    for module in MODULES:
        package = module.rpartition(".")[0]
        if wanted is not None and package.rpartition(".")[2] not in wanted:
            continue
        if importlib.util.find_spec(package) is not None and importlib.util.find_spec(module) is not None:
            found.append(importlib.import_module(module).create(datacentre))
    return found
