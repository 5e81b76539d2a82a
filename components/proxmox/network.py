"""A guest's network interfaces, as its facts and networks say; the first is in its own network and has the default route."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pulumi_proxmoxve as proxmox

from inventory.models import Guest, Network


@dataclass(frozen=True)
class Card:
    """One interface: where it is attached, and its addresses in Proxmox's words (with prefix length, ``dhcp`` or ``auto``)."""

    network: Network
    address: str
    gateway: str | None
    address6: str | None
    gateway6: str | None
    firewall: bool
    mac: str | None = None
    """As Proxmox writes it, in upper case; None: Proxmox makes one up."""

    @property
    def vlan(self) -> int | None:
        """The tag that Proxmox gives its packets; a VNet has one of its own."""
        return None if self.network.zone else self.network.vlan or None


def cards(facts: Guest, networks: Mapping[str, Network]) -> list[Card]:
    """Every interface of a guest, in order."""
    return list(_cards(facts, networks))


def _cards(facts: Guest, networks: Mapping[str, Network]) -> Iterator[Card]:
    network = networks[facts.network]
    address6 = _with_prefix(facts.address6, network.cidr6)
    # A guest that listens to router advertisements has its route from them.
    gateway6 = network.gateway6 if address6 not in (None, "auto") else None
    address = "dhcp" if facts.dhcp else _with_prefix(facts.address, network.cidr) or "dhcp"
    # So has one that asks for its address.
    gateway = None if facts.dhcp else network.gateway
    yield Card(network, address, gateway, address6, gateway6, facts.firewall, facts.mac.upper() if facts.mac else None)
    for more in facts.interfaces:
        its = networks[more.network]
        address = _with_prefix(more.address, its.cidr) or "dhcp"
        yield Card(its, address, None, _with_prefix(more.address6, its.cidr6), None, facts.firewall)


def _with_prefix(address: str | None, cidr: str | None) -> str | None:
    return address if address in (None, "auto") or cidr is None else f"{address}/{cidr.split('/')[1]}"


def vm_devices(found: list[Card]) -> list[proxmox.VmLegacyNetworkDeviceArgs]:
    return [
        proxmox.VmLegacyNetworkDeviceArgs(
            bridge=card.network.bridge,
            model="virtio",
            vlan_id=card.vlan,
            mtu=card.network.mtu,
            firewall=card.firewall or None,
            mac_address=card.mac,
        )
        for card in found
    ]


def vm_addresses(found: list[Card]) -> list[proxmox.VmLegacyInitializationIpConfigArgs]:
    return [
        proxmox.VmLegacyInitializationIpConfigArgs(
            ipv4=proxmox.VmLegacyInitializationIpConfigIpv4Args(address=card.address, gateway=card.gateway),
            ipv6=proxmox.VmLegacyInitializationIpConfigIpv6Args(address=card.address6, gateway=card.gateway6)
            if card.address6
            else None,
        )
        for card in found
    ]


def container_interfaces(found: list[Card]) -> list[proxmox.ContainerLegacyNetworkInterfaceArgs]:
    return [
        proxmox.ContainerLegacyNetworkInterfaceArgs(
            name=f"eth{index}",
            bridge=card.network.bridge,
            vlan_id=card.vlan,
            mtu=card.network.mtu,
            firewall=card.firewall or None,
            mac_address=card.mac,
        )
        for index, card in enumerate(found)
    ]


def container_addresses(found: list[Card]) -> list[proxmox.ContainerLegacyInitializationIpConfigArgs]:
    return [
        proxmox.ContainerLegacyInitializationIpConfigArgs(
            ipv4=proxmox.ContainerLegacyInitializationIpConfigIpv4Args(address=card.address, gateway=card.gateway),
            ipv6=proxmox.ContainerLegacyInitializationIpConfigIpv6Args(address=card.address6, gateway=card.gateway6)
            if card.address6
            else None,
        )
        for card in found
    ]


def container_lines(found: list[Card]) -> list[str]:
    """Each interface as pct(1) has it; without its hardware address, unless the inventory has that."""
    return [
        ",".join(
            f"{key}={value}"
            for key, value in {
                "name": f"eth{index}",
                "bridge": card.network.bridge,
                "firewall": int(card.firewall) or None,
                "gw": card.gateway,
                "gw6": card.gateway6,
                "hwaddr": card.mac,
                "ip": card.address,
                "ip6": card.address6,
                "mtu": card.network.mtu,
                "tag": card.vlan,
            }.items()
            if value is not None
        )
        for index, card in enumerate(found)
    ]
