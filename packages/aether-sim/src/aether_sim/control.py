"""Talk to the supervisor: one JSON line each way over its unix socket."""

from __future__ import annotations

import json
import socket
from typing import Any

from aether_sim.paths import SimPaths, connect_unix


class NotRunning(Exception):
    """No supervisor answers."""


class Failed(Exception):
    """The supervisor refused; the message is for the person at the keyboard."""


def ask(paths: SimPaths, request: dict[str, Any], timeout: float = 120.0) -> Any:
    """Send a request, return its result. Raises NotRunning and Failed."""
    try:
        sock = connect_unix(paths.control, timeout)
    except (OSError, FileNotFoundError) as error:
        raise NotRunning("the simulator is not running; start it with `./aether sim start`") from error
    with sock:
        sock.sendall(json.dumps(request).encode() + b"\n")
        answer = _read_line(sock)
    if "error" in answer:
        raise Failed(answer["error"])
    return answer.get("result")


def _read_line(sock: socket.socket) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        try:
            chunk = sock.recv(65536)
        except TimeoutError:
            raise Failed("the supervisor did not answer in time") from None
        if not chunk:
            raise NotRunning("the supervisor ended while it was asked")
        data += chunk
    loaded = json.loads(data)
    assert isinstance(loaded, dict)
    return loaded
