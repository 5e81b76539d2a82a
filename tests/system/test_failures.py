"""A host that fails: what waits for it stays as it is, and nothing else waits."""

import re
from collections.abc import Iterator

import pytest

from tests.system.checkout import Checkout
from tests.system.small import atomic, grown, small_checkout

STATION = atomic("station", 20, 'image = "ghcr.io/ublue-os/bazzite"', f'digest = "sha256:{"1" * 64}"')
NODE_PLAYBOOK = "ansible/small-node.yml"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The small fleet with an Atomic host, deployed."""
    yield from grown(small_checkout(tmp_path_factory.mktemp("failures"), STATION))


def change(checkout: Checkout, what: str) -> dict[str, str]:
    """Change every NixOS host's file; what the hosts run."""
    for host in ("web", "dns", "log"):
        checkout.touch(host, what)
    return {host: checkout.system(host) for host in ("web", "dns", "log")}


@pytest.mark.fault
def test_what_waits_for_a_canary_that_fails_keeps_its_system_and_its_place_in_the_state(fleet: Checkout) -> None:
    text = (fleet.path / "inventory/homelab.toml").read_text()
    canary = text.replace('description = "dns"\n', 'description = "dns"\nhealth = [{ unit = "dns.service" }]\n')
    canary = canary.replace("settle = 0", "settle = 2") + '\n[rollout]\nstrategy = "canary"\ncanary = "dns"\n'
    (fleet.path / "inventory/homelab.toml").write_text(canary)
    assert fleet.up().code == 0
    before = change(fleet, "next")
    known = {resource["urn"] for resource in fleet.resources()}
    fleet.fault("dns", "health")
    up = fleet.up()
    # It crashes after its start: the switch sees that, or the checks after it.
    assert up.code != 0 and re.search(r"dns: (not healthy|activation failed: this switch broke dns\.service)", up.text), up.text
    assert re.search(r"(?m)^What it means, and what to do: \./aether explain 3[01]$", up.text), up.text
    assert {host: fleet.system(host) for host in before} == before
    assert {resource["urn"] for resource in fleet.resources()} == known, "a program that ends well deletes what it did not name"
    fleet.clear_faults()
    healed = fleet.up()
    assert healed.code == 0 and healed.changes()["updated"] == 3, healed.text
    (fleet.path / "inventory/homelab.toml").write_text(text)


@pytest.mark.fault
def test_what_waits_for_a_slower_one_is_done_though_another_host_failed_before(fleet: Checkout) -> None:
    before = change(fleet, "slow")
    # The nodes' playbooks, which the guests wait for, take longer than the Atomic host does to fail.
    fleet.replace(NODE_PLAYBOOK, "  gather_facts: false\n", "  gather_facts: false\n  post_tasks: [{wait_for: {timeout: 8}}]\n")
    fleet.replace("inventory/homelab.toml", "1" * 64, "2" * 64)
    fleet.fault("station", "bad-signature")
    up = fleet.up()
    assert up.code != 0 and "Not done: station, and what depends on it." in up.text, up.text
    assert not [host for host in before if fleet.system(host) == before[host]], up.text
