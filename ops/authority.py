"""The authority that signed the certificate of a stack's Proxmox API, known to the engine's plugins."""

import os

from inventory.files import REPOSITORY


def authorities(stack: str, setting: str | None) -> dict[str, str]:
    """Environment in which Go programs trust the stack's SETTING aether:proxmoxCa, beside the machine's own authorities.

    The provider has no option for it. Go reads every file of the directories in SSL_CERT_DIR.
    """
    authority = REPOSITORY / setting if setting else None
    if authority is None or not authority.is_file():
        return {}
    copy = REPOSITORY / ".aether/authorities" / stack / "proxmox.pem"
    if not copy.exists() or copy.read_bytes() != authority.read_bytes():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(authority.read_bytes())
    others = os.environ.get("SSL_CERT_DIR") or "/etc/ssl/certs:/etc/pki/tls/certs"
    return {"SSL_CERT_DIR": f"{copy.parent}{os.pathsep}{others}"}
