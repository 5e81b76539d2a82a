"""What does not answer when a stack is deployed: Proxmox nodes that are down, and machines that roam. It is left out and
said, the others go on.
"""

import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from inventory.load import Inventory
from inventory.models import Guest
from ops.stack import Stack
from stacks.ssh import Access, accesses

ENVIRONMENT = "AETHER_NODES_DOWN"
"""Tells the program which nodes the next one does not wait for."""


@dataclass(frozen=True)
class Silent:
    """What does not answer on SSH."""

    down: list[str]
    """Nodes; none where no node answers, for that is no matter of a node."""
    away: list[str]
    """Hosts that may be away (``roams``)."""


def silent(stack: Stack, inventory: Inventory, seconds: float = 5) -> Silent:
    """Ask nodes and hosts that roam, all at once."""
    roaming = [name for name, host in inventory.managed(stack.phase).items() if getattr(host, "roams", False)]
    there = _asked(stack, inventory, [*inventory.nodes, *roaming], seconds)
    nodes = [name for name in inventory.nodes if not there[name]]
    return Silent(nodes if len(nodes) < len(inventory.nodes) else [], [name for name in roaming if not there[name]])


def away(stack: Stack, inventory: Inventory, names: Iterable[str], seconds: float = 5) -> list[str]:
    """Those of NAMES that do not answer on SSH."""
    there = _asked(stack, inventory, list(names), seconds)
    return [name for name, answers in there.items() if not answers]


def on(inventory: Inventory, nodes: Iterable[str]) -> list[str]:
    """Guests that the inventory has on NODES."""
    wanted = set(nodes)
    return [name for name, host in inventory.hosts.items() if isinstance(host, Guest) and host.node in wanted]


def exclusions(inventory: Inventory, nodes: Iterable[str]) -> list[str]:
    """Options of the engine's that leave NODES alone, the guests on them, and what depends on those."""
    return left_out([*nodes, *(f"nixos-{kind}-{node}" for node in nodes for kind in ("vm", "lxc")), *on(inventory, nodes)])


def left_out(names: Iterable[str]) -> list[str]:
    """Options of the engine's that leave the resources of these NAMES alone, and what depends on them."""
    return [word for name in names for word in ("--exclude", f"**::{name}")] + ["--exclude-dependents"]


def homes_of(names: Iterable[str]) -> list[str]:
    """The hosts of these NAMES, and their homes, as resources are called."""
    return [resource for name in names for resource in (name, f"{name}-home")]


def said(inventory: Inventory, nodes: list[str]) -> str:
    """What is left out because NODES are down."""
    guests = ", ".join(on(inventory, nodes)) or "no guest"
    verb = "does" if len(nodes) == 1 else "do"
    return (
        f"{', '.join(nodes)} {verb} not answer: left out, with what is on it ({guests}) and what depends on that. "
        f"Run it again when the node is back"
    )


def _asked(stack: Stack, inventory: Inventory, names: list[str], seconds: float) -> dict[str, bool]:
    """Whether each of NAMES answers on SSH."""
    known = accesses(inventory, stack.setting("endpointsFile") or "")
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(names, pool.map(lambda name: _answers(known[name], seconds), names), strict=True))


def _answers(access: Access, seconds: float) -> bool:
    try:
        socket.create_connection((access.address, access.port), timeout=seconds).close()
    except OSError:
        return False
    return True
