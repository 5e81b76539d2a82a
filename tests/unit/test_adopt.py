"""Guests that the inventory lacks: found, listed, and written into it without touching them."""

from pathlib import Path
from typing import Any

import pytest

from inventory.load import load
from inventory.models import External
from ops.adopt import append, entry, listing, unknown
from ops.stack import OpsError
from tests.unit.inventory_example import GOOD

RESOURCES = [
    {"vmid": 110, "type": "qemu", "name": "web", "node": "metal", "tags": "aether", "status": "running"},
    {"vmid": 900, "type": "qemu", "name": "Old DB", "node": "metal", "status": "running"},
    {"vmid": 901, "type": "lxc", "name": "cache", "node": "metal", "status": "stopped"},
    {"vmid": 902, "type": "qemu", "name": "base", "node": "metal", "template": 1, "status": "stopped"},
    {"vmid": 903, "type": "qemu", "name": "4th", "node": "metal", "status": "stopped"},
    {"vmid": 904, "type": "qemu", "name": "gone", "node": "metal", "tags": "aether;retired", "status": "stopped"},
    {"vmid": 905, "type": "lxc", "name": "talos-on-pve", "node": "metal", "status": "running"},
]
CONFIG: dict[int, dict[str, str]] = {
    901: {"net0": "name=eth0,bridge=vmbr0,ip=192.168.10.61/24,gw=192.168.10.1"},
    905: {"net0": "name=eth0,bridge=vmbr0,ip=192.168.10.30/24"},
}
CARDS = [
    {"ip-addresses": [{"ip-address": "127.0.0.1", "ip-address-type": "ipv4"}]},
    {
        "ip-addresses": [
            {"ip-address": "fe80::1", "ip-address-type": "ipv6"},
            {"ip-address": "192.168.10.60", "ip-address-type": "ipv4"},
        ]
    },
]


def api(path: str) -> Any:
    if path.startswith("/cluster/resources"):
        return RESOURCES
    vmid = int(path.split("/")[4])
    if path.endswith("/config"):
        return CONFIG.get(vmid, {})
    if vmid == 900:
        return {"result": CARDS}
    raise OpsError("no agent")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "lab.toml").write_text(GOOD)
    return tmp_path / "lab.toml"


def test_own_and_retired_guests_and_known_addresses_are_not_strangers(path: Path) -> None:
    found = unknown(load(path), api)
    assert [(item.guest.vmid, item.name, item.address) for item in found] == [
        (900, "old-db", "192.168.10.60"),
        (901, "cache", "192.168.10.61"),
        (902, "base", ""),
        (903, "guest-4th", ""),
    ]
    shown = listing(found, path, "homelab")
    assert "900  virtual machine  Old DB" in shown
    assert "902  template" in shown
    assert listing([], path, "homelab") == f"Every guest of the cluster is in {path}."


def test_what_is_written_is_external_and_the_rest_of_the_file_stays(path: Path) -> None:
    inventory = load(path)
    found = {item.guest.vmid: item for item in unknown(inventory, api)}
    append(path, "\n".join(entry(found[vmid], inventory) for vmid in (900, 901)))
    assert path.read_text().startswith(GOOD.rstrip())
    host = load(path).hosts["old-db"]
    assert isinstance(host, External)
    assert (host.address, host.network) == ("192.168.10.60", "servers")
    assert [item.guest.vmid for item in unknown(load(path), api)] == [902, 903]


@pytest.mark.parametrize(
    ("vmid", "address", "says"),
    [
        (902, None, "is a template"),
        (903, None, "adopt 903 --address ADDRESS"),
        (903, "10.9.9.9", "is in no network"),
    ],
)
def test_what_cannot_be_adopted_says_why(path: Path, vmid: int, address: str | None, says: str) -> None:
    inventory = load(path)
    found = {item.guest.vmid: item for item in unknown(inventory, api)}
    with pytest.raises(OpsError, match=says):
        entry(found[vmid], inventory, address)


def test_a_file_that_would_be_wrong_stays_as_it_was(path: Path) -> None:
    with pytest.raises(OpsError, match=r"would not be right with it:\n.*is the address of hosts.web too"):
        append(path, '[hosts.web2]\nkind = "external"\naddress = "192.168.10.10"\n')
    assert path.read_text() == GOOD
    assert [item.name for item in path.parent.iterdir()] == ["lab.toml"]
