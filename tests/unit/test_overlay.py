"""An environment as an overlay: facts are inherited, only the difference is written."""

from pathlib import Path

import pytest

from aether_sim import world
from inventory import cli
from inventory.ansible import listing
from inventory.difference import differences
from inventory.load import Inventory, InventoryError, load, load_all
from inventory.models import External, NixosVm
from inventory.overlay import document, environment_of
from tests.unit.inventory_example import KEYS
from tests.unit.overlay_example import NEW, OVERLAY, written


def environment(tmp_path: Path, overlay: str = OVERLAY) -> Inventory:
    return load(written(tmp_path, overlay))


def problems(tmp_path: Path, overlay: str) -> dict[str, str]:
    with pytest.raises(InventoryError) as error:
        environment(tmp_path, overlay)
    return {problem.code: str(problem) for problem in error.value.problems}


def test_facts_are_inherited_and_the_difference_is_written(tmp_path: Path) -> None:
    staging = environment(tmp_path)
    assert (staging.environment, list(staging.hosts)) == ("staging", ["dns", "staging-web"])
    web = staging.hosts["staging-web"]
    assert isinstance(web, NixosVm)
    assert (web.vmid, web.address, web.memory, web.cpu) == (910, "192.168.110.10", 1024, 2)
    assert (web.stands_for, web.tags, web.depends_on) == ("web", ("ingress", "staging"), ("dns",))
    assert len(web.health) == 2
    # What makes a machine that machine is not inherited, and a device has one guest.
    assert (web.host_key, web.age_recipient, web.usb) == (NEW, None, ())
    assert {name: service.host for name, service in staging.services.items()} == {"files": "staging-web", "wiki": "staging-web"}
    assert staging.site.domain == "staging.lab.example.org"
    assert staging.site.timezone == "Europe/Berlin"
    assert staging.rollout.strategy == "all"


def test_what_is_shared_is_used_and_never_touched(tmp_path: Path) -> None:
    staging = environment(tmp_path)
    assert isinstance(staging.hosts["dns"], External)
    assert staging.hosts["dns"].address == "192.168.10.20"
    assert staging.nodes["metal"].shared
    assert not load(tmp_path / "lab.toml").nodes["metal"].shared
    assert list(listing([staging])["_meta"]["hostvars"]) == ["staging-web"]


def test_a_host_is_chosen_by_tag_and_one_of_its_own_is_written_whole(tmp_path: Path) -> None:
    by_tag = OVERLAY.replace('hosts = ["web"]', 'tags = ["ingress"]')
    assert environment(tmp_path, by_tag).hosts.keys() == {"dns", "staging-web"}
    own = f"""
[hosts.probe]
kind = "ansible"
os = "debian"
playbook = "smith.yml"
address = "192.168.110.99"
host_key = "{KEYS[5]}"
"""
    assert "probe" in environment(tmp_path, OVERLAY + own).hosts


def test_every_reader_sees_the_same(tmp_path: Path) -> None:
    path = written(tmp_path)
    seen = world.load([path])
    assert {name: facts.vmid for name, facts in seen.hosts.items() if facts.is_guest} == {"staging-web": 910}
    assert seen.hosts["staging-web"].address == load(path).hosts["staging-web"].address
    assert document(path)["hosts"]["staging-web"]["vmid"] == 910
    # The simulated cluster lets the program into both networks of one name.
    vlans = {facts.get("vlan") for facts in world.load([path, tmp_path / "lab.toml"]).tables["networks"].values()}
    assert vlans == {None, 20, 110}
    # An environment sees itself alone; the others see nothing of it.
    assert environment_of(path) == [path]
    assert environment_of(tmp_path / "lab.toml") == [tmp_path / "lab.toml"]


def test_the_difference_is_shown(tmp_path: Path) -> None:
    shown = [str(difference) for difference in differences(written(tmp_path))]
    assert "hosts.staging-web.vmid: 110 -> 910" in shown
    assert "hosts.staging-web.memory: 2048 -> 1024" in shown
    assert "networks.servers.vlan: - -> 110" in shown
    assert not [line for line in shown if "cpu" in line or "nodes." in line or "clients" in line]


def test_diff_says_which_environments_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diff", "stagin"]) == 1
    assert "'stagin' is no environment (there is staging)" in capsys.readouterr().err
    assert cli.main(["diff", "staging"]) == 0
    assert "inventory/staging.toml" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("vmid_offset = 800", "vmid_offset = 1", "duplicate-vmid", "VMID 111 is hosts.dns in"),
        ('cidr = "192.168.110.0/24"\ngateway = "192.168.110.1"', 'gateway = "192.168.10.1"', "duplicate-address", "too"),
        ("vlan = 110", "vlan = 20", "duplicate-vlan", "VLAN 20 of bridge"),
        ('"192.168.110.0/24"', '"192.168.20.0/24"', "overlapping-networks", "networks.clients"),
        (f'host_key = "{NEW}"\n', "", "missing-field", "secrets init"),
        (NEW, KEYS[2], "duplicate-host-key", "one host could pass for the other"),
        ("memory = 1024", "memory = 12000", "memory-overcommitted", "nodes.metal"),
        ("memory = 1024", 'usb = ["zwave"]', "usb-claimed-twice", "taken by web"),
        ('hosts = ["web"]', 'hosts = ["wbe"]', "overlay-unknown", "the base has no host 'wbe'"),
        ('hosts = ["web"]', 'hosts = ["desk"]', "overlay-unselected", 'add "web" to hosts of [overlay]'),
        ('shared = ["dns"]', 'shared = ["web"]', "overlay-shared", "stands in this environment itself"),
        ('"192.168.110.0/24"', '"192.168.110.0/25"', "overlay-range", "/24"),
        ('base = "lab.toml"', 'base = "lob.toml"', "overlay-base", "lob.toml"),
        ('name = "staging"\n', "", "duplicate-site", "give this site a name of its own"),
        ("vmid_offset", "vmid_ofset", "unknown-field", "did you mean 'vmid_offset'"),
    ],
)
def test_mistakes_are_found_across_base_and_overlay(tmp_path: Path, old: str, new: str, code: str, said: str) -> None:
    assert old in OVERLAY
    found = problems(tmp_path, OVERLAY.replace(old, new, 1))
    assert code in found, found
    assert said in found[code]
    assert "staging.toml" in found[code]


def test_base_and_environments_are_checked_together(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert len(load_all([tmp_path / "lab.toml", path])) == 2
    (tmp_path / "test.toml").write_text(OVERLAY.replace('"staging"', '"test"', 1).replace("staging.lab", "test.lab"))
    with pytest.raises(InventoryError) as error:
        load_all([tmp_path / "lab.toml", path, tmp_path / "test.toml"])
    assert {"duplicate-vmid", "duplicate-address", "duplicate-vlan"} <= {problem.code for problem in error.value.problems}


def test_the_base_does_not_depend_on_its_environments(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text("base = 'lab.toml'\n[overlay\n")
    assert load(tmp_path / "lab.toml").hosts
