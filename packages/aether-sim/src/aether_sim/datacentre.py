"""What the services beside Proxmox and the hosts know of the datacentre that they are part of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aether_sim.hosts.host import Host
    from aether_sim.keys import Keys
    from aether_sim.paths import SimPaths
    from aether_sim.world import HostFacts, World


class Datacentre(Protocol):
    """The supervisor, as its services see it."""

    block: int
    """Second number of its loopback addresses."""
    warnings: list[str]

    @property
    def paths(self) -> SimPaths: ...

    @property
    def keys(self) -> Keys: ...

    @property
    def world(self) -> World: ...

    @property
    def hosts(self) -> Mapping[str, Host]: ...

    @property
    def extensions(self) -> Sequence[object]: ...

    def log(self, message: str) -> None: ...

    def inventory_files(self) -> list[Path]: ...

    def make_host(self, facts: HostFacts, kept: str | None = None) -> Host: ...
