"""The socket inside each host through which its commands reach the supervisor: that host's affairs, no other's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from aether_sim.hosts.offer import Offer
from aether_sim.paths import bind_unix

Asking = TypeVar("Asking", bound=Offer)
MAX_REQUEST = 1 << 20
_VYOS_SUDO = (["shutdown"], ["poweroff"], ["hostname"])


class Refused(Exception):
    """A command ends with a message on stderr and this exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.message, self.code = message, code


@dataclass
class HostCall(Generic[Asking]):
    """One command of a host: who asks, what, and where the answer goes."""

    host: Asking
    argv: list[str]
    cwd: str
    uid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    pid: int = 0
    """Of the command, as the machine numbers it."""

    def environment(self) -> dict[str, str]:
        """The command's environment."""
        given = Path(f"/proc/{self.pid}/environ").read_bytes().decode(errors="surrogateescape")
        return dict(each.split("=", 1) for each in given.split("\0") if "=" in each)

    def out(self, text: str) -> None:
        """Print a line on the command's stdout."""
        self._frame(b"o", text.encode() + b"\n")

    def err(self, text: str) -> None:
        """Print a line on the command's stderr."""
        self._frame(b"e", text.encode() + b"\n")

    def raw(self, data: bytes, error: bool = False) -> None:
        """Pass bytes on as they are."""
        self._frame(b"e" if error else b"o", data)

    async def stdin(self) -> bytes:
        """The next piece of the command's stdin; empty at its end. Only for commands that the client feeds."""
        try:
            size = int.from_bytes(await self.reader.readexactly(4), "big")
            return await self.reader.readexactly(size)
        except asyncio.IncompleteReadError:
            return b""

    def _frame(self, kind: bytes, data: bytes) -> None:
        self.writer.write(kind + struct.pack(">I", len(data)) + data)

    async def end(self, code: int) -> None:
        """Send the exit code."""
        self._frame(b"x", str(code).encode())
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    def need_root(self, what: str = "Interactive authentication required.") -> None:
        """Refuse a caller who is not root, as polkit does without an agent."""
        if self.uid != 0:
            raise Refused(f"Failed to {what}" if not what.endswith(".") else what)


class Agent(Generic[Asking]):
    """The listening end, one a host, alive while the host is up."""

    def __init__(self, host: Asking, directory: Path, handler: Callable[[HostCall[Asking]], Awaitable[int]]) -> None:
        self.host, self.directory, self.handler = host, directory, handler
        self._server: asyncio.AbstractServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on `agent.sock` in the directory that is bound into the host."""
        self.directory.mkdir(parents=True, exist_ok=True)
        sock = bind_unix(self.directory / "agent.sock")
        (self.directory / "agent.sock").chmod(0o666)
        self._server = await asyncio.start_unix_server(self._serve, sock=sock)

    async def stop(self) -> None:
        """Stop listening; calls under way are cut off, as a power cut would."""
        if self._server is not None:
            self._server.close()
            self._server = None
        current = asyncio.current_task()
        for task in list(self._tasks):
            if task is not current:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            size = int.from_bytes(await reader.readexactly(4), "big")
            if size > MAX_REQUEST:
                return
            cwd, *argv = (await reader.readexactly(size)).decode(errors="surrogateescape").split("\0")
            peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            pid, uid, _ = struct.unpack("3i", peer)
            if self.host.facts.flavour == "vyos" and argv[:1] in _VYOS_SUDO:
                # Operational commands of VyOS run them by sudo.
                uid = 0
            call = HostCall(self.host, argv, cwd, uid, reader, writer, pid)
            try:
                code = await self.handler(call)
            except Refused as refused:
                if refused.message:
                    call.err(refused.message)
                code = refused.code
            await call.end(code)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
