"""Further interfaces and IPv6 of guests, SDN zones, backup jobs and high availability: what they name, and what they need."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from inventory.models import Guest, Network, NixosVm
from inventory.parse import Draft
from inventory.problems import did_you_mean, one_of
from inventory.rules.unique import guests

# PVE::Network::SDN: ids of zones and VNets become names of network interfaces.
_SDN_ID = re.compile(r"[a-z][a-z0-9]{1,7}")


def check(draft: Draft) -> None:
    """Everything that is about guests and the cluster's own tables."""
    for name, guest in guests(draft):
        _interfaces(draft, name, guest)
        if isinstance(guest, NixosVm) and guest.balloon is not None and guest.balloon > guest.memory:
            message = f"{guest.balloon} MiB are more than its memory, {guest.memory} MiB"
            fix = f"write balloon = {guest.memory // 2}, or leave it out"
            draft.report("balloon-too-large", f"hosts.{name}", "balloon", message, fix)
    for name, network in draft.networks.items():
        where = f"networks.{name}"
        if network.gateway6 and not (network.cidr6 and _in6(network.gateway6, network.cidr6)):
            message = f"{network.gateway6} is not in cidr6 ({network.cidr6 or 'which is missing'})"
            draft.report("gateway-outside", where, "gateway6", message, "write an address of cidr6, or leave it out")
        if network.zone is not None:
            _vnet(draft, name)
    for name, zone in draft.zones.items():
        if not _SDN_ID.fullmatch(name):
            message = "is no id of an SDN zone: two to eight lower-case letters and digits, a letter first"
            draft.report("sdn-id", f"zones.{name}", "", message, "give it a shorter name")
        _nodes(draft, f"zones.{name}", zone.nodes)
    for name, job in draft.backups.items():
        _named_guests(draft, f"backups.{name}", job.hosts)
    for name in draft.availability:
        _available(draft, name)


def _in6(address: str, cidr: str) -> bool:
    return IPv6Address(address) in IPv6Network(cidr)


def _addresses(guest: Guest) -> Iterator[tuple[str, str, str | None, str | None]]:
    """Field, network, IPv4 address (of further interfaces only: the first is checked with all hosts), IPv6 address."""
    yield "address6", guest.network, None, guest.address6
    for index, interface in enumerate(guest.interfaces):
        yield f"interfaces[{index}]", interface.network, interface.address, interface.address6


def _interfaces(draft: Draft, name: str, guest: Guest) -> None:
    where = f"hosts.{name}"
    for at, called, address, address6 in _addresses(guest):
        network = draft.networks.get(called)
        if called not in draft.names("networks"):
            message = f"network '{called}' is not declared{did_you_mean(called, draft.networks)}"
            draft.report("unknown-network", where, at, message, f"write network = {one_of(draft.names('networks'))}")
        if network is None:
            continue
        if address and IPv4Address(address) not in IPv4Network(network.cidr):
            message = f"{address} is not in network '{called}' ({network.cidr})"
            draft.report("address-outside", where, at, message, "write an address of it, or leave it out for DHCP")
        if at != "address6" and address is None and not network.dhcp:
            message = f"has no address, and nobody gives one in network '{called}'"
            draft.report("address-missing", where, at, message, f'write address = "…" of {network.cidr}')
        if address6 not in (None, "auto") and not (network.cidr6 and _in6(str(address6), network.cidr6)):
            message = f"{address6} is not in cidr6 of network '{called}' ({network.cidr6 or 'which has none'})"
            draft.report("address-outside", where, at, message, 'write an address of it, or address6 = "auto"')
    used = [guest.network, *(interface.network for interface in guest.interfaces)]
    for doubled in sorted({network for network in used if used.count(network) > 1}):
        message = f"two interfaces are in network '{doubled}': answers would leave by either"
        draft.report("interface-doubled", where, "interfaces", message, "remove one of them")


def _vnet(draft: Draft, name: str) -> None:
    network, where = draft.networks[name], f"networks.{name}"
    zone = draft.zones.get(network.zone or "")
    if network.zone not in draft.names("zones"):
        message = f"zone '{network.zone}' is not declared{did_you_mean(str(network.zone), draft.zones)}"
        draft.report("unknown-zone", where, "zone", message, f'add [zones.{network.zone}] type = "vlan", bridge = "vmbr0"')
    # Those that nobody makes: an interface of a node, which a VNet of its name would take the place of.
    bridges = {other.bridge for other in draft.networks.values() if other.zone is None}
    bridges |= {each.bridge for each in draft.zones.values() if each.bridge} | {Network.model_fields["bridge"].default}
    if network.bridge in bridges:
        message = f"'{network.bridge}' is a bridge of the nodes, and a network with a zone is a VNet that is made under that name"
        draft.report("vnet-is-bridge", where, "bridge", message, f'write bridge = "{_vnet_name(name)}"')
    twins = [other for other, its in draft.networks.items() if its.zone and its.bridge == network.bridge and other != name]
    if twins and twins[0] < name:
        message = f"'{network.bridge}' is the VNet of network '{twins[0]}'"
        draft.report("vnet-doubled", where, "bridge", message, f'write bridge = "{_vnet_name(name)}"')
    if not _SDN_ID.fullmatch(network.bridge):
        message = f"'{network.bridge}' is no id of a VNet: two to eight lower-case letters and digits, a letter first"
        draft.report("sdn-id", where, "bridge", message, 'write bridge = "servers"')
    if zone is not None and zone.type == "vlan" and not network.vlan:
        draft.report("vlan-missing", where, "vlan", "a VNet of a vlan zone has a tag", "write vlan = 10")
    if zone is not None and zone.type == "simple" and network.vlan:
        draft.report("vlan-surplus", where, "vlan", "a VNet of a simple zone has no tag", "remove the line")


def _vnet_name(network: str) -> str:
    """A VNet's id that says which NETWORK it is."""
    short = re.sub(r"[^a-z0-9]", "", network)[:8]
    return short if _SDN_ID.fullmatch(short) else "vnet1"


def _nodes(draft: Draft, where: str, nodes: tuple[str, ...]) -> None:
    for node in nodes:
        if node not in draft.names("nodes"):
            message = f"node '{node}' is not declared{did_you_mean(node, draft.nodes)}"
            draft.report("unknown-node", where, "nodes", message, f"write {one_of(draft.names('nodes'))}")


def _named_guests(draft: Draft, where: str, hosts: tuple[str, ...]) -> None:
    known = {name for name, _ in guests(draft)}
    for host in hosts:
        if host not in known and host not in draft.names("hosts") - set(draft.hosts):
            message = f"'{host}' is no guest of a Proxmox node{did_you_mean(host, known)}"
            draft.report("unknown-host", where, "hosts", message, "write the names of virtual machines and containers")


def _available(draft: Draft, name: str) -> None:
    where, facts = f"availability.{name}", draft.availability[name]
    _nodes(draft, where, facts.nodes)
    _named_guests(draft, where, facts.hosts)
    types = {node: draft.nodes[node].cpu_type for node in facts.nodes if node in draft.nodes}
    for host in facts.hosts:
        guest = draft.hosts.get(host)
        if not isinstance(guest, Guest):
            continue
        if guest.node not in facts.nodes:
            message = f"'{host}' is on {guest.node}, which is not one of its nodes"
            draft.report("ha-elsewhere", where, "nodes", message, f'add "{guest.node}"')
        held = (*getattr(guest, "usb", ()), *getattr(guest, "pci", ()))
        if held:
            message = f"'{host}' has a device of {guest.node} ({', '.join(held)}) and cannot run elsewhere"
            draft.report("ha-device", where, "hosts", message, f"remove '{host}', or its device")
        if isinstance(guest, NixosVm) and guest.cpu_type is None and len(set(types.values())) > 1:
            message = f"'{host}' would find another CPU: {', '.join(f'{node} {type}' for node, type in types.items())}"
            fix = f'write cpu_type = "x86-64-v2-AES" in [hosts.{host}], or the same in its nodes'
            draft.report("ha-cpu", where, "hosts", message, fix)
