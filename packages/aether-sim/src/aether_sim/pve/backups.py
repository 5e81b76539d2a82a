"""Backups (vzdump) that hold the lock of a node's guests for a while, as at night."""

import asyncio
from collections.abc import Callable
from typing import Any


class Backups:
    """Starts and ends them; API gives the server of the moment."""

    def __init__(self, api: Callable[[], Any]) -> None:
        self._api = api
        self._running: dict[str, asyncio.Event] = {}

    def switch(self, node: str, on: bool, seconds: float) -> None:
        """Begin one on NODE that ends by itself after SECONDS, or end it."""
        if node in self._running:
            self._running.pop(node).set()
        if on:
            over = self._running[node] = asyncio.Event()
            self._task = asyncio.ensure_future(self._run(node, over, seconds))

    async def _run(self, node: str, over: asyncio.Event, seconds: float) -> None:
        api = self._api()
        guests = [guest for guest in [*api.vms, *api.cts] if guest.node == node and not guest.lock]

        async def body() -> None:
            try:
                await asyncio.wait_for(over.wait(), seconds)
            except TimeoutError:
                pass
            finally:
                for guest in guests:
                    guest.lock = None
                    guest.config.pop("lock", None)

        for guest in guests:
            guest.lock = "backup"
        await api.task(node, "vzdump", "", "root@pam", body, lock=False)
