"""Whether guests that ask the router for their address have the one that the inventory says."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pulumi

from inventory.models import Guest
from stacks.cluster import Cluster, client, credentials
from stacks.settings import Settings


def warn_of_leases(settings: Settings, guests: Mapping[str, Guest], cluster: Cluster) -> None:
    """Say which of the running GUESTS with `dhcp` have another address than theirs.

    A warning, for the reservation may be a part of this very deployment; a guest that is not reached fails by itself.
    """
    asked = {name: facts for name, facts in guests.items() if facts.dhcp and facts.vmid in cluster}
    login = credentials()
    if not asked or login is None:
        return
    from proxmoxer import AuthenticationError, ResourceException

    try:
        api = client(settings, login)
    except (AuthenticationError, ResourceException, OSError):
        return  # An API that cannot be asked was told of before.
    for name, facts in asked.items():
        there = cluster[facts.vmid]
        if not there.running:
            continue
        try:
            guest = api.nodes(there.node)(there.kind)(facts.vmid)
            cards = guest.agent("network-get-interfaces").get()["result"] if there.kind == "qemu" else guest.interfaces.get()
        except (AuthenticationError, ResourceException, OSError):
            continue  # It starts, or has no agent: its own deployment says more.
        found = list(dict.fromkeys(addresses(cards or ())))
        if found and facts.address not in found:
            reserve = f"Fix: reserve {facts.address} for {facts.mac} at the router, then ./aether reboot {name}"
            pulumi.log.warn(f"hosts.{name}.address: its guest has {', '.join(found)} by DHCP, not {facts.address}. {reserve}")


def addresses(cards: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """IPv4 addresses that a guest's CARDS have, as the agent or a container's node tells them; none of the host's own."""
    for card in cards:
        for item in card.get("ip-addresses") or ():
            address = ipaddress.ip_address(str(item["ip-address"]).partition("%")[0])
            if address.version == 4 and not (address.is_loopback or address.is_link_local):
                yield str(address)
        if not card.get("ip-addresses") and "/" in str(card.get("inet", "")):
            # Containers of Proxmox VE 8.
            address = ipaddress.ip_interface(card["inet"]).ip
            if not (address.is_loopback or address.is_link_local):
                yield str(address)
