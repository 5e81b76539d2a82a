"""An order as it lies at the cache: lines of KEY VALUE, and below them an SSH signature by the fleet's key.

The key is Nix's, which signs what hosts are sent. As an SSH signature (openssh/openssh-portable, PROTOCOL.sshsig) what it signs
here can be taken for nothing else, and hosts have what reads it: `ssh-keygen -Y verify` (components/nixos/scripts/take-order.sh).
"""

import base64
import binascii
import hashlib
import struct
import textwrap
from dataclasses import dataclass, fields

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NAMESPACE = "aether-order"
NONE = "-"
"""Closure and desired system of an order that takes back the one before."""
_HEAD = "aether order 1"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"


@dataclass(frozen=True)
class Order:
    """What a host is to become. Times are seconds since 1970, by the operator's clock."""

    host: str
    closure: str
    """Store path; NONE: what was ordered before is not wanted any more."""
    desired: str
    """What the host is told to have been deployed: a drvPath or source:HASH."""
    by: str
    """USER@MACHINE who left it."""
    revision: str
    """Commit of the repository, with a + where files differed; - outside of git."""
    at: int
    """When it was left; a host takes none that is as old as one before, or older."""
    since: int
    """When the first order of this desired system was left: one that is renewed keeps it."""
    expires: int
    window: int
    """Seconds until a trial that is not confirmed reverts."""
    settle: int
    """Seconds for which health has to hold."""
    may_fail: str = ""
    """Units, or globs of them, in one text, whose failure reverts nothing."""

    @property
    def withdrawn(self) -> bool:
        return self.closure == NONE

    def text(self) -> str:
        """What is signed."""
        lines = (f"{field.name} {getattr(self, field.name)}".rstrip() for field in fields(self))
        return "".join(f"{line}\n" for line in (_HEAD, *lines))


def signed(order: Order, key: str) -> str:
    """The whole document; KEY is a secret key of Nix's (NAME:BASE64 of seed and public half).

    Raises:
        ValueError: that is no such key.
    """
    try:
        raw = base64.b64decode(key.partition(":")[2], validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != 64:
        raise ValueError("the fleet's signing key is no secret key of Nix's")
    text = order.text()
    private = Ed25519PrivateKey.from_private_bytes(raw[:32])
    digest = hashlib.sha512(text.encode()).digest()
    signature = private.sign(b"SSHSIG" + _packed(NAMESPACE.encode(), b"", b"sha512", digest))
    public = _packed(b"ssh-ed25519", private.public_key().public_bytes_raw())
    blob = b"SSHSIG" + struct.pack(">I", 1) + _packed(public, NAMESPACE.encode(), b"", b"sha512")
    blob += _packed(_packed(b"ssh-ed25519", signature))
    armoured = "\n".join(textwrap.wrap(base64.b64encode(blob).decode(), 70))
    return f"{text}{_BEGIN}\n{armoured}\n{_END}\n"


def parsed(document: str) -> Order | None:
    """The order of a DOCUMENT, whose signature is not looked at; None where it is none, or of another version."""
    lines = document.partition(_BEGIN)[0].splitlines()
    if lines[:1] != [_HEAD]:
        return None
    said = {key: value for key, _, value in (line.partition(" ") for line in lines[1:])}
    try:
        values = {field.name: int(said[field.name]) if field.type is int else said[field.name] for field in fields(Order)}
    except (KeyError, ValueError):
        return None
    return Order(**values)  # type: ignore[arg-type]


def _packed(*parts: bytes) -> bytes:
    """PARTS as SSH's strings."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)
