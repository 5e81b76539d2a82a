"""Guests that ask the router for their address, by the real engine and the real provider."""

import re
from collections.abc import Iterator

import pytest

from inventory.effects import GUEST
from inventory.marks import AtGuest
from tests.system.checkout import Checkout
from tests.system.guests import api, settled, steps
from tests.system.small import HOSTS, inventory, running, small_checkout

INVENTORY = "inventory/homelab.toml"


def asking() -> str:
    """The small fleet with a virtual machine and a container that ask, in a network whose router answers."""
    text = inventory().replace('bridge = "vmbr0"', "").replace("vlan = 10\n", "vlan = 10\ndhcp = true\n")
    for name, _, _, vmid, last in HOSTS:
        if name != "log":
            text = text.replace(f"vmid = {vmid}\n", f'vmid = {vmid}\ndhcp = true\nmac = "02:00:c0:a8:0a:{last:02x}"\n')
    return text


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    checkout = small_checkout(tmp_path_factory.mktemp("leases"))
    (checkout.path / INVENTORY).write_text(asking())
    checkout.environment["AETHER_LEASE_TIMEOUT"] = "6"
    yield from running(checkout)


def test_both_kinds_have_the_pinned_card_and_the_reserved_address(fleet: Checkout) -> None:
    machine = fleet.ssh("pve1", "qm config 110").text
    assert "ipconfig0: ip=dhcp" in machine and "virtio=02:00:C0:A8:0A:0A" in machine, machine
    container = fleet.ssh("pve1", "pct config 111").text
    assert re.search("net0: .*hwaddr=02:00:C0:A8:0A:0B,.*ip=dhcp", container) and "gw=" not in container, container
    agent = api(fleet).nodes("pve1").qemu(110).agent("network-get-interfaces").get()["result"]
    assert agent[-1]["ip-addresses"][0]["ip-address"] == "192.168.10.10"
    cards = api(fleet).nodes("pve1").lxc(111).interfaces.get()
    assert cards[-1]["inet"] == "192.168.10.11/24"
    assert fleet.ssh("web", "true").code == 0 and fleet.ssh("dns", "true").code == 0
    assert settled(fleet) and settled(fleet, "--refresh=true")


@pytest.mark.parametrize(("host", "tool", "vmid"), [("web", "qm", 110), ("dns", "pct", 111)])
def test_a_guest_that_was_made_again_is_greeted_again_though_its_card_is_the_same(
    fleet: Checkout, host: str, tool: str, vmid: int
) -> None:
    assert fleet.ssh("pve1", f"{tool} stop {vmid} && {tool} destroy {vmid}").code == 0
    refreshed = fleet.ops("refresh")
    assert refreshed.code == 0, refreshed.text
    up = fleet.up()
    assert up.code == 0, up.text
    assert f"{host}: answers with its own key" in up.text, up.text
    assert fleet.ssh(host, "true").code == 0
    assert settled(fleet)


@pytest.mark.parametrize(("host", "tool", "vmid", "last"), [("web", "qm", 110, 10), ("dns", "pct", 111, 11)])
def test_a_router_that_gives_another_address_is_said(fleet: Checkout, host: str, tool: str, vmid: int, last: int) -> None:
    pool = f"192.168.10.{240 + vmid % 10}"
    assert fleet.sim("fault", host, "lease").code == 0
    preview = fleet.preview()
    assert f"hosts.{host}.address: its guest has {pool} by DHCP, not 192.168.10.{last}" in preview.text, preview.text
    # A new guest finds the same.
    assert fleet.ssh("pve1", f"{tool} stop {vmid} && {tool} destroy {vmid}").code == 0
    assert fleet.ops("refresh").code == 0
    up = fleet.up()
    assert up.code != 0
    assert (
        f"guest {vmid}: has {pool}, and not 192.168.10.{last}, which the router should give to 02:00:c0:a8:0a:{last:02x}"
        in up.text
    )
    assert f"Fix: reserve 192.168.10.{last} for 02:00:c0:a8:0a:{last:02x} at the router" in up.text, up.text
    assert fleet.sim("fault", host, "lease", "--off").code == 0
    again = fleet.up()
    assert again.code == 0, again.text
    assert settled(fleet)


def test_a_static_guest_is_given_to_the_router_in_place(fleet: Checkout) -> None:
    boot = fleet.ssh("log", "cat /proc/sys/kernel/random/boot_id").text
    fleet.replace(INVENTORY, "vmid = 112\n", 'vmid = 112\ndhcp = true\nmac = "02:00:c0:a8:0a:0c"\n')
    # The router of the simulator reserves what the inventory says when it starts.
    assert fleet.sim("restart", "--stack", "sim").code == 0
    boot = fleet.ssh("log", "cat /proc/sys/kernel/random/boot_id").text
    up = fleet.up()
    assert up.code == 0, up.text
    assert re.search("net0: .*hwaddr=02:00:C0:A8:0A:0C,.*ip=dhcp", fleet.ssh("pve2", "pct config 112").text)
    assert fleet.ssh("log", "cat /proc/sys/kernel/random/boot_id").text == boot
    assert settled(fleet)


def test_a_machine_gets_another_card_and_a_static_address_in_place(fleet: Checkout) -> None:
    boot = fleet.ssh("web", "cat /proc/sys/kernel/random/boot_id").text
    fleet.replace(INVENTORY, 'dhcp = true\nmac = "02:00:c0:a8:0a:0a"\n', 'mac = "02:00:c0:a8:0a:aa"\n')
    operation, changed = steps(fleet)["VmLegacy::web"]
    assert operation == "update" and not any("replace" in kind for kind in changed.values()), changed
    assert "networkDevices[0].macAddress" in changed and GUEST["mac"][0] == AtGuest.UPDATE
    assert "initialization.ipConfigs[0].ipv4.address" in changed and GUEST["dhcp"][0] == AtGuest.PENDING
    up = fleet.up()
    assert up.code == 0, up.text
    machine = fleet.ssh("pve1", "qm config 110 --current 1").text
    assert "02:00:C0:A8:0A:AA" in machine and "ipconfig0: gw=192.168.10.1,ip=192.168.10.10/24" in machine, machine
    assert fleet.ssh("web", "cat /proc/sys/kernel/random/boot_id").text == boot
    assert settled(fleet)
