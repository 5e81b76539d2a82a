"""The simulated GitHub as a service of the supervisor, with its faults."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, ClassVar

from aiohttp import web

from sim import cloud_facts
from sim.github.api import Api
from sim.github.store import Store
from sim.paths import write_atomic

if TYPE_CHECKING:
    from sim.supervisor import Supervisor


class GitHub:
    """Answers on 127.N.0.3; target of its faults: `github`."""

    name = "github"
    faults: ClassVar[dict[str, str]] = {
        "rate-limit": "the next VALUE requests (default 1) are refused until a second has passed, as the primary rate limit does",
        "abuse-limit": "the next VALUE writes (default 1) are refused with Retry-After: 1, as the secondary rate limit does",
        "server-error": "the next VALUE requests (default 1) get 502",
        "expired-token": "every request gets 401, as with a token that has expired or was revoked",
    }

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.address = f"127.{supervisor.block}.0.3"
        self.directory = supervisor.paths.state / "github"
        self.token = self._token()
        self.api = Api(Store(self.directory), cloud_facts.load(supervisor.inventory_files()).owner, self.token, supervisor.log)
        self.api.before = self._faulty
        self.on: dict[str, int] = {}
        self._runner: web.AppRunner | None = None
        self.port = 0

    def _token(self) -> str:
        file = self.supervisor.paths.keys / "github-token"
        if not file.exists():
            write_atomic(file, ("ghp_" + secrets.token_hex(18)).encode())
        return file.read_text()

    async def start(self) -> None:
        """Listen, on the port of last time when it is free."""
        self._runner = web.AppRunner(self.api.application(), access_log=None)
        await self._runner.setup()
        kept = self.directory / "port"
        for port in (int(kept.read_text()) if kept.exists() else 0, 0):
            site = web.TCPSite(self._runner, self.address, port)
            try:
                await site.start()
            except OSError:
                continue
            break
        self.port = self._runner.addresses[0][1]
        write_atomic(kept, str(self.port).encode())

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    def stack_settings(self) -> dict[str, Any]:
        """Where it answers, and the token that it takes."""
        return {"aether:githubBaseUrl": f"http://{self.address}:{self.port}/", "aether:githubToken": self.token}

    def listing(self) -> dict[str, dict[str, str]]:
        """Faults that are on, with how many requests are left."""
        return {"github": {name: str(left) for name, left in self.on.items()}} if self.on else {}

    async def switch(self, target: str, name: str, on: bool, value: str = "") -> None:
        """Turn a fault on (for VALUE requests) or off."""
        self.on.pop(name, None)
        if on:
            self.on[name] = int(value or 1)

    def _faulty(self, request: web.Request) -> web.Response | None:
        if "expired-token" in self.on:
            return _refuse(401, "Bad credentials")
        if self._counts("server-error"):
            return _refuse(502, "Server Error")
        if self._counts("rate-limit"):
            headers = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 1)}
            return _refuse(403, "API rate limit exceeded for user ID 1.", headers)
        if request.method != "GET" and self._counts("abuse-limit"):
            return _refuse(
                403,
                "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
                {"Retry-After": "1"},
            )
        return None

    def _counts(self, name: str) -> bool:
        left = self.on.get(name, 0)
        if left <= 0:
            return False
        self.on[name] = left - 1
        if left == 1:
            del self.on[name]
        return True


def _refuse(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    # Clients tell the secondary limit by the end of this link.
    about = "about-secondary-rate-limits" if "secondary" in message else "about-primary-rate-limits"
    link = f"https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#{about}"
    return web.json_response({"message": message, "documentation_url": link}, status=status, headers=headers)


def create(supervisor: Supervisor) -> GitHub:
    """The service of this supervisor."""
    return GitHub(supervisor)
