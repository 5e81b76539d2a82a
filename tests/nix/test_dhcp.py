"""A guest that asks the router for its address: what systemd-networkd is told, and that nothing else of it changes."""

from pathlib import Path
from typing import Any

from .conftest import evaluated, replace


def test_it_asks_as_its_card_and_keeps_the_inventorys_resolvers(copy: Path) -> None:
    inventory = copy / "inventory/homelab.toml"
    replace(inventory, 'cidr = "192.168.10.0/24"', 'dhcp = true\ncidr = "192.168.10.0/24"')
    replace(inventory, "[hosts.step-ca]\n", '[hosts.step-ca]\ndhcp = true\nmac = "02:00:c0:a8:0a:0c"\n')
    option = 'nixosConfigurations.step-ca.config.systemd.network.networks."05-main"'
    of = (
        "card: { inherit (card) address dhcpV4Config dns networkConfig; "
        "routes = builtins.length card.routes; name = card.matchConfig.Name; }"
    )
    found: dict[str, Any] = evaluated(copy, option, apply=of)
    assert found["address"] == [] and found["routes"] == 0
    assert found["networkConfig"]["DHCP"] == "ipv4"
    assert found["dhcpV4Config"] == {"ClientIdentifier": "mac", "UseDNS": False, "UseHostname": False}
    assert found["dns"] and found["name"] == "eth0"
