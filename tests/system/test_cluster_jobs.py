"""Networks, SDN, firewall, backups and high availability by the real provider: made, stable, and changed in place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.checkout import Checkout
from tests.system.cluster_inventory import inventory
from tests.system.guests import api, guest, replaces
from tests.system.small import running, small_checkout

GUESTS = (("web", "qm", 110), ("dns", "pct", 111))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    made = small_checkout(tmp_path_factory.mktemp("cluster"))
    (Path(made.path) / "inventory/homelab.toml").write_text(inventory())
    yield from running(made)


def test_what_was_made_is_what_the_provider_reads_back(fleet: Checkout) -> None:
    again = fleet.ops("preview", "--refresh")
    assert again.code == 0, again.text[-4000:]
    assert set(again.changes()) == {"unchanged"}, again.text[-6000:]


def test_the_cluster_has_it(fleet: Checkout) -> None:
    config = fleet.ssh("pve1", "qm config 110").text
    assert "net1: " in config and "bridge=storage" in config and "mtu=9000" in config
    assert "ip6=fd00:10::10/64" in config and "gw6=fd00:10::1" in config
    assert "balloon: 256" in config
    kinds = {item["type"].rsplit(":", 1)[1] for item in fleet.resources()}
    assert {"Vlan", "Vnet", "Applier", "RulesLegacy", "OptionsLegacy", "Job", "Haresource", "Harule"} <= kinds


def test_a_changed_schedule_and_a_new_opening_change_these_alone_in_place(fleet: Checkout) -> None:
    fleet.replace("inventory/homelab.toml", 'schedule = "02:30"', 'schedule = "03:30"')
    fleet.replace("inventory/homelab.toml", "port = 9100", "port = 9101")
    preview = fleet.preview()
    # The job, the rules, and the system of the host whose entry changed.
    assert preview.changes().get("to update") == 3, preview.text[-4000:]
    assert not {"to replace", "to delete", "to create"} & set(preview.changes())
    up = fleet.up()
    assert up.code == 0, up.text[-4000:]


def test_high_availability_survives_a_change_of_its_guests_and_of_itself(fleet: Checkout) -> None:
    cluster = api(fleet)
    born = {host: fleet.ssh("pve1", f"{tool} config {vmid} | grep ^net0").text for host, tool, vmid in GUESTS}
    boots = {host: fleet.ssh(host, "cat /proc/sys/kernel/random/boot_id").text for host in born}
    assert {vmid: guest(fleet, vmid).get("hastate") for vmid in (110, 111, 112)} == {110: "started", 111: "started", 112: None}
    fleet.replace("inventory/homelab.toml", 'description = "web"\n', 'description = "web"\ntags = ["front"]\n')
    fleet.replace(
        "inventory/homelab.toml",
        'address = "192.168.10.11"\ncpu = 1\nmemory = 512',
        'address = "192.168.10.11"\ncpu = 2\nmemory = 640',
    )
    rule = 'hosts = ["web", "dns"]\nnodes = '
    fleet.replace("inventory/homelab.toml", f'{rule}["pve1", "pve2"]\n', f'{rule}["pve2", "pve1"]\nmax_restart = 2\n')
    # The HA manager decides where they run, not the inventory.
    fleet.replace("inventory/homelab.toml", 'node = "pve1"\nvmid = 110\n', 'node = "pve2"\nvmid = 110\n')
    preview = fleet.preview()
    assert "to replace" not in preview.changes() and not replaces(preview), preview.text[-4000:]
    assert "the guest is on pve1 (the HA manager decides), the inventory says pve2" in preview.text, preview.text[-4000:]
    up = fleet.up()
    assert up.code == 0, up.text[-4000:]
    assert {vmid: (guest(fleet, vmid).get("hastate"), guest(fleet, vmid)["node"]) for vmid in (110, 111)} == dict.fromkeys(
        (110, 111), ("started", "pve1")
    )
    assert {sid: cluster.cluster.ha.resources(sid).get()["max_restart"] for sid in ("vm:110", "ct:111")} == {
        "vm:110": 2,
        "ct:111": 2,
    }
    core = cluster.cluster.ha.rules("core").get()
    assert set(core["resources"].split(",")) == {"vm:110", "ct:111"}
    assert set(core["nodes"].split(",")) == {"pve2:100", "pve1:90"}
    assert "front" in fleet.ssh("pve1", "qm config 110").text and "640" in fleet.ssh("pve1", "pct config 111").text
    assert {host: fleet.ssh(host, "cat /proc/sys/kernel/random/boot_id").text for host in boots} == boots

    # One that leaves is left alone by the manager, and by nobody else.
    fleet.replace("inventory/homelab.toml", 'hosts = ["web", "dns"]\n', 'hosts = ["web"]\n')
    up = fleet.up()
    assert up.code == 0, up.text[-4000:]
    assert [item["sid"] for item in cluster.cluster.ha.resources.get()] == ["vm:110"]
    assert cluster.cluster.ha.rules("core").get()["resources"] == "vm:110"
    assert (guest(fleet, 111)["status"], guest(fleet, 111).get("hastate")) == ("running", None)
    assert {host: fleet.ssh("pve1", f"{tool} config {vmid} | grep ^net0").text for host, tool, vmid in GUESTS} == born
