"""New values for secrets: which kind each is, is said by ``secrets/names.toml``."""

import base64
import secrets
import subprocess
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from inventory.keys import new_ssh_key

UNSET = "REPLACE-ME"
"""Value of a secret that only the owner can know (a token of somebody else's service)."""


def _wireguard() -> str:
    # Any 32 bytes are a key: WireGuard clamps them itself (wg(8), genkey).
    return base64.b64encode(secrets.token_bytes(32)).decode()


MAKERS: dict[str, Callable[[], str]] = {
    "hex": lambda: secrets.token_hex(32),
    "hex16": lambda: secrets.token_hex(16),
    "base64": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    "wireguard": _wireguard,
    "ssh-key": lambda: new_ssh_key("aether")[0],
    "ec-key": lambda: _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout"),
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
    """Groups of ``HOST/KEY`` that hold the same value."""

    def kind(self, name: str) -> str:
        """Kind of the secret HOST/KEY; ``hex`` where nothing is said."""
        return next((kind for pattern, kind in self.make.items() if fnmatch(name, pattern)), "hex")

    def twins(self, name: str) -> Sequence[str]:
        """Every HOST/KEY that holds the same value as NAME, itself among them."""
        return next((group for group in self.same if name in group), (name,))


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
    return Names(raw.get("make", {}), raw.get("same", {}).get("groups", []))


def _openssl(*arguments: str) -> str:
    run = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True)
    return run.stdout
