"""Guests that ask the router for their address: what Proxmox tells of it, and what is said where it is another."""

import types
from pathlib import Path
from typing import Any

import pulumi
import pytest

from inventory.models import Guest
from stacks import leases
from stacks.cluster import ClusterGuest
from stacks.leases import addresses, warn_of_leases
from stacks.settings import Settings

AGENT: list[dict[str, Any]] = [
    {"name": "lo", "ip-addresses": [{"ip-address": "127.0.0.1", "ip-address-type": "ipv4"}]},
    {
        "name": "ens18",
        "ip-addresses": [
            {"ip-address": "fe80::1%ens18", "ip-address-type": "ipv6"},
            {"ip-address": "169.254.7.7", "ip-address-type": "ipv4"},
            {"ip-address": "192.168.10.240", "ip-address-type": "ipv4"},
        ],
    },
    {"name": "wg0"},
]
OLD_CONTAINER = [{"name": "lo", "inet": "127.0.0.1/8"}, {"name": "eth0", "inet": "192.168.10.12/24", "inet6": "fe80::1/64"}]


def test_what_the_agent_and_a_node_tell_of_a_guest() -> None:
    assert list(addresses(AGENT)) == ["192.168.10.240"]
    assert list(addresses(OLD_CONTAINER)) == ["192.168.10.12"]
    assert list(addresses([])) == []


def guest(vmid: int) -> Guest:
    return types.SimpleNamespace(dhcp=True, vmid=vmid, address="192.168.10.12", mac="02:00:c0:a8:0a:0c")  # type: ignore[return-value]


def test_another_lease_is_said_with_what_to_do_and_the_right_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Api:
        def nodes(self, node: str) -> Any:
            return lambda kind: (
                lambda vmid: types.SimpleNamespace(
                    agent=lambda command: types.SimpleNamespace(get=lambda: {"result": AGENT}),
                    interfaces=types.SimpleNamespace(get=lambda: OLD_CONTAINER),
                )
            )

    monkeypatch.setattr(leases, "credentials", lambda: {"user": "a"})
    monkeypatch.setattr(leases, "client", lambda *_, **__: Api())
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    settings = Settings(
        stack="unit", composition="homelab", inventory=Path("inventory/homelab.toml"), proxmox_endpoint="https://pve:8006/"
    )
    cluster = {
        110: ClusterGuest(110, "qemu", "web", "pve1", running=True),
        111: ClusterGuest(111, "lxc", "dns", "pve1", running=True),
        112: ClusterGuest(112, "qemu", "off", "pve1"),
    }
    warn_of_leases(settings, {"web": guest(110), "dns": guest(111), "off": guest(112), "new": guest(113)}, cluster)
    assert said == [
        "hosts.web.address: its guest has 192.168.10.240 by DHCP, not 192.168.10.12. Fix: reserve 192.168.10.12 for "
        "02:00:c0:a8:0a:0c at the router, then ./aether reboot web"
    ]
