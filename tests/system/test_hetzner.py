"""A second cloud provider: one NixOS server by the real engine and the real Hetzner provider on the simulated API."""

import json
import os
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.fleet import public_key
from tests.system import small
from tests.system.lab import REPOSITORY, Lab

pytestmark = pytest.mark.long

HOST = "outpost"
INVENTORY = f"""\
[site]
name = "hetzner"
domain = "hetzner.example.org"
public_domain = "example.org"
timezone = "Europe/Berlin"
user = "owner"
authorized_keys = ["{public_key("owner")}"]
age_recipients = ["age19qj9tsgpt9n3cgz8q0ynplheumn0zvdhf7gdlk6vwj5zcgck4vcs56ck6j"]

[networks.public]
cidr = "192.168.91.0/24"
gateway = "192.168.91.1"

[hosts.{HOST}]
kind = "hcloud-vm"
address = "192.168.91.10"
network = "public"
server_type = "cax11"
location = "fsn1"
image = "1002"
volume = 10
ssh_from = {{ home = "203.0.113.0/24" }}
open = [{{ port = 443, purpose = "HTTPS" }}]
host_key = "{public_key(HOST)}"
settle = 0
"""
PROTECTED = "aether:protect"


class Hetzner:
    """The lab, and the API as its owner's token sees it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def settings(self) -> dict[str, str]:
        document = yaml.safe_load((self.lab.path / ".aether/sim/Pulumi.sim-hetzner.yaml").read_text())
        found: dict[str, str] = document["config"]
        return found

    def list(self, kind: str) -> list[dict[str, Any]]:
        settings = self.settings()
        request = urllib.request.Request(f"{settings['aether:hcloudEndpoint']}/{kind}")
        request.add_header("Authorization", f"Bearer {settings['aether:hcloudToken']}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())[kind]
        return found

    def server(self) -> dict[str, Any]:
        (server,) = self.list("servers")
        return server

    def edit(self, old: str, new: str) -> None:
        self.lab.replace("inventory/hetzner.toml", old, new)


def environment_with_sdk(folder: Path) -> None:
    """A virtual environment with the tests' own packages and the SDK, which the other stacks' environment must not hold."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (site / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    version = next(
        block.split('version = "')[1].split('"')[0]
        for block in (REPOSITORY / "uv.lock").read_text().split("[[package]]")
        if 'name = "pulumi-hcloud"\n' in block.split("version")[0]
    )
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), f"pulumi-hcloud=={version}"]
    subprocess.run(pip, check=True, timeout=300)


@pytest.fixture(scope="module")
def hetzner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hetzner]:
    """One server, deployed."""
    if not (REPOSITORY / ".aether/engine/bin/pulumi").exists():
        pytest.skip("the engine is not there; make it with: python3 -m engine ensure")
    made = subprocess.run(
        [sys.executable, "-m", "engine", "ensure", "--only", "hcloud"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    path = tmp_path_factory.mktemp("hetzner")
    files = {"inventory/hetzner.toml": INVENTORY, f"nix/hosts/{HOST}.nix": "{ ... }:\n{ }\n"}
    # A datacentre of few hosts: the other stacks' are not what is tried.
    lab = Lab.make(path, {**files, "inventory/homelab.toml": small.inventory()})
    (path / "inventory/cloud.toml").unlink()
    lab.stack = "sim-hetzner"
    (path / ".venv").unlink()
    environment_with_sdk(path / ".venv")
    lab.environment["PATH"] = os.environ["PATH"]
    try:
        up = lab.up()
        assert up.code == 0, up.text[-6000:]
        yield Hetzner(lab)
    finally:
        lab.close()


def test_the_server_is_as_the_inventory_says_and_answers_with_its_key(hetzner: Hetzner) -> None:
    server = hetzner.server()
    assert (server["name"], server["status"], server["server_type"]["name"]) == (HOST, "running", "cax11")
    (address,) = [each for each in hetzner.list("primary_ips") if each["name"] == HOST]
    assert server["public_net"]["ipv4"]["ip"] == address["ip"] and not address["auto_delete"]
    (firewall,) = hetzner.list("firewalls")
    assert {(rule["protocol"], rule["port"]) for rule in firewall["rules"]} == {("tcp", "22"), ("tcp", "443")}
    (volume,) = hetzner.list("volumes")
    assert (volume["size"], volume["server"]) == (10, server["id"])
    assert hetzner.lab.ssh(HOST, "hostname").text.strip() == HOST


def test_a_second_preview_has_nothing_to_do_nor_after_a_refresh(hetzner: Hetzner) -> None:
    again = hetzner.lab.preview()
    assert set(again.changes()) == {"unchanged"}, again.text[-4000:]
    assert hetzner.lab.ops("refresh").code == 0
    refreshed = hetzner.lab.preview()
    assert set(refreshed.changes()) == {"unchanged"}, refreshed.text[-4000:]


def test_what_changes_in_place_leaves_the_server(hetzner: Hetzner) -> None:
    before = hetzner.server()["id"]
    hetzner.edit('{ port = 443, purpose = "HTTPS" }', '{ port = 8443, purpose = "Other" }')
    hetzner.edit("volume = 10", "volume = 20")
    hetzner.lab.touch(HOST, "another system")
    up = hetzner.lab.up()
    assert up.code == 0, up.text[-5000:]
    assert hetzner.server()["id"] == before
    assert "8443" in {rule["port"] for rule in hetzner.list("firewalls")[0]["rules"]}
    assert hetzner.list("volumes")[0]["size"] == 20
    assert set(hetzner.lab.preview().changes()) == {"unchanged"}


def test_a_protected_server_is_not_replaced(hetzner: Hetzner) -> None:
    """Another image is another machine: under aether:protect the preview already refuses."""
    lab, before = hetzner.lab, hetzner.server()["id"]
    lab.replace("Pulumi.sim-hetzner.yaml", f"{PROTECTED}: false", f"{PROTECTED}: true")
    assert lab.sim("restart", "--stack", "sim-hetzner").code == 0
    up = lab.up()
    assert up.code == 0, up.text[-5000:]
    server = hetzner.server()
    assert server["id"] == before and server["protection"] == {"delete": True, "rebuild": True}
    hetzner.edit('image = "1002"', 'image = "1003"')
    refused = lab.preview()
    assert refused.code != 0 and "protect" in refused.text, refused.text[-3000:]
    assert hetzner.server()["id"] == before
    hetzner.edit('image = "1003"', 'image = "1002"')
    lab.replace("Pulumi.sim-hetzner.yaml", f"{PROTECTED}: true", f"{PROTECTED}: false")
    assert lab.sim("restart", "--stack", "sim-hetzner").code == 0
    up = lab.up()
    assert up.code == 0, up.text[-5000:]
    assert not hetzner.server()["protection"]["delete"]


def test_destroy_leaves_nothing_in_the_project(hetzner: Hetzner) -> None:
    """Last of this module."""
    endpoint = hetzner.settings()
    down = hetzner.lab.run(
        hetzner.lab.python, "-c", "from ops.stack import Stack; Stack('sim-hetzner').run('destroy', '--yes', '--skip-preview')"
    )
    assert down.code == 0, down.text[-4000:]
    assert endpoint == hetzner.settings()
    for kind in ("servers", "primary_ips", "volumes", "firewalls", "ssh_keys"):
        assert hetzner.list(kind) == [], kind
