"""What the real step-ca gives a person who logged in, by the evaluated settings: whose account, from where, for how long.

Keycloak's place is taken by an issuer of tokens on loopback: what is tried is what step-ca makes of their groups.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import SSHCertificate

from .test_foundation_step_ca import Authority, base64url, settings, sign, ssh_certificate, ssh_sign, started

__all__ = ["settings"]
HOURS = 3600


class Issuer:
    """Discovery, keys and tokens, as OpenID Connect has them."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        point = {axis: base64url(getattr(numbers, axis).to_bytes(32, "big")) for axis in ("x", "y")}
        jwks = {"keys": [{"kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256", "use": "sig", **point}]}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                discovery = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys", "token_endpoint": f"{issuer.url}/token"}
                body = json.dumps(jwks if self.path == "/keys" else discovery).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, name: str, groups: list[str]) -> str:
        """That NAME, in GROUPS, has just logged in."""
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": "step-ca", "azp": "step-ca", "sub": name, "preferred_username": name, "groups": groups,
            "email": f"{name}@example.org", "email_verified": True, "nonce": name, "iat": now, "nbf": now - 5, "exp": now + 300,
        }  # fmt: skip
        return ".".join(sign(self.key, {"typ": "JWT", "kid": "one"}, claims))


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()


@pytest.fixture
def authority(checker: Callable[[str], str], settings: dict[str, Any], tmp_path: Path, issuer: Issuer) -> Iterator[Authority]:
    endpoint = f"{issuer.url}/.well-known/openid-configuration"
    yield from started(checker("step-ca"), settings, tmp_path, endpoint)


def certificate(authority: Authority, issuer: Issuer, name: str, groups: list[str]) -> SSHCertificate | None:
    """What NAME is given; None where step-ca refuses."""
    status, answer = ssh_sign(authority, issuer.token(name, groups), "user")
    if status != 201:
        assert status in (401, 403), answer
        return None
    return ssh_certificate(answer)


@pytest.fixture
def operator(settings: dict[str, Any]) -> str:
    return str(settings["authority"]["policy"]["ssh"]["user"]["allow"]["principal"][0])


def test_an_administrator_is_themselves_and_may_deploy(authority: Authority, issuer: Issuer, operator: str) -> None:
    made = certificate(authority, issuer, operator, ["family", "admins"])
    assert made is not None
    assert made.valid_principals == [operator.encode(), b"deploy"] and not made.critical_options
    assert made.valid_before - time.time() < 9 * HOURS, "for a working day"
    assert made.key_id == f"{operator}@example.org".encode(), "sshd's log says who"


def test_a_deployer_may_deploy_alone_from_where_operators_are(authority: Authority, issuer: Issuer) -> None:
    made = certificate(authority, issuer, "alice", ["deployers"])
    assert made is not None
    assert made.valid_principals == [b"deploy"]
    assert made.critical_options == {b"source-address": b"192.168.1.0/24"}
    assert made.key_id == b"alice@example.org"


@pytest.mark.parametrize(("name", "groups"), [("bob", ["family"]), ("bob", []), ("root", ["admins"]), ("bob", ["admins"])])
def test_nobody_else_gets_one(authority: Authority, issuer: Issuer, name: str, groups: list[str]) -> None:
    """Nor does an administrator whose name is no account of an operator's."""
    assert certificate(authority, issuer, name, groups) is None
