"""What leads from one host of the fleet to another, by the inventory alone: for pictures of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from inventory.load import Inventory

Kind = Literal["depends_on", "service", "tunnel", "network"]
KINDS: dict[Kind, str] = {
    "depends_on": "must be healthy first",
    "service": "service to service",
    "tunnel": "tunnel",
    "network": "network",
}
HOME_GATEWAY, IDENTITY = "gateway", "auth"
"""The host that everybody comes in by (nix/modules/web.nix), and the service that people log in at."""


@dataclass(frozen=True)
class Edge:
    """From SOURCE to TARGET: hosts, or of kind ``network`` a network and a host in it."""

    kind: Kind
    source: str
    target: str
    label: str = ""


def edges(inventories: Sequence[Inventory]) -> list[Edge]:
    """Every edge whose two ends the INVENTORIES have, in the order of KINDS."""
    hosts = {name for each in inventories for name in each.hosts}
    networks = {name for each in inventories for name in each.networks}
    found = dict.fromkeys(edge for inventory in inventories for edge in (*_waits(inventory), *_services(inventory)))
    found |= dict.fromkeys((*_tunnels(inventories), *(edge for inventory in inventories for edge in _networks(inventory))))
    return sorted(
        (edge for edge in found if edge.target in hosts and edge.source in (networks if edge.kind == "network" else hosts)),
        key=lambda edge: list(KINDS).index(edge.kind),
    )


def _waits(inventory: Inventory) -> Iterator[Edge]:
    for name, host in inventory.hosts.items():
        yield from (Edge("depends_on", other, name) for other in host.depends_on)


def _services(inventory: Inventory) -> Iterator[Edge]:
    """The gateway passes on to who serves; who serves, or the gateway for it, asks the identity provider who somebody is."""
    identity = inventory.services.get(IDENTITY)
    passed: dict[str, list[str]] = {}
    asks: dict[str, list[str]] = {}
    for name, service in inventory.services.items():
        if service.host != HOME_GATEWAY:
            passed.setdefault(service.host, []).append(name)
        asker = {"oidc": service.host, "proxy": HOME_GATEWAY}.get(service.login)
        if identity and asker and asker != identity.host:
            asks.setdefault(asker, []).append(name)
    yield from (Edge("service", HOME_GATEWAY, host, ", ".join(names)) for host, names in passed.items())
    if identity:
        yield from (Edge("service", asker, identity.host, f"logins of {', '.join(names)}") for asker, names in asks.items())


def _tunnels(inventories: Sequence[Inventory]) -> Iterator[Edge]:
    for inventory in inventories:
        if inventory.cloud:
            gateway = inventory.cloud.gateway
            yield Edge("tunnel", gateway, HOME_GATEWAY, "WireGuard")
            for name, relay in inventory.cloud.relays.items():
                yield Edge("tunnel", gateway, relay.host, f"{name}, port {relay.port}")


def _networks(inventory: Inventory) -> Iterator[Edge]:
    for name, host in inventory.hosts.items():
        yield Edge("network", host.network, name)
        yield from (Edge("network", more.network, name) for more in getattr(host, "interfaces", ()))
