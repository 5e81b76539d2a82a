"""Which operating system an entry's host runs."""

import pytest

from inventory.load import load
from inventory.models import ManagedHost, NixosHost
from inventory.os_names import os_of


def test_of_every_host_of_the_examples_as_the_models_have_it() -> None:
    for file in ("homelab", "cloud"):
        for name, host in load(f"inventory/{file}.toml").hosts.items():
            if isinstance(host, ManagedHost):
                facts = host.model_dump()
                assert (os_of(facts["kind"], facts) == "nixos") == isinstance(host, NixosHost), name


@pytest.mark.parametrize(
    ("kind", "facts", "os_name"),
    [
        ("node", {}, "debian"), ("atomic", {}, "fedora-atomic"), ("ansible", {"os": "vyos"}, "vyos"),
        ("ansible", {}, ""), ("external", {}, ""),
        ("cloud-vm", {"os": "amazon-linux"}, "amazon-linux"), ("hcloud-vm", {}, "nixos"), ("a-kind-that-is-new", {}, "nixos"),
    ],
)  # fmt: skip
def test_by_kind_and_os(kind: str, facts: dict[str, str], os_name: str) -> None:
    assert os_of(kind, facts) == os_name
