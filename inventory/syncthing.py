"""Syncthing's device ids: which certificate has which, and whether one was copied whole.

An id is the SHA-256 of the certificate (DER) in base32, with a check digit after each 13 (Luhn mod 32), in groups of seven:
https://docs.syncthing.net/dev/device-ids.html
"""

import base64
import hashlib
import re
import ssl
import tempfile
from pathlib import Path

from inventory.pki import new_key, self_signed

CERT, KEY = "syncthing-cert", "syncthing-key"
"""Names of a host's identity in its secrets."""
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_ID = re.compile(rf"[{_DIGITS}]{{7}}(-[{_DIGITS}]{{7}}){{7}}")
_DAYS = 20 * 365


def device_id(certificate: str) -> str:
    """The id of whoever shows CERTIFICATE (PEM).

    Raises:
        ValueError: not a certificate.
    """
    digest = base64.b32encode(hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.strip())).digest()).decode().rstrip("=")
    parts = [digest[i : i + 13] for i in range(0, len(digest), 13)]
    whole = "".join(part + _check_digit(part) for part in parts)
    return "-".join(whole[i : i + 7] for i in range(0, len(whole), 7))


def check_device_id(value: str) -> str | None:
    """What is wrong with a device id; None when nothing is."""
    if not _ID.fullmatch(value):
        return "is not a Syncthing device id"
    whole = value.replace("-", "")
    parts = [whole[i : i + 14] for i in range(0, len(whole), 14)]
    if any(_check_digit(part[:-1]) != part[-1] for part in parts):
        return "has a slip: a check digit does not fit"
    return None


def new_identity() -> tuple[str, str]:
    """(certificate, private key) of a new device, PEM.

    Raises:
        RuntimeError: openssl is missing or fails.
    """
    key = new_key()
    with tempfile.TemporaryDirectory(prefix="aether-syncthing-") as folder:
        path = Path(folder, "key")
        path.write_text(key)
        # Syncthing asks for its own name in it.
        extensions = ("subjectAltName=DNS:syncthing", "extendedKeyUsage=serverAuth,clientAuth")
        return self_signed(path, "/CN=syncthing", _DAYS, extensions), key


def _check_digit(text: str) -> str:
    total = 0
    for i, digit in enumerate(text):
        product = _DIGITS.index(digit) * (1 + i % 2)
        total += product // 32 + product % 32
    return _DIGITS[-total % 32]
