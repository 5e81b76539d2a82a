"""New values for secrets: which kind each is, is said by ``secrets/names.toml``."""

import base64
import secrets
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inventory import agekey
from inventory.keys import new_ssh_key
from inventory.pki import new_key

UNSET = "REPLACE-ME"
"""Value of a secret that only the owner can know (a token of somebody else's service)."""


def _wireguard() -> str:
    # Any 32 bytes are a key: WireGuard clamps them itself (wg(8), genkey).
    return base64.b64encode(secrets.token_bytes(32)).decode()


def new_signing_key(name: str = "fleet-1") -> str:
    """A secret key of Nix's: NAME, then seed and public key in base64 (nix key generate-secret)."""
    private = Ed25519PrivateKey.generate()
    return f"{name}:{base64.b64encode(private.private_bytes_raw() + private.public_key().public_bytes_raw()).decode()}"


MAKERS: dict[str, Callable[[], str]] = {
    "hex": lambda: secrets.token_hex(32),
    "hex16": lambda: secrets.token_hex(16),
    "base64": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    "wireguard": _wireguard,
    "ssh-key": lambda: new_ssh_key("aether")[0],
    "ec-key": new_key,
    "nix-key": new_signing_key,
    # A hash that no password has: log in by key, until `secrets set` gives a real one.
    "no-password": lambda: "!",
    "ask": lambda: UNSET,
}


@dataclass(frozen=True)
class Names:
    """What ``names.toml`` says."""

    make: Mapping[str, str]
    """Pattern of ``HOST/KEY`` to a kind of MAKERS; the first that matches."""
    same: Sequence[Sequence[str]]
    """Groups of patterns of ``HOST/KEY`` that hold the same value."""
    public: Mapping[str, str]
    """Pattern of ``HOST/KEY`` to the file of the repository that holds its public half."""
    opens: Mapping[str, str] = field(default_factory=dict)
    """Pattern of ``HOST/KEY`` to what it opens, in words."""
    rotate: Sequence[str] = ()
    """Patterns of ``HOST/KEY`` that may be rotated by their age."""
    both: Sequence[str] = ()
    """Patterns of ``HOST/KEY`` whose old and new value are accepted at the same time while they are rotated."""
    one: Mapping[str, str] = field(default_factory=dict)
    """Pattern of ``HOST/KEY`` that is rotated by its name to why it can have one value alone."""

    def kind(self, name: str) -> str:
        """Kind of the secret HOST/KEY; ``hex`` where nothing is said."""
        return next((kind for pattern, kind in self.make.items() if fnmatch(name, pattern)), "hex")

    def value_of(self, name: str) -> str:
        """What HOST/KEY shares its value under: the first pattern of its group, else its own name."""
        return next((group[0] for group in self.same if any(fnmatch(name, each) for each in group)), name)

    def opens_of(self, name: str) -> str:
        """What the secret HOST/KEY opens, in words."""
        return next((text for pattern, text in self.opens.items() if fnmatch(name, pattern)), "what nobody wrote down")

    def rotates(self, name: str) -> bool:
        """Whether HOST/KEY may be rotated by its age."""
        return any(fnmatch(name, pattern) for pattern in self.rotate) and self.kind(name) not in ("ask", "no-password")

    def takes_two(self, name: str) -> bool:
        """Whether those who are shown HOST/KEY can accept two of it."""
        return any(fnmatch(name, pattern) for pattern in self.both)

    def one_alone(self, name: str) -> str:
        """Why HOST/KEY can have one value alone; empty where nothing is said."""
        return next((why for pattern, why in self.one.items() if fnmatch(name, pattern)), "")

    def public_file(self, name: str) -> str | None:
        """File for the public half of HOST/KEY; None when nobody reads it."""
        return next((file for pattern, file in self.public.items() if fnmatch(name, pattern)), None)


def read_names(secrets_dir: Path) -> Names:
    """``names.toml`` of SECRETS_DIR.

    Raises:
        ValueError: it names a kind that there is not.
    """
    path = secrets_dir / "names.toml"
    raw = tomllib.loads(path.read_text()) if path.exists() else {}
    unknown = sorted(set(raw.get("make", {}).values()) - set(MAKERS))
    if unknown:
        raise ValueError(f"{path}: no kind '{unknown[0]}'. Fix: write one of {', '.join(sorted(MAKERS))}")
    return Names(
        raw.get("make", {}), raw.get("same", {}).get("groups", []), raw.get("public", {}),
        raw.get("opens", {}), raw.get("rotate", {}).get("names", []), raw.get("rotate", {}).get("both", []),
        raw.get("rotate", {}).get("one", {}),
    )  # fmt: skip


def public_half(kind: str, value: str) -> str:
    """What the other side is given of a secret of KIND: an SSH or WireGuard public key.

    Raises:
        ValueError: a kind without public half.
    """
    if kind == "ssh-key":
        return agekey.public_key(value)
    if kind == "nix-key":
        name, _, key = value.partition(":")
        return f"{name}:{base64.b64encode(base64.b64decode(key)[32:]).decode()}"
    if kind == "wireguard":
        return base64.b64encode(agekey.x25519(base64.b64decode(value))).decode()
    raise ValueError(f"secrets/names.toml: a secret of kind '{kind}' has no public half. Fix: remove it from [public]")
