"""The page, live: a server for the operator's own browser."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ops.status import page
from ops.status.facts import Fleet

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Latest:
    """The fleet, asked for again when what is known is older than EVERY seconds and somebody wants to see it."""

    def __init__(self, look: Callable[[], Fleet], every: float) -> None:
        self._look, self._every = look, every
        self._lock = threading.Lock()
        self._fleet: Fleet | None = None
        self._at = 0.0

    def get(self) -> Fleet:
        # Those who come meanwhile wait for the same answer.
        with self._lock:
            if self._fleet is None or time.monotonic() - self._at >= self._every:
                self._fleet = self._look()
                self._at = time.monotonic()
            return self._fleet


def server(latest: Latest, address: str, port: int, every: int) -> ThreadingHTTPServer:
    """A server of the page (``/``), its changing part (``/main``) and the facts (``/status.json``); port 0 is any free one.

    Raises:
        OSError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A page of somebody else's that gets its name to mean this address must not read the fleet.
            named = (self.headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
            if address in LOOPBACK and named not in LOOPBACK:
                self.send_error(421, "asked by another name")
                return
            made: Callable[[Fleet], tuple[str, str]] | None = {
                "/": lambda fleet: ("text/html", page.whole(fleet, every)),
                "/main": lambda fleet: ("text/html", page.main(fleet)),
                "/status.json": lambda fleet: ("application/json", json.dumps(fleet.as_json(), indent=2)),
            }.get(self.path.partition("?")[0])
            if made is None:
                self.send_error(404)
                return
            kind, text = made(latest.get())
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the terminal is the operator's."""

    return ThreadingHTTPServer((address, port), Handler)
