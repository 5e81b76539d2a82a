"""What stands before the registry: packages that are private, and denied to whom has not logged in, as GHCR does it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

import aiohttp
from aiohttp import web

# The token of whoever gave a name and a password, as the workflow does.
_LOGGED_IN = "logged-in"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


def _listening(host: str, port: int) -> socket.socket | None:
    """A socket that listens there; None where the port is taken. Without listening, a second one could be bound beside it."""
    found = socket.socket()
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(128)
    except OSError:
        found.close()
        return None
    return found


class Gate:
    """A reverse proxy on HOST. `private` are packages (OWNER/NAME) that nobody gets without a login.

    Its port is the one that is WANTED where that is free, and taken at once: another one that was copied from the same place
    wants it, too.
    """

    def __init__(self, host: str, wanted: int) -> None:
        self.host = host
        self._socket: socket.socket | None = _listening(host, wanted) or _listening(host, 0)
        if self._socket is None:
            raise OSError(f"no free port on {host}")
        self.port = int(self._socket.getsockname()[1])
        self.private: set[str] = set()
        self.behind = ""
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    async def open(self, behind: str) -> None:
        """Listen, and pass on to the registry at BEHIND, like http://127.0.0.1:5000."""
        self.behind = behind
        # Layers are passed on as they are.
        self._client = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/token", self._token)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        self._socket = self._socket or _listening(self.host, self.port)
        if self._socket is None:
            raise OSError(f"port {self.port} of {self.host} was taken by another program while nothing listened on it")
        await web.SockSite(self._runner, self._socket).start()

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()
        if self._socket is not None:
            self._socket.close()
        self._runner = self._client = self._socket = None

    async def _token(self, request: web.Request) -> web.Response:
        """GHCR gives a token for a public package without a login, and denies one for a private."""
        if request.headers.get("Authorization", "").startswith("Basic "):
            return web.json_response({"token": _LOGGED_IN})
        scopes: Iterable[str] = request.query.getall("scope", [])
        if any(scope.split(":")[1] in self.private for scope in scopes if scope.startswith("repository:")):
            return _errors(403, "DENIED", "requested access to the resource is denied")
        return web.json_response({"token": "anonymous"})

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        if self._is_private(request.path) and request.headers.get("Authorization") != f"Bearer {_LOGGED_IN}":
            name = request.path.removeprefix("/v2/").rpartition("/manifests/")[0] or request.path
            realm = f'Bearer realm="http://{self.host}:{self.port}/token",service="registry",scope="repository:{name}:pull"'
            return _errors(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": realm})
        # A client that looks whether this registry wants a login at all: it does once a package is private.
        if request.path == "/v2/" and self.private and "Authorization" not in request.headers:
            realm = f'Bearer realm="http://{self.host}:{self.port}/token",service="registry"'
            return _errors(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": realm})
        assert self._client is not None
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
        body = await request.read() if request.body_exists else None
        with contextlib.suppress(aiohttp.ClientError):
            async with self._client.request(
                request.method, self.behind + request.raw_path, headers=headers, data=body, allow_redirects=False
            ) as answer:
                kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP_BY_HOP}
                if request.method == "HEAD" and "Content-Length" in answer.headers:
                    kept["Content-Length"] = answer.headers["Content-Length"]
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
        return _errors(502, "UNAVAILABLE", "the registry is not there")

    def _is_private(self, path: str) -> bool:
        return any(path.startswith(f"/v2/{package}/") for package in self.private)


def _errors(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status, headers=headers)
