"""What a simulated host offers to the parts that it is made of: they know it by this, and the host knows them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol

from aether_sim.hosts.inroot import HostRoot
from aether_sim.hosts.process import User
from aether_sim.world import HostFacts


class BootSurroundings(Protocol):
    """What the simulator gives to all its hosts, as a boot reads it."""

    boot_seconds: float
    operator_key: str
    signing_key: str
    names: dict[str, str]


class Offer(Protocol):
    """A host without its parts. Each of these adds itself for those that come after it (`Faulty`, `Reachable`, `Served`)."""

    name: str
    sim_address: str
    directory: Path
    boots: int
    isolated: bool

    @property
    def facts(self) -> HostFacts: ...

    @property
    def surroundings(self) -> BootSurroundings: ...

    @property
    def root(self) -> HostRoot: ...

    @property
    def pid(self) -> int: ...

    def log(self, message: str) -> None: ...

    def environment(self, user: User) -> dict[str, str]: ...

    def open_terminal(self) -> tuple[int, int, str]: ...

    def tls_context(self) -> ssl.SSLContext: ...

    def answer(self, unit: str, name: str, ready: int) -> int: ...

    def is_elsewhere(self) -> bool: ...

    def authorizes(self, user: str, key: list[str]) -> bool: ...

    def may_forward_to(self, address: str, port: int) -> bool: ...

    async def start_ssh(self) -> bool: ...

    async def reconsider_ssh(self) -> None: ...

    async def set_hostname(self, name: str) -> None: ...

    async def run(self, *command: str) -> tuple[int, str]: ...
