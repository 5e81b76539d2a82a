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

AUTHORITY, CERTIFICATE, KEY = "pve-root-ca.pem", "api.crt", "api.key"
PVE_IDENTITY = (AUTHORITY, CERTIFICATE, KEY, "settings.json", "granted.json")
"""Files of the simulated cluster that are not about what it holds: its keys, its port, and its token with what that may do."""
_DAYS = 3650


def ensure(directory: Path, address: str) -> None:
    """Make the CA, and the certificate and key of an API at ADDRESS, unless they are there."""
    if all((directory / name).exists() for name in (AUTHORITY, CERTIFICATE, KEY)):
        return
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = _name("Proxmox Virtual Environment")
    authority = (
        _builder(name, name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    names = [x509.IPAddress(ipaddress.ip_address(address)), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        _builder(_name(address), name, key.public_key())
        .add_extension(x509.SubjectAlternativeName([*names, x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_atomic(directory / KEY, private)
    # With its CA, as pveproxy sends it.
    write_atomic(directory / CERTIFICATE, certificate.public_bytes(pem) + authority.public_bytes(pem), 0o644)
    write_atomic(directory / AUTHORITY, authority.public_bytes(pem), 0o644)


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
