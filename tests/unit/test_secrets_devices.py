"""Identities of nodes and of Syncthing's devices: made by what the inventory names, and never replaced."""

import io
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from inventory.cli import main
from inventory.keys import new_ssh_key, set_fields
from inventory.load import load
from inventory.secret_store import SecretStore
from inventory.syncthing import CERT, KEY, check_device_id, device_id, new_identity
from tests.unit.secrets_repository import needs_sops, repository, run

__all__ = ["repository"]


@needs_sops
def test_a_nodes_key_is_the_machines_own(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its owner installed it: what the inventory says of it is right, whatever a file holds."""
    assert run("init") == 0
    set_fields(repository / "inventory/lab.toml", "nodes.metal", {"host_key": new_ssh_key("metal")[1]})
    run("check")
    assert "metal" not in capsys.readouterr().out.split("written")[-1]
    set_fields(repository / "inventory/lab.toml", "hosts.web", {"host_key": new_ssh_key("web")[1]})
    run("check")
    assert "is not host_key of 'web'" in capsys.readouterr().out


def test_a_device_id_is_the_certificates() -> None:
    """Against an id that `syncthing --device-id` printed for this certificate."""
    certificate, known = (
        """-----BEGIN CERTIFICATE-----
MIIBtDCCAVqgAwIBAgIUFvx2qecnPjlbWzAeGyNj2MWgA8MwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJc3luY3RoaW5nMB4XDTI2MTEyNjAxMzExM1oXDTQ2MTEyMTAx
MzExM1owFDESMBAGA1UEAwwJc3luY3RoaW5nMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEbL123q8E5OZYbBz38/zDLBqPvI7Uex3gUwHNdyLwZMwYUkd6ifw9kFdI
v4r6NtIZNvz64Vfgv2IPNmMSd0vLQqOBiTCBhjAdBgNVHQ4EFgQU+yvhM6iX/CEj
Y/y6vxisCQYieagwHwYDVR0jBBgwFoAU+yvhM6iX/CEjY/y6vxisCQYieagwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglzeW5jdGhpbmcwHQYDVR0lBBYwFAYI
KwYBBQUHAwEGCCsGAQUFBwMCMAoGCCqGSM49BAMCA0gAMEUCIE59bmlNvJ2/1vWH
M93hm8+TpvbsuOtbC1gWUdGE1YhfAiEAzmt83IBn4q4ux+7TdYtfBixl1UW8cihe
V4+g7Ouci7A=
-----END CERTIFICATE-----
""",
        "XHYR6XW-GGPLH3Z-MOSNLSB-USPKTU5-DYVDJDH-SGG52EO-MLDJV36-SJD4ZA4",
    )
    assert device_id(certificate) == known
    assert check_device_id(known) is None
    assert check_device_id(known[:3] + ("A" if known[3] != "A" else "B") + known[4:]) is not None


def test_a_new_identity_is_one_that_syncthing_takes(tmp_path: Path) -> None:
    certificate, key = new_identity()
    for name, text in (("cert.pem", certificate), ("key.pem", key)):
        (tmp_path / name).write_text(text)
    shown = [
        "openssl",
        "x509",
        "-noout",
        "-subject",
        "-ext",
        "subjectAltName,extendedKeyUsage",
        "-in",
        str(tmp_path / "cert.pem"),
    ]
    told = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    assert re.search("CN ?= ?syncthing", told) and "DNS:syncthing" in told and "Client Authentication" in told
    public = [
        subprocess.run(["openssl", *words, "-in", tmp_path / name], capture_output=True, check=True).stdout
        for words, name in ((["x509", "-noout", "-pubkey"], "cert.pem"), (["ec", "-pubout"], "key.pem"))
    ]
    assert public[0] == public[1], "the key is another one's"


@needs_sops
def test_a_host_is_given_a_device_that_the_inventory_names(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init") == 0
    assert run("syncthing", "web") == 0
    held = SecretStore(repository / "secrets", repository / "owner").read("hosts/web.yaml")
    web = load("inventory/lab.toml").hosts["web"]
    assert web.syncthing_id == device_id(held[CERT]) and "PRIVATE KEY" in held[KEY]
    assert run("check") == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(new_identity()[0]))
    assert run("set", "web", CERT) == 0
    capsys.readouterr()
    assert run("check") == 1
    assert "./aether secrets syncthing web" in capsys.readouterr().out
    assert run("syncthing", "metal") == 1
    (repository / "new.pub").write_text(new_ssh_key()[1])
    arguments = ["secrets", "--file", "inventory/lab.toml", "--key-file", "new"]
    assert main([*arguments, "init", "--new-owner", "--ssh-key", "new.pub"]) == 0
    renewed = load("inventory/lab.toml").hosts["web"].syncthing_id
    assert (
        renewed
        == device_id(SecretStore(repository / "secrets", repository / "new").read("hosts/web.yaml")[CERT])
        != web.syncthing_id
    )
    assert main([*arguments, "check"]) == 0


@needs_sops
def test_a_nodes_own_key_is_never_replaced(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was scanned: neither a rotation nor the first keys of the repository write another one over it."""
    nodes = tomllib.loads((repository / "inventory/lab.toml").read_text())["nodes"]
    node = next(iter(nodes))
    scanned = [nodes[node]["host_key"]]
    assert run("init") == 0
    assert [load("inventory/lab.toml").nodes[node].host_key] == scanned
    capsys.readouterr()
    assert run("rotate", node) == 1
    assert "its key is the machine's own" in capsys.readouterr().err
    assert [load("inventory/lab.toml").nodes[node].host_key] == scanned
    assert run("check") == 0
