"""step-ca itself, started with the generated ca.json and keys made here: what it signs, and what it refuses."""

import base64
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .step_ca import Authority, base64url, settings, sign, ssh_certificate, ssh_sign, started

__all__ = ["settings"]

NOW = datetime.now(UTC)


@pytest.fixture
def authority(checker: Callable[[str], str], settings: dict[str, Any], tmp_path: Path) -> Iterator[Authority]:
    # Keycloak is not there yet, as on the first day.
    yield from started(checker("step-ca"), settings, tmp_path, "https://127.0.0.1:1/.well-known/openid-configuration")


def test_starts_without_keycloak(authority: Authority) -> None:
    listed = authority.request("/provisioners?limit=100")[1]["provisioners"]
    states = {one["name"]: one.get("state", "") for one in listed}
    # What wake-oidc.sh looks for.
    assert states == {"acme": "", "keycloak": "Uninitialized", "hosts": "", "sshpop": ""}


def test_publishes_the_revocation_list_where_certificates_say(authority: Authority, settings: dict[str, Any]) -> None:
    path = "/" + settings["crl"]["idpURL"].split("/", 3)[3]
    listed = x509.load_der_x509_crl(authority.request(authority.plain + path)[1])
    assert listed.issuer == x509.load_pem_x509_certificate(authority.intermediate.cert_pem.bytes()).subject
    assert settings["authority"]["provisioners"][0]["options"]["x509"]["templateData"]["crl"] == settings["crl"]["idpURL"]


@pytest.mark.parametrize(
    ("name", "accepted"),
    [("grafana.home.example.org", True), ("home.example.org", True), ("example.net", False), ("a.b.home.example.org", False)],
)
def test_acme_takes_orders_for_the_sites_names_only(authority: Authority, name: str, accepted: bool) -> None:
    directory = authority.request("/acme/acme/directory")[1]
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url(numbers.x.to_bytes(32, "big")),
        "y": base64url(numbers.y.to_bytes(32, "big")),
    }
    nonce = authority.request(directory["newNonce"])[2]

    def post(url: str, header: dict[str, Any], payload: dict[str, Any]) -> tuple[int, Any, str]:
        protected, body, signature = sign(key, {"nonce": nonce, "url": url, **header}, payload)
        return authority.request(url, {"protected": protected, "payload": body, "signature": signature}, "application/jose+json")

    status, account, nonce = post(directory["newAccount"], {"jwk": jwk}, {"termsOfServiceAgreed": True})
    assert status == 201, account
    kid = account["orders"].removesuffix("/orders")
    order = {"identifiers": [{"type": "dns", "value": name}]}
    status, answer, _ = post(directory["newOrder"], {"kid": kid}, order)
    assert (status == 201) == accepted, answer
    assert accepted or answer["type"].endswith("rejectedIdentifier")


def host_token(authority: Authority, name: str, audience: str, extra: dict[str, Any]) -> str:
    leaf = authority.intermediate.issue_cert(name, common_name=name, key_type=trustme.KeyType.ECDSA)
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    chain = [base64.b64encode(ssl.PEM_cert_to_DER_cert(one.bytes().decode())).decode() for one in leaf.cert_chain_pems]
    times = {"iat": int(time.time()), "nbf": int(time.time()) - 5, "exp": int(time.time()) + 120}
    claims = {
        "aud": authority.url + audience,
        "iss": "hosts",
        "sub": name,
        "jti": base64url(NOW.isoformat().encode()),
        **times,
        **extra,
    }
    return ".".join(sign(key, {"typ": "JWT", "x5c": chain}, claims))


def ssh_host(authority: Authority, name: str, principals: list[str]) -> tuple[int, Any]:
    wish = {"certType": "host", "keyID": name, "principals": principals}
    token = host_token(authority, name, "/1.0/ssh/sign#x5c/hosts", {"step": {"ssh": wish}})
    return ssh_sign(authority, token, "host")


def test_a_host_gets_an_ssh_certificate_for_its_own_names(authority: Authority) -> None:
    status, answer = ssh_host(authority, "media.home.example.org", ["gateway.home.example.org"])
    assert status == 201, answer
    made = ssh_certificate(answer)
    # What the token asks for does not matter: the certificate it was signed with does.
    assert made.valid_principals == [b"media.home.example.org"]


def test_no_ssh_certificate_outside_the_domain(authority: Authority) -> None:
    status, answer = ssh_host(authority, "media.example.net", ["media.example.net"])
    assert status == 403, answer


def test_a_hosts_certificate_buys_no_other_certificate(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    wanted = x509.DNSName("gateway.home.example.org")
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted.value)]))
        .add_extension(x509.SubjectAlternativeName([wanted]), critical=False)
        .sign(key, hashes.SHA256())
    )
    token = host_token(authority, "media.home.example.org", "/1.0/sign#x5c/hosts", {"sans": [wanted.value]})
    csr = request.public_bytes(serialization.Encoding.PEM).decode()
    status, answer, _ = authority.request("/1.0/sign", {"csr": csr, "ott": token})
    assert status >= 400 and "crt" not in answer
