"""Picture of the fleet: Mermaid from the inventory, for the README."""

from collections.abc import Sequence

from inventory.blocks import replaced
from inventory.load import Inventory
from inventory.models import AtomicHost, External, Host, NixosHost

BEGIN, END = "<!-- fleet:begin -->", "<!-- fleet:end -->"


def mermaid(inventories: Sequence[Inventory]) -> str:
    """A ``flowchart``: a box a Proxmox node and network, an arrow from what must be healthy first."""
    lines = ["flowchart LR"]
    for inventory in inventories:
        for node in inventory.nodes:
            guests = [name for name, host in inventory.hosts.items() if getattr(host, "node", None) == node]
            lines += _box(f"node_{_id(node)}", f"{node} (Proxmox)", guests, inventory)
        for network in inventory.networks:
            free = [
                name for name, host in inventory.hosts.items() if host.network == network and getattr(host, "node", None) is None
            ]
            lines += _box(f"net_{_id(network)}", f"{network} {inventory.networks[network].cidr}", free, inventory)
    for inventory in inventories:
        for name, host in inventory.hosts.items():
            lines += [f"  {_id(dependency)} --> {_id(name)}" for dependency in host.depends_on]
    lines += [
        "  classDef nixos fill:#dbeafe,stroke:#1d4ed8,color:#111",
        "  classDef atomic fill:#ede9fe,stroke:#6d28d9,color:#111",
        "  classDef ansible fill:#fee2e2,stroke:#b91c1c,color:#111",
        "  classDef external fill:#f3f4f6,stroke:#6b7280,color:#111",
    ]
    return "\n".join(lines)


def replace_block(text: str, picture: str) -> str:
    """TEXT with the fenced PICTURE between the markers.

    Raises:
        ValueError: TEXT does not hold both markers, in order.
    """
    return replaced(text, BEGIN, END, f"```mermaid\n{picture}\n```", "; add the two lines where the picture belongs")


def _box(key: str, title: str, hosts: list[str], inventory: Inventory) -> list[str]:
    if not hosts:
        return []
    inner = [f'    {_id(name)}["{_label(name, inventory)}"]:::{_class(inventory.hosts[name])}' for name in hosts]
    return [f'  subgraph {key}["{title}"]', *inner, "  end"]


def _label(name: str, inventory: Inventory) -> str:
    services = [service for service, facts in inventory.services.items() if facts.host == name]
    extra = ", ".join(service for service in services if service != name)
    return f"<b>{name}</b>" + (f"<br/>{extra}" if extra else "")


def _class(host: Host) -> str:
    if isinstance(host, NixosHost):
        return "nixos"
    if isinstance(host, AtomicHost):
        return "atomic"
    return "external" if isinstance(host, External) else "ansible"


def _id(name: str) -> str:
    """A Mermaid identifier; ``end`` and the like would close a block."""
    return f"h_{name.replace('-', '_')}"
