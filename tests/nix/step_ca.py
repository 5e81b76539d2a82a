"""A running step-ca by the host's settings, and what it is asked."""

import base64
import json
import re
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import SSHCertificate

from .conftest import ROOT, ask


def base64url(data: bytes | dict[str, Any]) -> str:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(key: ec.EllipticCurvePrivateKey, header: dict[str, Any], payload: dict[str, Any]) -> tuple[str, str, str]:
    """A JSON Web Signature (ES256), in its three parts."""
    protected, body = base64url({"alg": "ES256", **header}), base64url(payload)
    r, s = decode_dss_signature(key.sign(f"{protected}.{body}".encode(), ec.ECDSA(hashes.SHA256())))
    return protected, body, base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


@dataclass
class Authority:
    """A running step-ca."""

    url: str
    plain: str
    trust: ssl.SSLContext
    intermediate: trustme.CA

    def request(self, path: str, body: dict[str, Any] | None = None, kind: str = "application/json") -> tuple[int, Any, str]:
        """Status, JSON and the next nonce."""
        data = None if body is None else json.dumps(body).encode()
        url = path if path.startswith("http") else self.url + path
        asked = urllib.request.Request(url, data, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(asked, context=self.trust, timeout=20) as answer:
                text, status, headers = answer.read(), answer.status, answer.headers
        except urllib.error.HTTPError as error:
            text, status, headers = error.read(), error.code, error.headers
        return status, json.loads(text) if text[:1] in b"{[" and text else text, headers.get("Replay-Nonce", "")


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return dict(ask("nixosConfigurations.step-ca.config.services.step-ca.settings"))


def started(program: str, settings: dict[str, Any], tmp_path: Path, issuer: str) -> Iterator[Authority]:
    """PROGRAM by the host's SETTINGS, with keys of its own in TMP_PATH; ISSUER is where people log in."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    https, http = (one.getsockname()[1] for one in sockets)
    for one in sockets:
        one.close()
    root = trustme.CA(key_type=trustme.KeyType.ECDSA)
    intermediate = root.create_child_ca(key_type=trustme.KeyType.ECDSA)
    for name, made in {
        "root": root.cert_pem.bytes(),
        "crt": intermediate.cert_pem.bytes(),
        "key": intermediate.private_key_pem.bytes(),
        "host": pem(ed25519.Ed25519PrivateKey.generate()),
        "user": pem(ed25519.Ed25519PrivateKey.generate()),
    }.items():
        (tmp_path / name).write_bytes(made)

    text = json.dumps(settings)
    text = re.sub(r"/[^\"]*-((?:leaf|ssh-host|ssh-user)\.tpl)", rf"{ROOT}/nix/hosts/oracle/step-ca/\1", text)
    config = json.loads(text) | {name: str(tmp_path / name) for name in ("root", "crt", "key")}
    config |= {
        "ssh": {"hostKey": str(tmp_path / "host"), "userKey": str(tmp_path / "user")},
        "address": f"127.0.0.1:{https}",
        "insecureAddress": f"127.0.0.1:{http}",
    }
    # With it step-ca 0.28 crashes the request when an SSH certificate is refused (nil in its meter), and hides why.
    config.pop("metricsAddress", None)
    config["db"]["dataSource"] = str(tmp_path / "db")
    for provisioner in config["authority"]["provisioners"]:
        if provisioner["type"] == "X5C":
            assert base64.b64decode(provisioner["roots"]) == (ROOT / "nix/pki/root_ca.crt").read_bytes()
            provisioner["roots"] = base64.b64encode((tmp_path / "root").read_bytes()).decode()
        if provisioner["type"] == "OIDC":
            provisioner["configurationEndpoint"] = issuer
    (tmp_path / "ca.json").write_text(json.dumps(config))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program, tmp_path / "ca.json"], stdout=log, stderr=log, env={"HOME": str(tmp_path)})
    trust = ssl.create_default_context(cafile=str(tmp_path / "root"))
    found = Authority(f"https://localhost:{https}", f"http://127.0.0.1:{http}", trust, intermediate)
    try:
        for _ in range(60):
            try:
                assert found.request("/health")[1] == {"status": "ok"}
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.5)
        yield found
    finally:
        process.kill()
        process.wait(20)


def ssh_sign(authority: Authority, token: str, kind: str) -> tuple[int, Any]:
    """What it makes of a new key and a TOKEN: a certificate of a KIND (host, user), or why not."""
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    blob = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).split()[1].decode()
    return authority.request("/1.0/ssh/sign", {"publicKey": blob, "ott": token, "certType": kind})[:2]


def ssh_certificate(answer: dict[str, Any]) -> SSHCertificate:
    made = serialization.load_ssh_public_identity(b"ssh-ed25519-cert-v01@openssh.com " + answer["crt"].encode())
    assert isinstance(made, SSHCertificate)
    return made
