"""Policies in previews by the real engine: what ends one, what is told, what a resource breaks."""

from collections.abc import Iterator

import pytest

from tests.system.checkout import Checkout
from tests.system.small import small_checkout

OWN = """
from collections.abc import Iterator
from inventory.policies import Finding, Resource, Subject, policy

@policy("named", "advisory", "Nobody is called log")
def named(subject: Subject) -> Iterator[Finding]:
    if "log" in subject.inventory.hosts:
        yield Finding("log", "is called log", "call it otherwise")

@policy("small-machines", "mandatory", "Machines have little memory", resources=True)
def small(resource: Resource) -> Iterator[Finding]:
    if resource.type == "proxmoxve:index/vmLegacy:VmLegacy" and resource.properties["memory"]["dedicated"] > 400:
        yield Finding(resource.name, "has much memory", "give it less", "")
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    checkout = small_checkout(tmp_path_factory.mktemp("policies") / "fleet", added={"policies/own.py": OWN})
    yield checkout
    checkout.close()


def test_a_resource_that_breaks_a_policy_ends_the_preview_and_one_with_a_reason_does_not(fleet: Checkout) -> None:
    ended = fleet.preview()
    assert ended.code != 0
    assert "web: has much memory. Fix: give it less (mandatory policy small-machines)" in ended.text
    assert "hosts.log: is called log. Fix: call it otherwise (advisory policy named)" in ended.text
    path = fleet.path / "inventory/homelab.toml"
    path.write_text(path.read_text() + '[policies.small-machines.exceptions]\nweb = "It has to hold a lot in mind"\n')
    passed = fleet.preview()
    assert passed.code == 0, passed.text[-4000:]
    assert "is called log" in passed.text and "much memory" not in passed.text
    path.write_text(path.read_text() + '[policies.named]\nlevel = "mandatory"\n')
    ended = fleet.preview()
    assert ended.code != 0 and "mandatory policy named" in ended.text
    assert "VmLegacy" not in ended.text, "nothing was registered"
