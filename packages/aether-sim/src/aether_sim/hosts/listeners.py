"""What simulated services answer with on the host's own address: TCP accepts, HTTP says its status."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import threading
from pathlib import Path

from aether_sim.hosts.offer import Offer
from aether_sim.hosts.units import Listen

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


async def serve(host: Offer, unit: str, listen: Listen) -> asyncio.AbstractServer:
    """Listen as the unit. Raises OSError (the port is taken, or may not be opened)."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            if listen.protocol == "tcp":
                await reader.read(1)
            else:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
                body = f"{host.name} {unit}\n".encode()
                status = host.answer(unit, _host_of(head), listen.status)
                reason = "OK" if status == 200 else "Simulated"
                lines = f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\n"
                lines += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write(lines.encode() + (b"" if head.startswith(b"HEAD ") else body))
                await writer.drain()
        writer.close()

    sock = bound(host, listen.port)
    try:
        context = host.tls_context() if listen.protocol == "https" else None
        return await asyncio.start_server(answer, sock=sock, ssl=context)
    except OSError:
        sock.close()
        raise


def bound(host: Offer, port: int) -> socket.socket:
    """A TCP socket on the host's own address, in the host's own network where it has one. Raises OSError."""
    sock = _of_its_network(host) if host.isolated else socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host.sim_address, port))
    except OSError:
        sock.close()
        raise
    return sock


def _of_its_network(host: Offer) -> socket.socket:
    """Made by a thread that enters the network: a socket stays where it was made."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            with Path(f"/proc/{host.pid}/ns/net").open() as network:
                if _LIBC.setns(network.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "cannot enter the host's network")
            made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def _host_of(head: bytes) -> str:
    """The name that a request is for, without the port."""
    for line in head.decode("latin-1").splitlines():
        field, _, value = line.partition(":")
        if field.lower() == "host":
            return value.strip().partition(":")[0]
    return ""
