"""Faults of the Proxmox API and at first contact: one clear message that names host and cause, nothing half-registered."""

import re

import pytest

from tests.system.checkout import Checkout

pytestmark = [pytest.mark.fault, pytest.mark.long]


def grow_memory(checkout: Checkout) -> None:
    """A change that needs the API: the gateway's memory."""
    place = 'vmid = 110\naddress = "192.168.10.10"\ncpu = 2\n'
    checkout.replace("inventory/homelab.toml", f"{place}memory = 2048", f"{place}memory = 2304")


@pytest.mark.parametrize(
    ("target", "fault", "says"),
    [
        ("oracle", "node-offline", "oracle does not answer: left out"),
        ("proxmox", "quorum-lost", "the Proxmox cluster has lost its quorum"),
    ],
)
def test_a_broken_cluster_is_named_with_the_host_it_stops(settled: Checkout, target: str, fault: str, says: str) -> None:
    before = {item["urn"] for item in settled.resources()}
    grow_memory(settled)
    settled.fault(target, fault)
    up = settled.up()
    assert up.code != 0
    assert f"gateway: {says}" in up.text or (f"{says}" in up.text and "gateway" in up.text), up.text
    settled.fault(target, fault, off=True)
    assert {item["urn"] for item in settled.resources()} == before
    healed = settled.up()
    assert healed.code == 0, healed.text


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("bad-password", "Proxmox refused the user, password or token. Nothing was changed"),
        ("api-500", "the Proxmox API reported an error of its own"),
    ],
)
def test_a_cluster_that_cannot_be_asked_stops_an_up_before_anything_and_a_preview_says_so(
    settled: Checkout, fault: str, says: str
) -> None:
    settled.fault("proxmox", fault)
    up, preview = settled.up(), settled.preview()
    settled.fault("proxmox", fault, off=True)
    assert up.code != 0
    assert says in up.text, up.text
    assert "whether VMIDs are free was not looked at" in preview.text, preview.text


def test_an_api_that_never_answers_is_given_up_and_named(settled: Checkout) -> None:
    before = {item["urn"] for item in settled.resources()}
    grow_memory(settled)
    settled.fault("oracle", "api-timeout")
    up = settled.up("--config", "aether:proxmoxTimeout=10")
    assert up.code != 0
    # The provider reads a lock that nobody holds off an answer that never came.
    assert re.search(r"gateway: (the Proxmox API oracle|it is locked .* or the node) did not answer", up.text), up.text
    settled.fault("oracle", "api-timeout", off=True)
    assert {item["urn"] for item in settled.resources()} == before
    # The state takes the wish for the deed, so what the guest is has to be read back. The engine keeps in the stack's
    # configuration what it is given by --config.
    healed = settled.up("--config", "aether:proxmoxTimeout=900")
    assert healed.code == 0, healed.text
    assert re.search(r"An earlier change of .*\bgateway\b.* broke off: what is there is read back first", healed.text)
    assert "2304" in settled.ssh("oracle", "qm pending 110").text


def test_a_full_storage_is_named_and_leaves_no_guest_behind(settled: Checkout) -> None:
    vmid = settled.guests()["openbao"]["vmid"]
    gone = settled.ssh("oracle", f"pct stop {vmid} && pct destroy {vmid} --purge")
    assert gone.code == 0, gone.text
    settled.fault("oracle", "storage-full")
    up = settled.up("--refresh")
    assert up.code != 0
    assert "openbao: the storage on its Proxmox node oracle is full" in up.text, up.text
    assert "openbao" not in settled.guests()
    assert not [item for item in settled.resources() if item["urn"].endswith("ContainerLegacy::openbao")]
    settled.fault("oracle", "storage-full", off=True)
    healed = settled.up()
    assert healed.code == 0, healed.text
    assert "openbao" in settled.guests()
    assert settled.ssh("openbao", "hostname").text.strip() == "openbao"


def test_another_host_key_is_refused_before_anything_is_sent(settled: Checkout) -> None:
    settled.replace("nix/hosts/niobe/cockpit.nix", "{\n", '{\n  environment.variables.TOUCHED = "2";\n')
    settled.fault("cockpit", "key-mismatch")
    up = settled.up()
    assert up.code != 0
    assert "cockpit: cockpit answers with another SSH host key than the inventory has; nothing was sent to it" in up.text, up.text
    settled.fault("cockpit", "key-mismatch", off=True)
    assert "nixos-system-cockpit" in settled.ssh("cockpit", "readlink -f /run/current-system").text
