"""What simulated services answer with on the host's own address: TCP accepts, HTTP says its status."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from sim.hosts.units import Listen

if TYPE_CHECKING:
    from sim.hosts.host import Host


async def serve(host: Host, unit: str, listen: Listen) -> asyncio.AbstractServer:
    """Listen as the unit. Raises OSError (the port is taken, or may not be opened)."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            if listen.protocol == "tcp":
                await reader.read(1)
            else:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
                body = f"{host.name} {unit}\n".encode()
                status = host.site.answer(host, unit, _host_of(head), listen.status) if host.site.answer else listen.status
                reason = "OK" if status == 200 else "Simulated"
                lines = f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\n"
                lines += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write(lines.encode() + (b"" if head.startswith(b"HEAD ") else body))
                await writer.drain()
        writer.close()

    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host.sim_address, listen.port))
        context = host.tls_context() if listen.protocol == "https" else None
        return await asyncio.start_server(answer, sock=sock, ssl=context)
    except OSError:
        sock.close()
        raise


def _host_of(head: bytes) -> str:
    """The name that a request is for, without the port."""
    for line in head.decode("latin-1").splitlines():
        field, _, value = line.partition(":")
        if field.lower() == "host":
            return value.strip().partition(":")[0]
    return ""
