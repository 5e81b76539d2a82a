"""The owner of a fleet: the key that reads every secret, and the certificates that are made for a new one."""

import subprocess
from pathlib import Path

from inventory import agekey, pki
from inventory.models import Site
from inventory.secret_store import tool


def authorities(repository: Path, site: Site, key_file: Path) -> dict[str, str]:
    """New certificates in nix/pki/, the root's key beside KEY_FILE; the other private keys by HOST/KEY."""
    keys = dict(pki.renew(repository / "nix" / "pki", site.name.capitalize(), site.domain))
    if root := keys.pop(pki.ROOT_KEY, None):
        path = unused(key_file.with_name("pki-root.key"))
        path.touch(mode=0o600)
        path.write_text(root)
        print(f"{path}: key of your root certificate. Keep it off this machine: it signs new intermediates alone")
    return keys


def owner_recipient(key_file: Path) -> str:
    """Recipient of the owner's key, which is made where there is none."""
    if not key_file.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        subprocess.run([tool("age-keygen"), "-o", str(key_file)], check=True, capture_output=True)
        print(f"{key_file}: your private key. Keep a copy off this machine: without it nothing can be decrypted")
    return recipient_of(key_file.read_text())


def recipient_of(text: str) -> str:
    """Recipient of a private key, an age identity or an unencrypted SSH one.

    Raises:
        ValueError: it is none.
    """
    if "OPENSSH PRIVATE KEY" in text:
        return agekey.recipient(agekey.public_key(text))
    run = subprocess.run([tool("age-keygen"), "-y"], input=text, capture_output=True, text=True, check=False)
    if run.returncode or not run.stdout.strip():
        raise ValueError("it is no age identity and no SSH key")
    return run.stdout.split()[0]


def unused(path: Path) -> Path:
    """PATH, or PATH with a number where that is taken: the key of another root is not written over."""
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}.{number}")
    return found
