"""Proxmox nodes that are down when a stack is deployed: what is on them is left out and said, the others go on."""

import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from inventory.load import Inventory
from inventory.models import Guest
from ops.stack import Stack
from stacks.ssh import Access, accesses

ENVIRONMENT = "AETHER_NODES_DOWN"
"""Tells the program which nodes the next one does not wait for."""


def down(stack: Stack, inventory: Inventory, seconds: float = 5) -> list[str]:
    """Nodes that do not answer on SSH, of those that the inventory has. None where none answers: that is no matter of a node."""
    known = accesses(inventory, stack.setting("reachFile") or "")
    nodes = list(inventory.nodes)
    with ThreadPoolExecutor(16) as pool:
        answers = dict(zip(nodes, pool.map(lambda name: _answers(known[name], seconds), nodes), strict=True))
    return [name for name, there in answers.items() if not there] if any(answers.values()) else []


def on(inventory: Inventory, nodes: Iterable[str]) -> list[str]:
    """Guests that the inventory has on NODES."""
    wanted = set(nodes)
    return [name for name, host in inventory.hosts.items() if isinstance(host, Guest) and host.node in wanted]


def exclusions(inventory: Inventory, nodes: Iterable[str]) -> list[str]:
    """Options of the engine's that leave NODES alone, the guests on them, and what depends on those."""
    names = [*nodes, *(f"nixos-{kind}-{node}" for node in nodes for kind in ("vm", "lxc")), *on(inventory, nodes)]
    return [word for name in names for word in ("--exclude", f"**::{name}")] + ["--exclude-dependents"]


def said(inventory: Inventory, nodes: list[str]) -> str:
    """What is left out because NODES are down."""
    guests = ", ".join(on(inventory, nodes)) or "no guest"
    verb = "does" if len(nodes) == 1 else "do"
    return (
        f"{', '.join(nodes)} {verb} not answer: left out, with what is on it ({guests}) and what depends on that. "
        f"Run it again when the node is back"
    )


def _answers(access: Access, seconds: float) -> bool:
    try:
        socket.create_connection((access.address, access.port), timeout=seconds).close()
    except OSError:
        return False
    return True
