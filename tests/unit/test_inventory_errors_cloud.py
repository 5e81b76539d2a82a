"""Errors of the cloud: its account, its machines, each by what configures it, and the image repository."""

from pathlib import Path

import pytest

from inventory.load import InventoryError, load
from tests.unit.inventory_cases import CLOUD

EDGE = CLOUD[CLOUD.index("[hosts.edge]") : CLOUD.index("[hosts.forge]")]


@pytest.mark.parametrize(
    ("old", "new", "code", "place", "fix"),
    [
        ('gateway = "edge"', 'gateway = "egde"', "unknown-gateway", "cloud.gateway", "one of edge, forge"),
        ('os = "amazon-linux"\n', 'os = "amazonlinux"\n', "unsupported-value", "hosts.edge.os", 'write os = "amazon-linux"'),
        ('os = "amazon-linux"\n', "", "missing-field", "hosts.edge.os", "one of amazon-linux, nixos"),
        ('playbook = "public-gateway.yml"\n', "", "missing-field", "hosts.edge.playbook", 'write playbook = "'),
        ("[hosts.forge]\n", '[hosts.forge]\nplaybook = "x.yml"\n', "unknown-field", "hosts.forge.playbook", "remove it"),
        (
            EDGE,
            EDGE.replace("amazon-linux", "nixos").replace('playbook = "public-gateway.yml"', 'ami_name = "nixos/25.11.1"'),
            "gateway-by-playbook",
            "hosts.edge.os",
            "amazon-linux",
        ),
        ('os = "nixos"\n', 'os = "amazon-linux"\nplaybook = "x.yml"\n', "machine-by-flake", "hosts.forge.os", 'os = "nixos"'),
        ('region = "eu-central-1"\n', 'region = "eu-west-1"\n', "region-outside-zone", "hosts.edge.region", "eu-central-1"),
        ('hosts = "sky.toml"', 'hosts = "skye.toml"', "no-such-inventory", "image.hosts", "one of sky.toml"),
        (CLOUD[CLOUD.index("[cloud]") : CLOUD.index("[image]")], "", "cloud-missing", "cloud.", "write [cloud]"),
        (
            "budget = 5\n",
            'budget = 5\nrelays.logs = { host = "far", port = 1, listen = 22 }\n',
            "relay-port-taken",
            "cloud.relays.logs.listen",
            "another port",
        ),
        ("budget = 5\n", "", "missing-field", "cloud.budget", "write budget = 20"),
        ('ami_name = "nixos/25.11.1-aarch64-linux"\n', "", "image-unnamed", "hosts.forge.ami_name", "aether cloud images"),
        ("nixos/25.11.1-", "nixos/25.05.9-", "image-too-old", "hosts.forge.ami_name", "aether cloud images"),
        ('public_domain = "example.org"', 'public_domain = "other.org"', "domain-outside-zone", "site.domain", ".other.org"),
    ],
)
def test_the_cloud(tmp_path: Path, old: str, new: str, code: str, place: str, fix: str) -> None:
    path = tmp_path / "sky.toml"
    path.write_text(CLOUD)
    load(path)
    path.write_text(CLOUD.replace(old, new))
    with pytest.raises(InventoryError) as raised:
        load(path)
    (problem,) = raised.value.problems
    assert (problem.code, f"{problem.where}.{problem.field}") == (code, place) and fix in problem.fix
