"""The authority of the Proxmox API is pinned: asked through it, refused by another, and known to the provider's process."""

import asyncio
import os
from pathlib import Path

import pytest

from aether_sim.pve import certificates
from aether_sim.pve.server import SimPve
from aether_sim.pve.storage import NodeStores, new_stores
from ops import authority as ops_authority
from ops.authority import authorities
from stacks.cluster import ClusterError, guests
from stacks.errors import SettingsError
from stacks.proxmox import proxmox_provider
from stacks.settings import Settings


def ask(folder: Path, authority: Path) -> object:
    """What a cluster says whose certificate is FOLDER's, asked by who pins AUTHORITY."""

    async def talk() -> object:
        api = SimPve(
            user="root@pam", password="-", host="127.0.0.1", port=0, stores=NodeStores({"one": new_stores("local", "zfs")})
        )
        api.apitokens = {"root@pam!test": "0-0"}
        await api.start(str(folder / certificates.CERTIFICATE), str(folder / certificates.KEY))
        try:
            login = {"user": "root@pam", "token_name": "test", "token_value": "0-0"}
            return await asyncio.to_thread(guests, f"{api.url}/", login, authority=str(authority))
        finally:
            await api.stop()

    return asyncio.run(talk())


def test_another_authority_is_refused_with_what_to_compare(tmp_path: Path) -> None:
    for name in ("ours", "other"):
        (tmp_path / name).mkdir()
        certificates.ensure(tmp_path / name, "127.0.0.1")
    assert ask(tmp_path / "ours", tmp_path / "ours" / certificates.AUTHORITY) == {}
    with pytest.raises(ClusterError, match=r"not signed by the authority in aether:proxmoxCa") as refused:
        ask(tmp_path / "ours", tmp_path / "other" / certificates.AUTHORITY)
    assert "/etc/pve/pve-root-ca.pem" in refused.value.fix


def test_the_engine_is_given_the_authority_beside_the_machines_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops_authority, "REPOSITORY", tmp_path)
    monkeypatch.setenv("SSL_CERT_DIR", "/etc/certificates")
    assert authorities("homelab", None) == authorities("homelab", "inventory/pve-root-ca.pem") == {}
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/pve-root-ca.pem").write_text("authority")
    folder, own = authorities("homelab", "inventory/pve-root-ca.pem")["SSL_CERT_DIR"].split(os.pathsep)
    assert own == "/etc/certificates"
    assert [file.read_text() for file in Path(folder).glob("*.pem")] == ["authority"]


def test_a_run_whose_provider_would_not_know_the_authority_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = tmp_path / "ca.pem"
    values = {
        "stack": "homelab",
        "composition": "homelab",
        "inventory": "inventory/homelab.toml",
        "proxmox_endpoint": "https://192.168.1.11:8006/",
        "proxmox_username": "root@pam",
        "proxmox_ca": str(authority),
    }
    settings = Settings.model_construct(**{**Settings.model_validate(values).model_dump(), "proxmox_api_token": "token"})
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with pytest.raises(SettingsError, match=r"scp root@NODE:/etc/pve/pve-root-ca.pem"):
        proxmox_provider(settings)
    authority.write_text("authority")
    with pytest.raises(SettingsError, match=r"export SSL_CERT_DIR="):
        proxmox_provider(settings)
