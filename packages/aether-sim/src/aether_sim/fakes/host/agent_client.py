#!/usr/bin/env python3
# mypy: ignore-errors
"""Hand this command to the supervisor and print what it answers (systemctl, journalctl, reboot, pct, qm …).

Installed under the name of each command that the supervisor serves; see fakes/served.
Frames of the answer: o stdout, e stderr, x exit code; each a letter, a 32-bit length and the bytes. Commands that read
their standard input send it in pieces, each with a 32-bit length, an empty one at its end.
"""

import _socket  # type: ignore[import-not-found]  # socket imports ten modules more, and this starts often
import os
import sys

SOCKET = "/run/aether-sim/agent.sock"


def reads_stdin(argv: list[str]) -> bool:
    """Whether the command takes standard input."""
    if argv[0] in ("sudo", "nix-daemon-socket"):
        return True
    return "--pass-stdin" in argv or (argv[0] == "pct" and argv[1:2] in (["exec"], ["enter"]))


class Answer:
    """Takes the answer apart; `code` is set at its end."""

    def __init__(self) -> None:
        self.buffer = b""
        self.code: int | None = None

    def feed(self, data: bytes) -> None:
        """Print what is complete."""
        self.buffer += data
        while len(self.buffer) >= 5:
            size = int.from_bytes(self.buffer[1:5], "big")
            if len(self.buffer) < 5 + size:
                return
            kind, body, self.buffer = self.buffer[:1], self.buffer[5 : 5 + size], self.buffer[5 + size :]
            if kind == b"x":
                self.code = int(body)
                return
            while body:
                body = body[os.write(1 if kind == b"o" else 2, body) :]


def main() -> int:
    """Run the command; its exit code."""
    argv = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.connect(SOCKET)
    except OSError:
        sys.stderr.write("System has not been booted with systemd as init system. Can't operate.\n")
        return 1
    body = b"\0".join(os.fsencode(part) for part in (os.getcwd(), *argv))
    sock.sendall(len(body).to_bytes(4, "big") + body)
    feeding = reads_stdin(argv)
    answer = Answer()
    while answer.code is None:
        if feeding:
            import select

            ready = select.select([sock, 0], [], [])[0]
            if 0 in ready:
                piece = os.read(0, 65536)
                try:
                    sock.sendall(len(piece).to_bytes(4, "big") + piece)
                    feeding = bool(piece)
                except OSError:
                    # The command ended without reading all of it; its answer is still to be read.
                    feeding = False
            if sock not in ready:
                continue
        try:
            data = sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            # The machine went down under the command.
            return 255
        answer.feed(data)
    return answer.code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)
