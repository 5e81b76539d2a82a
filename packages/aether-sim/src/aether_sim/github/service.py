"""The simulated GitHub as a service of the datacentre, with its faults."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any, ClassVar

from aiohttp import web

from aether_sim import cloud_facts
from aether_sim.github.actions import Actions, JobFailed
from aether_sim.github.api import Api
from aether_sim.github.environments import Environments
from aether_sim.github.gitdata import GitData
from aether_sim.github.permissions import GRANTED
from aether_sim.github.store import Repository, Store
from aether_sim.loopback import LoopbackService
from aether_sim.paths import write_atomic
from aether_sim.registry.images import ImageError

if TYPE_CHECKING:
    from aether_sim.datacentre import Datacentre


class GitHub(LoopbackService):
    """Answers on 127.N.0.3; target of its faults: `github`."""

    name = "github"
    faults: ClassVar[dict[str, str]] = {
        "rate-limit": "the next VALUE requests (default 1) are refused until a second has passed, as the primary rate limit does",
        "abuse-limit": "the next VALUE writes (default 1) are refused with Retry-After: 1, as the secondary rate limit does",
        "server-error": "the next VALUE requests (default 1) get 502",
        "workflow-fails": "the next VALUE workflow runs (default 1) fail while they build",
        "workflow-slow": "the next VALUE workflow runs (default 1) wait five seconds for a runner",
        "expired-token": "every request gets 401, as with a token that has expired or was revoked",
    }

    def __init__(self, datacentre: Datacentre) -> None:
        super().__init__(datacentre, 3)
        self.token = self._token()
        self.api = Api(Store(self.directory), cloud_facts.load(datacentre.inventory_files()).owner, self.token, datacentre.log)
        self.api.before = self._faulty
        self.api.granted = GRANTED
        self.actions = Actions(self.api, self._publish, self.counts)
        self.api.pushed = self.actions.pushed
        self.api.more += [GitData(self.api).routes, Environments(self.api).routes, self.actions.routes]

    def _token(self) -> str:
        file = self.datacentre.paths.keys / "github-token"
        if not file.exists():
            write_atomic(file, ("ghp_" + secrets.token_hex(18)).encode())
        return file.read_text()

    async def start(self) -> None:
        """Listen."""
        await self.listen(self.api.application())

    async def stop(self) -> None:
        """Close the port, and end workflow runs."""
        await self.actions.stop()
        await super().stop()

    async def _publish(self, repository: Repository, image: str, commit: str) -> str:
        """What the workflow's last job does: the image as `latest` of the registry, signed with the environment's key."""
        from aether_sim.registry.service import Registry

        running: list[object] = [*self.datacentre.extensions]
        registry = next((item for item in running if isinstance(item, Registry) and item.usable), None)
        if registry is None:
            raise JobFailed("Error: the registry does not answer")
        await registry.filled()
        held = {name: repository.secrets.get(f"release/{name}", {}) for name in ("COSIGN_PRIVATE_KEY", "COSIGN_PASSWORD")}
        for name, secret in held.items():
            if not secret:
                raise JobFailed(f"Error: {name} is empty\nError: Process completed with exit code 1.")
        try:
            digest = await asyncio.to_thread(registry.build, image, commit)
        except ImageError as error:
            raise JobFailed(f"Error: {error}") from None
        return f"{registry.reference(image)}@{digest}\n"

    def stack_settings(self) -> dict[str, Any]:
        """Where it answers, and the token that it takes."""
        return {"aether:githubBaseUrl": f"http://{self.address}:{self.port}/", "aether:githubToken": self.token}

    def _faulty(self, request: web.Request) -> web.Response | None:
        if "expired-token" in self.on:
            return _refuse(401, "Bad credentials")
        if self.counts("server-error"):
            return _refuse(502, "Server Error")
        if self.counts("rate-limit"):
            headers = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 1)}
            return _refuse(403, "API rate limit exceeded for user ID 1.", headers)
        if request.method != "GET" and self.counts("abuse-limit"):
            return _refuse(
                403,
                "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
                {"Retry-After": "1"},
            )
        return None


def _refuse(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    # Clients tell the secondary limit by the end of this link.
    about = "about-secondary-rate-limits" if "secondary" in message else "about-primary-rate-limits"
    link = f"https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#{about}"
    return web.json_response({"message": message, "documentation_url": link}, status=status, headers=headers)


def create(datacentre: Datacentre) -> GitHub:
    """The service of this datacentre."""
    return GitHub(datacentre)
