"""Addresses: inside their network, and free of special meaning."""

from ipaddress import IPv4Address, IPv4Network

from inventory.models import AnsibleHost, Guest, Host, ManagedHost, Network, OwnCard
from inventory.parse import Draft
from inventory.problems import did_you_mean, one_of


def check(draft: Draft) -> None:
    """Networks, gateways, nameservers, and how every host and node comes by its address."""
    for name, network in draft.networks.items():
        _network(draft, name, network)
    for name, host in draft.hosts.items():
        where = f"hosts.{name}"
        if where in draft.inherited:
            continue  # in the base's network, whatever this environment's of that name is
        if host.network not in draft.names("networks"):
            message = f"network '{host.network}' is not declared{did_you_mean(host.network, draft.networks)}"
            fix = f"write network = {one_of(draft.names('networks'))}, or add [networks.{host.network}]"
            draft.report("unknown-network", where, "network", message, fix)
        elif host.network in draft.networks:
            its = draft.networks[host.network]
            _address(draft, where, host.address, host.network, its, routes=_is_router(host))
            _mac(draft, name, host, its)
    for name, node in draft.nodes.items():
        if f"nodes.{name}" in draft.inherited:
            continue
        found = network_of(draft, node.address)
        if found:
            _address(draft, f"nodes.{name}", node.address, found, draft.networks[found], routes=False)
        elif set(draft.networks) == draft.names("networks"):
            message = f"{node.address} is in none of the networks"
            ranges = ", ".join(network.cidr for network in draft.networks.values())
            draft.report("address-outside", f"nodes.{name}", "address", message, f"write an address of {ranges}")


def network_of(draft: Draft, address: str) -> str | None:
    """Name of the network that holds ADDRESS."""
    ip = IPv4Address(address)
    return next((name for name, net in draft.networks.items() if ip in IPv4Network(net.cidr)), None)


def _is_router(host: Host) -> bool:
    """A router may have the gateway's address: it is the gateway."""
    return "router" in host.tags or (isinstance(host, AnsibleHost) and host.os == "vyos")


def _mac(draft: Draft, name: str, host: Host, network: Network) -> None:
    """A host that asks for its address gets another one, unless the router knows its card."""
    where = f"hosts.{name}"
    if isinstance(host, Guest):
        _lease(draft, where, host, network)
        return
    if not network.dhcp or not isinstance(host, ManagedHost) or not isinstance(host, OwnCard) or _is_router(host):
        return
    if isinstance(host, AnsibleHost) and host.node is not None:
        return  # a container, with the address that its node writes into it
    if host.mac is None and "mac" not in draft.damaged.get(where, ()):
        message = f"is missing, so the router would give it another address than {host.address}"
        draft.report("mac-missing", where, "mac", message, 'write mac = "…", what `ip link` on it shows as link/ether')


def _lease(draft: Draft, where: str, guest: Guest, network: Network) -> None:
    """A guest that asks for its address: somebody answers, and knows its card."""
    if not guest.dhcp:
        return
    if not network.dhcp:
        message = f"nobody gives addresses in network '{guest.network}'"
        draft.report(
            "dhcp-missing", where, "dhcp", message, f"write dhcp = true in [networks.{guest.network}], or remove the line"
        )
    if guest.mac is None and "mac" not in draft.damaged.get(where, ()):
        message = f"is missing, so the router would give it another address than {guest.address}"
        # Locally administered, and as unique as the address is.
        mac = "02:00:" + ":".join(f"{octet:02x}" for octet in IPv4Address(guest.address).packed)
        draft.report(
            "mac-missing", where, "mac", message, f'write mac = "{mac}", and reserve {guest.address} for it at the router'
        )


def _network(draft: Draft, name: str, network: Network) -> None:
    where, cidr, gateway = f"networks.{name}", IPv4Network(network.cidr), IPv4Address(network.gateway)
    if gateway not in cidr or gateway in (cidr.network_address, cidr.broadcast_address):
        message = f"{gateway} is not a host address of {cidr}"
        draft.report("gateway-outside", where, "gateway", message, f'write gateway = "{cidr.network_address + 1}"')
    known = {entry.address for entry in (*draft.nodes.values(), *draft.hosts.values())}
    known |= {net.gateway for net in draft.networks.values()}
    unread = draft.names("hosts") - set(draft.hosts)
    for server in network.nameservers:
        if server not in known and network_of(draft, server) and not unread:
            message = f"no host, node or gateway has the address {server}"
            fix = "write the address of the host that serves DNS, or of a resolver outside the networks"
            draft.report("unknown-nameserver", where, "nameservers", message, fix)


def _address(draft: Draft, where: str, address: str, name: str, network: Network, *, routes: bool) -> None:
    ip, cidr = IPv4Address(address), IPv4Network(network.cidr)
    free = _free(draft, network)
    fix = f'write address = "{free}"' if free else f"widen [networks.{name}], it is full"
    if ip not in cidr:
        holder = network_of(draft, address)
        fix += f', or network = "{holder}"' if holder else ""
        draft.report("address-outside", where, "address", f"{ip} is not in network '{name}' ({cidr})", fix)
    elif ip == cidr.network_address:
        draft.report("address-is-network", where, "address", f"{ip} is the network '{name}' itself", fix)
    elif ip == cidr.broadcast_address:
        draft.report("address-is-broadcast", where, "address", f"{ip} is the broadcast address of '{name}'", fix)
    elif address == network.gateway and not routes:
        fix += ', or tags = ["router"] if it is the router'
        draft.report("address-is-gateway", where, "address", f"{ip} is the gateway of '{name}'", fix)


def _free(draft: Draft, network: Network) -> str | None:
    """An address of NETWORK that nobody has, from .10 on where there is room."""
    taken = {entry.address for entry in (*draft.nodes.values(), *draft.hosts.values())} | {network.gateway}
    cidr = IPv4Network(network.cidr)
    first = 10 if cidr.num_addresses > 16 else 1
    last = min(cidr.num_addresses - 1, 4096)
    candidates = (str(cidr.network_address + i) for i in range(first, last))
    return next((address for address in candidates if address not in taken), None)
