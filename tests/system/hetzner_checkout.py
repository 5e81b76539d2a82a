"""Servers at the simulated Hetzner Cloud, by the real engine and the real provider."""

import json
import os
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.fleet import public_key, site
from inventory.files import REPOSITORY
from tests.system import small
from tests.system.checkout import Checkout

HOST = "outpost"
INVENTORY = f"""\
{site("hetzner")}
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
build_on = "target"
volume = 10
ssh_from = {{ home = "203.0.113.0/24" }}
open = [{{ port = 443, purpose = "HTTPS" }}]
host_key = "{public_key(HOST)}"
settle = 0
"""


class Project:
    """The checkout, and the API as its owner's token sees it.

    PREFIX is of the settings that say where it is: a provider of another name may stand before it.
    """

    def __init__(self, checkout: Checkout, prefix: str = "hcloud") -> None:
        self.checkout = checkout
        self.prefix = prefix

    def settings(self) -> dict[str, str]:
        document = yaml.safe_load((self.checkout.path / f".aether/sim/Pulumi.{self.checkout.stack}.yaml").read_text())
        found: dict[str, str] = document["config"]
        return found

    def list(self, kind: str) -> list[dict[str, Any]]:
        settings = self.settings()
        request = urllib.request.Request(f"{settings[f'aether:{self.prefix}Endpoint']}/{kind}")
        request.add_header("Authorization", f"Bearer {settings[f'aether:{self.prefix}Token']}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())[kind]
        return found

    def server(self) -> dict[str, Any]:
        (server,) = self.list("servers")
        return server

    def edit(self, old: str, new: str) -> None:
        self.checkout.replace("inventory/hetzner.toml", old, new)


def _environment_with_sdk(folder: Path) -> None:
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


def needs_the_plugin() -> None:
    """The engine and the provider, or a skip that says how to have them."""
    if not (REPOSITORY / ".aether/engine/bin/pulumi").exists():
        pytest.skip("the engine is not there; make it with: ./aether engine ensure")
    made = subprocess.run(
        ["./aether", "engine", "ensure", "--only", "hcloud"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr


@contextmanager
def checkout_of(path: Path, stack: str, files: dict[str, str]) -> Iterator[Checkout]:
    """A checkout with FILES whose STACK is servers; the rest of its datacentre is a few hosts."""
    # The other stacks' are not what is tried.
    checkout = Checkout.make(
        path, {f"nix/hosts/{HOST}.nix": "{ ... }:\n{ }\n", "inventory/homelab.toml": small.inventory(), **files}
    )
    (path / "inventory/cloud.toml").unlink()
    checkout.stack = stack
    (path / ".venv").unlink()
    _environment_with_sdk(path / ".venv")
    checkout.environment["PATH"] = os.environ["PATH"]
    try:
        yield checkout
    finally:
        checkout.close()
