"""Networks of more than one kind, SDN, firewall, backups and high availability: what the program asks of the provider."""

from pathlib import Path

import pulumi
import pytest

from components.nixos.desired import Desired
from inventory.load import load
from stacks import homelab
from stacks.settings import Settings
from tests.system import small
from tests.system.cluster_inventory import inventory
from tests.unit.recorder import STACK, Recording, record


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    path = tmp_path_factory.mktemp("cluster") / "homelab.toml"
    path.write_text(inventory().replace(small.NODE_PLAYBOOK, "proxmox.yml"))
    settings = Settings.model_validate(
        {
            "stack": STACK,
            "composition": "homelab",
            "inventory": path,
            "evaluator": "source",
            "proxmox_endpoint": "https://192.168.1.11:8006/",
            "proxmox_api_token": pulumi.Output.secret("aether@pve!pulumi=0"),
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        # No host of this fleet has a file in the repository: what a system is made of is another test's.
        patch.setattr(homelab, "desired_systems", lambda *_, **__: dict.fromkeys(("web", "dns", "log"), Desired("source:0")))
        return record(lambda: homelab.compose(settings, load(Path(path))))


def test_a_vm_has_a_card_a_network_and_the_default_route_on_the_first(recording: Recording) -> None:
    vm = recording.one("VmLegacy", "web").inputs
    assert [(card["bridge"], card.get("vlanId"), card.get("mtu"), card["firewall"]) for card in vm["networkDevices"]] == [
        ("vmbr0", 10, None, True),
        ("storage", None, 9000, True),
        ("vmbr0", 1, None, True),
    ]
    assert vm["initialization"]["ipConfigs"] == [
        {
            "ipv4": {"address": "192.168.10.10/24", "gateway": "192.168.10.1"},
            "ipv6": {"address": "fd00:10::10/64", "gateway": "fd00:10::1"},
        },
        {"ipv4": {"address": "10.0.8.10/24"}},
        {"ipv4": {"address": "dhcp"}, "ipv6": {"address": "auto"}},
    ]
    assert vm["cpu"]["type"] == "x86-64-v2-AES"
    assert vm["cpu"]["numa"] is True
    assert vm["memory"] == {"dedicated": 512, "floating": 256}


def test_a_container_has_the_same(recording: Recording) -> None:
    container = recording.one("ContainerLegacy", "dns").inputs
    assert [(card["name"], card["bridge"], card.get("vlanId"), card.get("mtu")) for card in container["networkInterfaces"]] == [
        ("eth0", "vmbr0", 10, None),
        ("eth1", "storage", None, 9000),
    ]
    assert container["initialization"]["ipConfigs"] == [
        {"ipv4": {"address": "192.168.10.11/24", "gateway": "192.168.10.1"}, "ipv6": {"address": "auto"}},
        {"ipv4": {"address": "10.0.8.11/24"}},
    ]


def test_a_guest_that_asks_for_its_address_has_the_card_that_the_router_knows(recording: Recording) -> None:
    container = recording.one("ContainerLegacy", "log").inputs
    (card,) = container["networkInterfaces"]
    assert card["macAddress"] == "02:00:C0:A8:0A:0C"
    assert container["initialization"]["ipConfigs"] == [{"ipv4": {"address": "dhcp"}}]
    line = recording.one("Command", "log-settings").inputs["environment"]["AETHER_SETTINGS"]
    assert "net0 name=eth0,bridge=vmbr0,hwaddr=02:00:C0:A8:0A:0C,ip=dhcp,tag=10" in line
    (greeting,) = (item.environment for item in recording.resources if item.name == "log" and "AETHER_GUEST" in item.environment)
    assert greeting["AETHER_LEASE"] == "192.168.10.12 02:00:c0:a8:0a:0c"
    assert greeting["AETHER_INSTANCE"] == "02:00:c0:a8:0a:0c 1"
    # Who has a static address has whatever card Proxmox makes up.
    assert "macAddress" not in recording.one("VmLegacy", "web").inputs["networkDevices"][0]


def test_a_guest_is_in_its_pool_which_is_in_another(recording: Recording) -> None:
    assert recording.one("PoolLegacy", "edge").inputs == {"poolId": "edge", "comment": "Made by Aether"}
    assert any(urn.endswith("PoolLegacy::edge") for urn in recording.one("PoolLegacy", "edge/web").depends_on)
    member = recording.one("pool/membership:Membership", "web").inputs
    assert (member["poolId"], member["vmId"]) == ("edge/web", 110)
    # A change of the container's own replaces it.
    assert "poolId" not in recording.one("VmLegacy", "web").inputs


def test_vnets_are_made_in_their_zone_and_applied_before_any_guest(recording: Recording) -> None:
    assert recording.one("sdn/zone/vlan:Vlan", "lab").inputs["bridge"] == "vmbr1"
    vnet = recording.one("sdn/vnet:Vnet", "storage").inputs
    assert (vnet["resourceId"], vnet["zone"], vnet["tag"]) == ("storage", "lab", 8)
    assert any(urn.endswith("Applier::small") for urn in recording.one("VmLegacy", "web").depends_on)


def test_the_firewall_lets_in_ssh_services_and_openings_and_is_on_after_its_rules(recording: Recording) -> None:
    rules = recording.one("firewall/rulesLegacy:RulesLegacy", "web").inputs["rules"]
    assert [(rule.get("dport"), rule.get("source"), rule.get("macro")) for rule in rules] == [
        ("22", None, None),
        ("8080", None, None),
        ("9100", "192.168.10.12/32", None),
        (None, None, "Ping"),
    ]
    options = recording.one("firewall/optionsLegacy:OptionsLegacy", "web")
    assert (options.inputs["enabled"], options.inputs["inputPolicy"]) == (True, "DROP")
    assert any(urn.endswith("RulesLegacy::web") for urn in options.depends_on)
    assert set(recording.of("firewall/rulesLegacy:RulesLegacy")) == {"web"}


def test_backups_are_of_every_guest_that_is_not_disposable_or_of_those_named(recording: Recording) -> None:
    nightly = recording.one("backup/job:Job", "nightly").inputs
    assert sorted(nightly["vmids"]) == ["110", "111"]
    assert nightly["pruneBackups"] == {"keep-daily": "7", "keep-weekly": "4"}
    assert nightly["mailnotification"] == "failure"
    assert recording.one("backup/job:Job", "hourly").inputs["vmids"] == ["111"]


def test_high_availability_prefers_the_first_node(recording: Recording) -> None:
    assert {item.inputs["resourceId"] for item in recording.of("haresource:Haresource").values()} == {"vm:110", "ct:111"}
    rule = recording.one("harule:Harule", "core").inputs
    assert rule["nodes"] == {"pve1": 100, "pve2": 90}
    assert rule["strict"] is True
