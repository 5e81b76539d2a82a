"""The SSH host key that a machine is born with. It is good for one connection: the one that brings the machine's own.

User data stay readable, by the machine and by whoever may describe it, and are in Pulumi's state. A host's own key is also its
age key, so user data hold another one. It follows from the own key by HKDF (RFC 5869), which nobody turns round.
"""

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_RAW = serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()


def bootstrap_key(host: str, private_key: str) -> tuple[str, str]:
    """Private half (OpenSSH PEM) and public line of the key that HOST is born with, from its own PRIVATE_KEY.

    Raises:
        ValueError: PRIVATE_KEY is no unencrypted OpenSSH Ed25519 private key.
    """
    own = serialization.load_ssh_private_key(private_key.strip().encode() + b"\n", None)
    if not isinstance(own, Ed25519PrivateKey):
        raise ValueError(f"the SSH host key of {host} is not an Ed25519 key")
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=f"aether bootstrap {host}".encode()).derive(own.private_bytes(*_RAW))
    key = Ed25519PrivateKey.from_private_bytes(derived)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    return private, public
