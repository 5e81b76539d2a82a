"""The Proxmox provider of a stack."""

import os
from pathlib import Path

import pulumi
import pulumi_proxmoxve as proxmox

from inventory.files import REPOSITORY
from stacks.errors import SettingsError
from stacks.settings import Settings


def proxmox_provider(settings: Settings) -> proxmox.Provider:
    """The provider that every guest uses. It is given no SSH: what needs the node goes over pinned connections instead.

    Raises:
        SettingsError: when endpoint or credentials are missing, or the provider would not know the pinned authority.
    """
    missing = []
    if not settings.proxmox_endpoint:
        missing.append("aether:proxmoxEndpoint https://NODE:8006/")
    if settings.proxmox_api_token is None and (not settings.proxmox_username or settings.proxmox_password is None):
        missing.append("--secret aether:proxmoxApiToken 'USER@REALM!NAME=UUID'")
    if missing:
        raise SettingsError(
            "\n".join(
                f"Pulumi.{settings.stack}.yaml: Proxmox cannot be reached. Fix: pulumi -s {settings.stack} config set {what}"
                for what in missing
            )
        )
    if settings.proxmox_ca and not settings.proxmox_insecure:
        _check_authority(settings)
    return proxmox.Provider(
        "proxmox",
        endpoint=settings.proxmox_endpoint,
        insecure=settings.proxmox_insecure,
        api_token=settings.proxmox_api_token,
        username=settings.proxmox_username or None,
        password=settings.proxmox_password,
        opts=pulumi.ResourceOptions(additional_secret_outputs=["apiToken", "password"]),
    )


def _check_authority(settings: Settings) -> None:
    """The provider has no option for an authority: it takes those of the directories in SSL_CERT_DIR, as all Go programs do."""
    where = f"Pulumi.{settings.stack}.yaml: aether:proxmoxCa"
    authority = (REPOSITORY / settings.proxmox_ca).resolve()
    if not authority.is_file():
        raise SettingsError(
            f"{where}: {settings.proxmox_ca} is not there. Fix: scp root@NODE:/etc/pve/pve-root-ca.pem {settings.proxmox_ca}"
        )
    known = [Path(directory) for directory in os.environ.get("SSL_CERT_DIR", "").split(os.pathsep) if directory]
    text = authority.read_bytes()
    if not any(file.read_bytes() == text for directory in known for file in directory.glob("*.pem")):
        folder = f".aether/authorities/{settings.stack}"
        raise SettingsError(
            f"{where}: the provider would not know {settings.proxmox_ca}. Fix: ./aether --stack {settings.stack} up, or "
            f"mkdir -p {folder} && cp {settings.proxmox_ca} {folder}/ && export SSL_CERT_DIR=$PWD/{folder}"
        )
