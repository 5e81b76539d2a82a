"""What the real step-ca gives a person who logged in, by the evaluated settings: whose account, from where, for how long; and
whom a real sshd lets in by it, on two hosts of a fleet with a group that deploys one of them.

Keycloak's place is taken by an issuer of tokens on loopback: what is tried is what step-ca makes of their groups.
"""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, SSHCertificate, load_pem_private_key

from . import sshd
from .conftest import evaluated, replace
from .step_ca import Authority, base64url, settings, sign, ssh_certificate, ssh_sign, started

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


HOMELAB = Path("inventory/homelab.toml")
# What a host's sshd is made of.
SSHD = """config: {
  inherit (config.services.openssh) extraConfig settings;
  file = if config.environment.etc ? "ssh/aether-deployers"
    then { inherit (config.environment.etc."ssh/aether-deployers") text mode; } else null;
}"""


def with_a_group(copy: Path) -> None:
    """media and iot are deployed without being root, and a group deploys the first of them."""
    for host in ("media", "iot"):
        replace(copy / HOMELAB, f"[hosts.{host}]\n", f'[hosts.{host}]\nssh_user = "deploy"\n')
    replace(copy / HOMELAB, "[rollout]\n", '[deployers.media]\nhosts = ["media"]\n\n[rollout]\n')


REALM = 'config.sops.templates."homelab-realm.json".content'


@pytest.fixture
def of(copy: Path) -> Callable[..., Any]:
    """What a host is evaluated to in such a fleet."""
    with_a_group(copy)
    return lambda host, what, apply=None: evaluated(copy, f"nixosConfigurations.{host}.{what}", apply)


def test_a_group_opens_its_own_hosts_and_no_other(
    of: Callable[..., Any], checker: Callable[[str], str], tmp_path: Path, issuer: Issuer
) -> None:
    hosts = {name: of(name, "config", SSHD) for name in ("media", "iot")}
    media, iot = hosts["media"], hosts["iot"]
    # A copy: a link into the store, whose folder a group may write to, is none that sshd reads.
    assert media["file"] == {"text": "deploy\ndeploy-media\n", "mode": "0444"}
    assert "AuthorizedPrincipalsFile /etc/ssh/aether-deployers" in media["extraConfig"]
    assert iot["file"] is None and "AuthorizedPrincipalsFile" not in iot["extraConfig"]
    groups = [group["name"] for group in json.loads(of("keycloak", REALM))["groups"]]
    assert groups == ["admins", "family", "deployers", "deployers-media"]
    people = {
        "admin": ["admins"],
        "everywhere": ["deployers"],
        "media": ["deployers-media"],
        "both": ["deployers", "deployers-media"],
    }
    settings = deepcopy(of("step-ca", "config.services.step-ca.settings"))
    operator = settings["authority"]["policy"]["ssh"]["user"]["allow"]["principal"][0]
    (oidc,) = [one for one in settings["authority"]["provisioners"] if one["type"] == "OIDC"]
    assert oidc["options"]["ssh"]["templateData"]["from"] == "192.168.1.0/24"
    # Where operators are is where this test is.
    oidc["options"]["ssh"]["templateData"]["from"] = "127.0.0.0/8"
    endpoint = f"{issuer.url}/.well-known/openid-configuration"
    with ExitStack() as stack:
        (tmp_path / "ca").mkdir()
        ca = stack.enter_context(contextmanager(started)(checker("step-ca"), settings, tmp_path / "ca", endpoint))
        keys = {
            name: certified(ca, tmp_path / name, issuer.token(operator if name == "admin" else name, groups))
            for name, groups in people.items()
        }
        assert certificate(ca, issuer, "nobody", ["deployers-iot"]) is None, "a group that the inventory does not have"
        authority = public_key(tmp_path / "ca/user")
        accounts = [operator, "deploy", "deploy-media"]
        servers = {
            name: stack.enter_context(sshd.started(tmp_path / f"sshd-{name}", hosts[name], authority, accounts))
            for name in ("media", "iot")
        }

        def opened(account: str) -> dict[str, list[str]]:
            return {host: [name for name in people if server.lets_in(account, keys[name])] for host, server in servers.items()}

        assert opened("deploy") == {"media": ["admin", "everywhere", "media", "both"], "iot": ["admin", "everywhere", "both"]}
        # An administrator is themselves on both, and a certificate of the group names no account and no root.
        assert opened(operator) == {"media": ["admin"], "iot": ["admin"]}
        assert opened("root") == {"media": [], "iot": []}
        assert "ID media@example.org" in servers["media"].log, "the log says who"


def test_from_elsewhere_than_operators_are_a_certificate_opens_nothing(
    of: Callable[..., Any], checker: Callable[[str], str], tmp_path: Path, issuer: Issuer
) -> None:
    """The networks of operators are the house's, and this machine is not there."""
    media, settings = of("media", "config", SSHD), of("step-ca", "config.services.step-ca.settings")
    endpoint = f"{issuer.url}/.well-known/openid-configuration"
    with ExitStack() as stack:
        (tmp_path / "ca").mkdir()
        ca = stack.enter_context(contextmanager(started)(checker("step-ca"), settings, tmp_path / "ca", endpoint))
        key = certified(ca, tmp_path / "media", issuer.token("media", ["deployers-media"]))
        server = stack.enter_context(sshd.started(tmp_path / "sshd", media, public_key(tmp_path / "ca/user"), ["deploy"]))
        assert not server.lets_in("deploy", key)
        assert "not from a permitted source address" in server.log


def certified(authority: Authority, key: Path, token: str) -> Path:
    """A new key with the certificate that AUTHORITY gives for TOKEN."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    blob = key.with_suffix(".pub").read_text().split()[1]
    status, answer, _ = authority.request("/1.0/ssh/sign", {"publicKey": blob, "ott": token, "certType": "user"})
    assert status == 201, answer
    Path(f"{key}-cert.pub").write_text(f"ssh-ed25519-cert-v01@openssh.com {answer['crt']}\n")
    return key


def public_key(private: Path) -> str:
    """Of a PEM file, as OpenSSH writes it."""
    made = load_pem_private_key(private.read_bytes(), None)
    assert isinstance(made, Ed25519PrivateKey)
    return made.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + "\n"
