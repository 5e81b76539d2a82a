"""Names of store paths as Nix makes them: 160 bits in Nix's base 32, then the name."""

from __future__ import annotations

ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


def base32(digest: bytes) -> str:
    """Nix's base 32 of a digest folded to 20 bytes (nix: src/libutil/hash.cc, compressHash and printHash32)."""
    folded = bytearray(20)
    for index, byte in enumerate(digest):
        folded[index % 20] ^= byte
    number = int.from_bytes(folded, "little")
    return "".join(ALPHABET[(number >> (5 * place)) & 31] for place in range(31, -1, -1))


def store_name(digest: bytes, name: str) -> str:
    """`HASH-NAME`, what follows /nix/store/."""
    return f"{base32(digest)}-{name}"
