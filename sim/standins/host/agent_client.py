#!/usr/bin/env python3
"""Hand this command to the supervisor and print what it answers (systemctl, journalctl, reboot, pct, qm …).

Installed under the name of each command that the supervisor serves; see sim/standins/served.
Frames of the answer: o stdout, e stderr, x exit code; each a letter, a 32-bit length and the bytes.
"""

import os
import sys

import _socket  # type: ignore[import-not-found]  # socket imports ten modules more, and this starts often

SOCKET = "/run/aether-sim/agent.sock"


def main() -> int:
    argv = [os.path.basename(sys.argv[0]), *sys.argv[1:]]  # noqa: PTH119
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.connect(SOCKET)
    except OSError:
        sys.stderr.write("System has not been booted with systemd as init system. Can't operate.\n")
        return 1
    body = b"\0".join(os.fsencode(part) for part in (os.getcwd(), *argv))  # noqa: PTH109
    sock.sendall(len(body).to_bytes(4, "big") + body)
    buffer = b""
    while True:
        while len(buffer) < 5 or len(buffer) < 5 + int.from_bytes(buffer[1:5], "big"):
            data = sock.recv(65536)
            if not data:
                return 1
            buffer += data
        size = int.from_bytes(buffer[1:5], "big")
        kind, data, buffer = buffer[:1], buffer[5 : 5 + size], buffer[5 + size :]
        if kind == b"x":
            return int(data)
        os.write(1 if kind == b"o" else 2, data)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)
