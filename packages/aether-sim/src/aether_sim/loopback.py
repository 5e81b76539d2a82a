"""What simulated web services share: an address of their own, a port that stays, faults that hold for so many requests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from aiohttp import web

from aether_sim.paths import write_atomic

if TYPE_CHECKING:
    from aether_sim.datacentre import Datacentre


class LoopbackService:
    """An extension that answers HTTP on 127.N.0.HOST; target of its faults: its name."""

    name: ClassVar[str]
    faults: ClassVar[Mapping[str, str]]

    def __init__(self, datacentre: Datacentre, host: int) -> None:
        self.datacentre = datacentre
        self.address = f"127.{datacentre.block}.0.{host}"
        self.directory: Path = datacentre.paths.state / self.name
        self.on: dict[str, int] = {}
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def listen(self, app: web.Application) -> None:
        """Serve APP, on the port of last time when it is free."""
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        kept = self.directory / "port"
        for port in (int(kept.read_text()) if kept.exists() else 0, 0):
            try:
                await web.TCPSite(self._runner, self.address, port).start()
            except OSError:
                continue
            break
        self.port = self._runner.addresses[0][1]
        write_atomic(kept, str(self.port).encode())

    async def filled(self) -> None:
        """It begins with nothing."""

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    def listing(self) -> dict[str, dict[str, str]]:
        """Faults that are on, with how many requests are left."""
        return {self.name: {name: str(left) for name, left in self.on.items()}} if self.on else {}

    async def switch(self, target: str, name: str, on: bool, value: str = "") -> None:
        """Turn a fault on (for VALUE requests) or off."""
        self.on.pop(name, None)
        if on:
            self.on[name] = int(value or 1)

    def counts(self, name: str) -> bool:
        """Whether a fault holds for this request, which is then one of those it holds for."""
        left = self.on.get(name, 0)
        if left <= 0:
            return False
        self.on[name] = left - 1
        if left == 1:
            del self.on[name]
        return True
