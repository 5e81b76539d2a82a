"""The address block 127.N.0.0/16 of one simulator, and the ports in it.

A block is claimed by an abstract unix socket: its scope is the network namespace, as that of loopback addresses is,
it works across users, and the kernel lets go of it when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import errno
import random
import socket

FIRST, LAST = 10, 250


class NoBlock(Exception):
    """Every block is taken by another simulator."""


def claim(wanted: int | None, seed: str) -> tuple[int, socket.socket]:
    """Claim the wanted block, or a free one (the same search order for the same seed). The claim lasts as the socket."""
    order = list(range(FIRST, LAST + 1))
    random.Random(seed).shuffle(order)
    for number in [wanted] * (wanted is not None) + order:
        assert number is not None
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(f"\0aether-sim/127.{number}")
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        return number, sock
    raise NoBlock(f"127.{FIRST} to 127.{LAST} are all in use by other simulators; stop one of them")


def free_port(block: int, wanted: int | None, seed: str) -> int:
    """A port that nothing listens on, on any address: every host of the simulator gets its SSH there."""
    source = random.Random(seed)
    candidates = [source.randrange(20000, 32000) for _ in range(200)]
    for port in [wanted] * (wanted is not None) + candidates:
        assert port is not None
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((f"127.{block}.255.254", port))
            return port
    raise NoBlock(f"no free port on 127.{block}.0.0/16")
