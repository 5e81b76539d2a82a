"""Networks, SDN, firewall, backups and high availability by the real provider: made, stable, and changed in place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.lab import Lab
from tests.system.small import small_lab
from tests.unit.test_cluster_jobs import inventory


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = small_lab(tmp_path_factory.mktemp("cluster"))
    (Path(made.path) / "inventory/homelab.toml").write_text(inventory())
    try:
        up = made.up()
        assert up.code == 0, up.text[-6000:]
        yield made
    finally:
        made.close()


def test_what_was_made_is_what_the_provider_reads_back(fleet: Lab) -> None:
    again = fleet.ops("preview", "--refresh")
    assert again.code == 0, again.text[-4000:]
    assert set(again.changes()) == {"unchanged"}, again.text[-6000:]


def test_the_cluster_has_it(fleet: Lab) -> None:
    config = fleet.ssh("pve1", "qm config 110").text
    assert "net1: " in config and "bridge=storage" in config and "mtu=9000" in config
    assert "ip6=fd00:10::10/64" in config and "gw6=fd00:10::1" in config
    assert "balloon: 256" in config
    kinds = {item["type"].rsplit(":", 1)[1] for item in fleet.resources()}
    assert {"Vlan", "Vnet", "Applier", "RulesLegacy", "OptionsLegacy", "Job", "Haresource", "Harule"} <= kinds


def test_a_changed_schedule_and_a_new_opening_change_these_alone_in_place(fleet: Lab) -> None:
    fleet.replace("inventory/homelab.toml", 'schedule = "02:30"', 'schedule = "03:30"')
    fleet.replace("inventory/homelab.toml", "port = 9100", "port = 9101")
    preview = fleet.preview()
    # The job, the rules, and the system of the host whose entry changed.
    assert preview.changes().get("to update") == 3, preview.text[-4000:]
    assert not {"to replace", "to delete", "to create"} & set(preview.changes())
    up = fleet.up()
    assert up.code == 0, up.text[-4000:]
