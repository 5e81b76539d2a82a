"""age keys that are SSH Ed25519 keys, as ssh-to-age converts them: a host's SSH key reads its secrets.

An Ed25519 public key is the point (x, y) of the Edwards form of Curve25519; age wants the Montgomery u,
which is (1 + y) / (1 - y). Source: RFC 7748 section 4.1, RFC 8032 section 5.1.5, BIP 173 (bech32).
"""

import base64
import binascii
import hashlib
import struct

_P = 2**255 - 19
_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_MAGIC = b"openssh-key-v1\0"


def recipient(public_key: str) -> str:
    """age recipient (age1…) of an ``ssh-ed25519 AAAA…`` line.

    Raises:
        ValueError: the line is not an Ed25519 public key.
    """
    y = int.from_bytes(_ed25519_point(public_key), "little") & (2**255 - 1)
    u = (1 + y) * pow(1 - y, -1, _P) % _P
    return bech32_encode("age", u.to_bytes(32, "little"))


def identity(private_key: str) -> str:
    """age identity (AGE-SECRET-KEY-1…) of an unencrypted OpenSSH Ed25519 private key.

    Raises:
        ValueError: the key is encrypted, of another type, or no OpenSSH private key.
    """
    scalar = bytearray(hashlib.sha512(_private_parts(private_key)[1]).digest()[:32])
    scalar[0] &= 248
    scalar[31] &= 127
    scalar[31] |= 64
    return bech32_encode("age-secret-key-", bytes(scalar)).upper()


def public_key(private_key: str) -> str:
    """``ssh-ed25519 AAAA…`` of an unencrypted OpenSSH Ed25519 private key.

    Raises:
        ValueError: as for ``identity``.
    """
    point, _seed = _private_parts(private_key)
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", point))
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def x25519(private: bytes) -> bytes:
    """Public key of 32 bytes of X25519 private key (RFC 7748, section 5, the Montgomery ladder)."""
    scalar = int.from_bytes(private, "little") & ~7 & ((1 << 255) - 1) | 1 << 254
    x1, x2, z2, x3, z3, swap = 9, 1, 0, 9, 1, 0
    for position in range(254, -1, -1):
        bit = (scalar >> position) & 1
        if swap != bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        x3, z3 = (da + cb) ** 2 % _P, x1 * (da - cb) ** 2 % _P
        x2, z2 = aa * bb % _P, (aa - bb) * (aa + 121665 * (aa - bb)) % _P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, -1, _P) % _P).to_bytes(32, "little")


def check_recipient(value: str) -> str | None:
    """What is wrong with an age recipient; None when its checksum holds."""
    hrp, _, data = value.rpartition("1")
    if hrp != "age" or any(char not in _CHARSET for char in data):
        return "is not an age recipient"
    words = [_CHARSET.index(char) for char in data]
    return None if _polymod(_expand(hrp) + words) == 1 else "is mistyped: its checksum does not hold"


def check_public_key(value: str) -> str | None:
    """What is wrong with an SSH public key line; None when the key says what its first word says."""
    kind, _, rest = value.partition(" ")
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
        inner, tail = _read(blob)
    except (binascii.Error, ValueError):
        return "is cut off or mistyped: it is not base64 of a key"
    if inner != kind.encode():
        return f"says {kind}, but the key in it is not one"
    if kind == "ssh-ed25519" and (len(tail) != 36 or len(_read(tail)[0]) != 32):
        return "is cut off or mistyped: an Ed25519 key has 32 bytes"
    return None


def bech32_encode(hrp: str, data: bytes) -> str:
    """HRP, the separator 1, DATA in 5-bit words, six words of checksum."""
    number, bits, words = 0, 0, []
    for byte in data:
        number, bits = (number << 8) | byte, bits + 8
        while bits >= 5:
            bits -= 5
            words.append((number >> bits) & 31)
    if bits:
        words.append((number << (5 - bits)) & 31)
    checksum = _polymod(_expand(hrp) + words + [0] * 6) ^ 1
    words += [(checksum >> 5 * (5 - i)) & 31 for i in range(6)]
    return hrp + "1" + "".join(_CHARSET[word] for word in words)


def _polymod(values: list[int]) -> int:
    generators = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(generators):
            if (top >> i) & 1:
                checksum ^= generator
    return checksum


def _expand(hrp: str) -> list[int]:
    return [ord(char) >> 5 for char in hrp] + [0] + [ord(char) & 31 for char in hrp]


def _read(blob: bytes) -> tuple[bytes, bytes]:
    """One length-prefixed string of an SSH structure, and what follows it."""
    if len(blob) < 4:
        raise ValueError("cut off")
    (length,) = struct.unpack(">I", blob[:4])
    if len(blob) < 4 + length:
        raise ValueError("cut off")
    return blob[4 : 4 + length], blob[4 + length :]


def _ed25519_point(public_key: str) -> bytes:
    if not public_key.startswith("ssh-ed25519 "):
        raise ValueError("only an ssh-ed25519 key has an age recipient")
    if problem := check_public_key(public_key):
        raise ValueError(f"the key {problem}")
    return base64.b64decode(public_key.split(" ")[1])[-32:]


def _private_parts(private_key: str) -> tuple[bytes, bytes]:
    """(public point, seed) of an unencrypted OpenSSH Ed25519 private key (PROTOCOL.key of OpenSSH)."""
    body = "".join(line for line in private_key.strip().splitlines() if not line.startswith("-----"))
    try:
        blob = base64.b64decode(body, validate=True)
    except binascii.Error:
        raise ValueError("not an OpenSSH private key") from None
    if not blob.startswith(_MAGIC):
        raise ValueError("not an OpenSSH private key")
    cipher, rest = _read(blob[len(_MAGIC) :])
    if cipher != b"none":
        raise ValueError("the private key has a passphrase: remove it with ssh-keygen -p")
    _kdf, rest = _read(rest)
    _options, rest = _read(rest)
    _public, rest = _read(rest[4:])
    private, _ = _read(rest)
    kind, rest = _read(private[8:])
    if kind != b"ssh-ed25519":
        raise ValueError("only an ssh-ed25519 key has an age identity")
    point, rest = _read(rest)
    return point, _read(rest)[0][:32]
