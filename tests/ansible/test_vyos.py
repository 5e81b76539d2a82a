"""The router's command list from the inventory, and the difference to a running configuration."""

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from inventory.ansible import listing
from inventory.load import load_all
from tests.ansible.conftest import REPO

_spec = importlib.util.spec_from_file_location("aether_vyos", REPO / "ansible/filter_plugins/aether_vyos.py")
assert _spec is not None and _spec.loader is not None
aether_vyos = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = aether_vyos
_spec.loader.exec_module(aether_vyos)
commands: Callable[..., list[str]] = aether_vyos.vyos_commands
changes: Callable[..., list[str]] = aether_vyos.vyos_changes

OWNED = ["firewall", "service dhcp-server", "service dns forwarding", "interfaces wireguard wg0"]


@pytest.fixture
def inventory(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the dynamic inventory gives the role, as its vars/main.yml names it."""
    monkeypatch.delenv("AETHER_ENDPOINTS", raising=False)
    monkeypatch.chdir(REPO)
    listed = listing(load_all([f"inventory/{name}.toml" for name in ("homelab", "cloud")]))
    tables = ("networks", "nodes", "hosts", "services")
    router = listed["_meta"]["hostvars"]["router"]
    return {"site": router["aether_site"], **{table: listed["all"]["vars"][f"aether_{table}"] for table in tables}}


@pytest.fixture
def settings() -> dict[str, Any]:
    """The role's defaults, as the role hands them to the filter."""
    defaults = yaml.safe_load((REPO / "ansible/roles/vyos_router/defaults/main.yml").read_text())
    names = ["release", "wan_interface", "lan_interface", "gateway", "upstream", "dhcp", "dhcp_lease", "policy"]
    return {name: defaults[f"vyos_{name}"] for name in names} | {
        "wireguard": {
            "interface": "wg0",
            "network": "192.168.99.0/24",
            "port": 51820,
            "private_key": "PRIVATE",
            "keys": {"laptop": "LAPTOPKEY=\n", "gateway": "GATEWAYKEY="},
        }
    }


def test_networks_become_interfaces(settings: dict[str, Any], inventory: dict[str, Any]) -> None:
    lines = commands(settings, inventory)
    assert "set interfaces ethernet eth1 address '192.168.1.1/24'" in lines
    assert "set interfaces ethernet eth1 vif 20 address '192.168.20.1/24'" in lines
    assert not any("192.168.90." in line for line in lines), "the cloud's network has a router of its own"
    assert lines == sorted(set(lines), key=lines.index), "no line twice"


def test_dhcp(settings: dict[str, Any], inventory: dict[str, Any]) -> None:
    at = "set service dhcp-server shared-network-name clients subnet 192.168.20.0/24"
    lines = commands(settings, inventory)
    for end in (
        "default-router '192.168.20.1'",
        "name-server '192.168.10.14'",
        "domain-name 'home.example.org'",
        "range 0 start '192.168.20.100'",
        "range 0 stop '192.168.20.239'",
        "static-mapping laptop ip-address '192.168.20.11'",
        "static-mapping laptop mac-address '00:00:5e:00:53:11'",
    ):
        assert f"{at} {end}" in lines
    fixed = {host["address"] for host in inventory["hosts"].values()}
    pool = {f"192.168.20.{number}" for number in range(100, 240)}
    assert not fixed & pool, "an address of the inventory is handed out by DHCP too"


def test_machines_that_ask_for_an_address_are_given_the_inventorys(settings: dict[str, Any], inventory: dict[str, Any]) -> None:
    """Deploys go there; all that the router does not map are in the pool somewhere."""
    lines = commands(settings, inventory)
    asking = {name: host for name, host in inventory["hosts"].items() if inventory["networks"][host["network"]]["dhcp"]}
    assert {"desktop", "laptop", "bifrost", "bifrost-kinoite", "workstation", "gaming"} <= set(asking)
    for name, host in asking.items():
        (mapped,) = (line for line in lines if f" static-mapping {name} ip-address " in line)
        assert mapped.endswith(f" ip-address '{host['address']}'")
        assert f"{mapped.rpartition(' ip-address ')[0]} mac-address '{host['mac']}'" in lines


def test_words_of_the_next_release(settings: dict[str, Any], inventory: dict[str, Any]) -> None:
    lines = commands({**settings, "release": "1.5"}, inventory)
    assert "set firewall zone CLIENTS member interface 'eth1.20'" in lines
    at = "set service dhcp-server shared-network-name clients subnet 192.168.20.0/24"
    assert f"{at} option default-router '192.168.20.1'" in lines
    assert any(line.startswith(f"{at} subnet-id ") for line in lines)
    assert f"{at} static-mapping laptop mac '00:00:5e:00:53:11'" in lines


def test_names(settings: dict[str, Any], inventory: dict[str, Any]) -> None:
    lines = commands(settings, inventory)
    at = "set system static-host-mapping host-name"
    assert f"{at} keycloak.home.example.org inet '192.168.10.11'" in lines
    assert f"{at} oracle.home.example.org inet '192.168.1.11'" in lines
    assert f"{at} grafana.home.example.org inet '192.168.10.10'" in lines, "services are at the gateway"
    assert f"{at} cockpit.home.example.org inet '192.168.10.22'" in lines, "a host's own name is its own address"
    assert "set service dns forwarding allow-from '192.168.30.0/24'" in lines


def test_firewall_drops_what_is_not_written(settings: dict[str, Any], inventory: dict[str, Any]) -> None:
    lines = commands(settings, inventory)
    zones = ["management", "servers", "clients", "kubernetes", "wan", "vpn", "local"]
    for source in zones:
        for target in zones:
            if source != target:
                name = f"{source}-{target}".upper()
                assert f"set firewall zone {target.upper()} from {source.upper()} firewall name '{name}'" in lines
                accepted = f"set firewall ipv4 name {name} default-action 'accept'" in lines
                assert accepted == (source == "local" or settings["policy"].get(f"{source} -> {target}") == "accept")
    from_wan = [line for line in lines if " name WAN-" in line and " destination port " in line]
    assert from_wan == ["set firewall ipv4 name WAN-LOCAL rule 100 destination port '{{ vyos_wireguard_port }}'"]


def test_clients_reach_the_peer_that_is_always_on(settings: dict[str, Any], inventory: dict[str, Any]) -> None:
    """SharedHome's server waits for them: port 22000 of it, and no way back that it would have to open."""
    lines = commands(settings, inventory)
    assert inventory["hosts"]["homelab-vm"]["network"] == "servers"
    assert "set firewall ipv4 name CLIENTS-SERVERS default-action 'accept'" in lines
    assert "set firewall ipv4 name SERVERS-CLIENTS rule 10 state 'established'" in lines
    assert not any("22000" in line for line in lines)


def test_addresses_in_rules_come_from_the_inventory(settings: dict[str, Any], inventory: dict[str, Any]) -> None:
    lines = commands(settings, inventory)
    assert "set firewall ipv4 name SERVERS-MANAGEMENT rule 100 source address '192.168.10.20'" in lines
    settings["policy"] = {"clients -> servers": [{"to": "nobody"}]}
    with pytest.raises(KeyError, match=r"vyos_policy names 'nobody'.*add \[hosts.nobody\]"):
        commands(settings, inventory)


def test_wireguard_peers_are_personal_machines_with_a_key(settings: dict[str, Any], inventory: dict[str, Any]) -> None:
    lines = [line for line in commands(settings, inventory) if " wireguard " in line]
    assert "set interfaces wireguard wg0 peer laptop public-key 'LAPTOPKEY='" in lines
    assert "set interfaces wireguard wg0 peer laptop allowed-ips '192.168.99.11/32'" in lines
    assert not any("peer gateway" in line for line in lines)
    assert "PRIVATE" not in "".join(aether_vyos.vyos_redact(lines))
    without = commands({**settings, "wireguard": {}}, inventory)
    assert not any(" wireguard " in line or "VPN" in line for line in without)


def test_a_configured_router_has_nothing_to_change(settings: dict[str, Any], inventory: dict[str, Any]) -> None:
    lines = commands(settings, inventory)
    foreign = ["set system login user vyos authentication plaintext-password ''", "set protocols bgp system-as '65000'"]
    assert changes("\n".join([*reversed(lines), *foreign]), lines, OWNED) == []


def test_only_owned_subtrees_lose_lines() -> None:
    running = [
        "set firewall zone OLD default-action 'drop'",
        "set firewall zone OLD interface 'eth7'",
        "set firewall zone LAN description 'two words'",
        "set protocols static route 0.0.0.0/0 next-hop 10.0.0.1",
        "set service dns dynamic name x",
        "set service dns forwarding cache-size '0'",
    ]
    assert changes(running, ["set firewall zone LAN description 'new words'"], OWNED) == [
        "delete firewall zone LAN description 'two words'",
        "delete firewall zone OLD",
        # Never above what is owned: `service dns dynamic` is somebody else's.
        "delete service dns forwarding",
        "set firewall zone LAN description 'new words'",
    ]
