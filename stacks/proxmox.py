"""The Proxmox provider of a stack."""

import pulumi
import pulumi_proxmoxve as proxmox

from stacks.settings import Settings, SettingsError


def proxmox_provider(settings: Settings) -> proxmox.Provider:
    """The provider that every guest uses. It is given no SSH: what needs the node goes over pinned connections instead.

    Raises:
        SettingsError: when endpoint or credentials are missing.
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
    return proxmox.Provider(
        "proxmox",
        endpoint=settings.proxmox_endpoint,
        insecure=settings.proxmox_insecure,
        api_token=settings.proxmox_api_token,
        username=settings.proxmox_username or None,
        password=settings.proxmox_password,
        opts=pulumi.ResourceOptions(additional_secret_outputs=["apiToken", "password"]),
    )
