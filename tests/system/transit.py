"""OpenBao's and Vault's transit engine as far as Pulumi's `hashivault` provider speaks to it: encrypt, decrypt with a named key.

A stand-in: neither server could be had from the registries. Paths, verbs and bodies are those of the API's documentation
(/v1/transit/encrypt/KEY, /v1/transit/decrypt/KEY), the token is asked for, and what it encrypts nobody reads without it.
"""

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "of-the-deployment"


@dataclass
class Transit:
    """A running server."""

    url: str
    asked: list[str] = field(default_factory=list)
    """Paths, in order."""


@contextmanager
def transit(key: str) -> Iterator[Transit]:
    """The engine with the one key KEY, which TOKEN may use."""
    cipher, server_of = AESGCM(AESGCM.generate_key(256)), dict[str, Transit]()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            server_of["this"].asked.append(self.path)
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            if self.headers.get("X-Vault-Token") != TOKEN:
                return self.answer(403, {"errors": ["permission denied"]})
            if self.path == f"/v1/transit/encrypt/{key}":
                nonce = os.urandom(12)
                sealed = base64.b64encode(nonce + cipher.encrypt(nonce, base64.b64decode(body["plaintext"]), None)).decode()
                return self.answer(200, {"data": {"ciphertext": f"vault:v1:{sealed}"}})
            if self.path == f"/v1/transit/decrypt/{key}":
                try:
                    sealed_bytes = base64.b64decode(body["ciphertext"].removeprefix("vault:v1:"))
                    plain = cipher.decrypt(sealed_bytes[:12], sealed_bytes[12:], None)
                except (InvalidTag, ValueError):
                    return self.answer(400, {"errors": ["cipher: message authentication failed"]})
                return self.answer(200, {"data": {"plaintext": base64.b64encode(plain).decode()}})
            return self.answer(404, {"errors": []})

        do_POST = do_PUT

        def answer(self, status: int, document: object) -> None:
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server_of["this"] = Transit(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server_of["this"]
        finally:
            server.shutdown()
