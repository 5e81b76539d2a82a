"""User data: what an instance is born with, so that the first connection meets a host key that is known.

Instances read it once, as root (IMDSv2). The private key in it is good for that connection (components/cloud/bootstrap.py).
"""

import re
from collections.abc import Sequence


def cloud_init(hostname: str, private_key: str, public_key: str, authorized_keys: Sequence[str]) -> str:
    """User data for Amazon Linux: a ``#cloud-config`` document (cloud-init modules ssh and set_hostname).

    Written by hand in the order that cloud-init documents, so that the same facts always give the same text.
    """
    lines = [
        "#cloud-config",
        f"hostname: {hostname}",
        "preserve_hostname: false",
        # Keys that the AMI or cloud-init itself made go away: only the one below is left.
        "ssh_deletekeys: true",
        "ssh_genkeytypes: []",
        "ssh_pwauth: false",
        "ssh_keys:",
        "  ed25519_private: |",
        *(f"    {line}" for line in private_key.strip().splitlines()),
        f"  ed25519_public: {_bare(public_key)}",
        "ssh_authorized_keys:",
        *(f"  - {key}" for key in authorized_keys),
    ]
    return "\n".join(lines) + "\n"


def nixos(private_key: str, public_key: str) -> str:
    """User data for a NixOS AMI: the two lines that ``nixos/modules/virtualisation/ec2-data.nix`` looks for.

    Newlines of the private key are written as ``|`` there. Root's key comes from the instance's key pair.
    """
    private = private_key.strip().replace("\n", "|")
    return f"SSH_HOST_ED25519_KEY:{private}|\nSSH_HOST_ED25519_KEY_PUB:{_bare(public_key)}\n"


def public_key(text: str | None) -> str:
    """The public line of the key in user data of either kind: what a machine was born with, whenever that was."""
    found = re.search(r"(?:SSH_HOST_ED25519_KEY_PUB:|ed25519_public: )(ssh-ed25519 \S+)", text or "")
    return found[1] if found else ""


def _bare(key: str) -> str:
    return " ".join(key.split()[:2])
