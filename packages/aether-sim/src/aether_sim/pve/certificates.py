"""The certificates of the simulated cluster: a CA of its own (pve-root-ca.pem on a node) and the API's, signed by it."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aether_sim.paths import write_atomic

AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY = "pve-root-ca.pem", "pve-root-ca.key", "api.crt", "api.key"
PVE_IDENTITY = (AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY, "settings.json", "granted.json")
"""Files of the simulated cluster that are not about what it holds: its keys, its port, and its token with what that may do."""
_DAYS = 3650


def ensure(directory: Path, address: str) -> None:
    """Make the CA, and the certificate and key of an API at ADDRESS, unless they are there.

    An API that answers elsewhere than the last time has another certificate, by the same CA.
    """
    if not all((directory / name).exists() for name in (AUTHORITY, AUTHORITY_KEY)):
        _make_authority(directory)
        (directory / CERTIFICATE).unlink(missing_ok=True)
    kept = directory / CERTIFICATE
    if not kept.exists() or x509.load_pem_x509_certificate(kept.read_bytes()).subject != _name(address):
        _make_certificate(directory, address)


def _make_authority(directory: Path) -> None:
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("Proxmox Virtual Environment")
    authority = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_atomic(directory / AUTHORITY_KEY, _private(key))
    write_atomic(directory / AUTHORITY, authority.public_bytes(serialization.Encoding.PEM), 0o644)


def _make_certificate(directory: Path, address: str) -> None:
    authority = x509.load_pem_x509_certificate((directory / AUTHORITY).read_bytes())
    signer = serialization.load_pem_private_key((directory / AUTHORITY_KEY).read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.IPAddress(ipaddress.ip_address(address)), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        _builder(_name(address), authority.subject, key.public_key())
        .add_extension(x509.SubjectAlternativeName([*names, x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    write_atomic(directory / KEY, _private(key))
    # With its CA, as pveproxy sends it.
    write_atomic(directory / CERTIFICATE, certificate.public_bytes(pem) + authority.public_bytes(pem), 0o644)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
    )
