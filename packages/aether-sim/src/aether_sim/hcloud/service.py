"""The simulated Hetzner Cloud as a service of the supervisor: a host is up exactly while its server runs."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, ClassVar

from aiohttp import web

from aether_sim.aws.machines import seed_of
from aether_sim.hcloud.api import Api, ApiError
from aether_sim.hcloud.store import Store
from aether_sim.loopback import LoopbackService
from aether_sim.paths import write_atomic

if TYPE_CHECKING:
    from aether_sim.datacentre import Datacentre

# The label that says which host of the inventory a server is.
HOST_LABEL = "aether-host"


class Hcloud(LoopbackService):
    """Answers on 127.N.0.4; target of its faults: `hcloud`."""

    name = "hcloud"
    faults: ClassVar[dict[str, str]] = {
        "rate-limit": "the next VALUE requests (default 1) are refused with rate_limit_exceeded",
        "server-error": "the next VALUE requests (default 1) get 500",
    }

    def __init__(self, datacentre: Datacentre) -> None:
        super().__init__(datacentre, 4)
        self.token = self._token()
        self.store = Store(self.directory)
        for architecture in ("x86", "arm"):
            if not any(image["architecture"] == architecture for image in self.store.things["images"].values()):
                self.store.add(
                    "images", name=None, description="NixOS", type="snapshot", status="available", architecture=architecture,
                    image_size=2.0, disk_size=20, os_flavor="unknown", os_version=None, rapid_deploy=False, deprecated=None,
                    protection={"delete": False}, created_from=None, bound_to=None, deleted=None,
                )  # fmt: skip
        self.api = Api(self.store, self.token, self._follow)
        self.api.before = self._faulty
        self._servers: dict[str, int] = {}
        self._lock = asyncio.Lock()

    def _token(self) -> str:
        file = self.datacentre.paths.keys / "hcloud-token"
        if not file.exists():
            write_atomic(file, secrets.token_hex(32).encode())
        return file.read_text()

    async def start(self) -> None:
        """Listen, and have the servers of before up again."""
        self.store.save()
        await self.listen(self.api.application())
        await self._follow()

    def stack_settings(self) -> dict[str, Any]:
        """Where it answers, and the token that it takes."""
        return {"aether:hcloudEndpoint": f"http://{self.address}:{self.port}/v1", "aether:hcloudToken": self.token}

    def _faulty(self, _: web.Request) -> web.Response | None:
        if self.counts("rate-limit"):
            return ApiError(429, "rate_limit_exceeded", "limit of 3600 requests per hour reached").response()
        if self.counts("server-error"):
            return ApiError(500, "server_error", "an internal error has occurred").response()
        return None

    async def _follow(self) -> None:
        async with self._lock:
            servers = self.store.things["servers"].values()
            live = {server["labels"][HOST_LABEL]: server for server in servers if HOST_LABEL in server["labels"]}
            for name, number in list(self._servers.items()):
                if name not in live or live[name]["id"] != number:
                    del self._servers[name]
                    await self.datacentre.hosts[name].destroy()
            for name, server in live.items():
                await self._power(name, server)

    async def _power(self, name: str, server: dict[str, Any]) -> None:
        facts = self.datacentre.world.hosts.get(name)
        if facts is None:
            self.datacentre.log(f"hcloud: server {server['id']} is for {name}, which is not in the inventory")
            return
        if name not in self._servers:
            host = self.datacentre.make_host(facts)
            host.seed = seed_of({"data": server["user_data"], "id": f"hcloud-{server['id']}"}, name, facts.users)
            self._servers[name] = server["id"]
        host = self.datacentre.hosts[name]
        if server["status"] == "running" and host.state != "up":
            await host.power_on()
        elif server["status"] != "running" and host.state == "up":
            await host.power_off()


def create(datacentre: Datacentre) -> Hcloud:
    """The service of this datacentre."""
    return Hcloud(datacentre)
