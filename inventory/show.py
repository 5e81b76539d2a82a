"""The inventory for a person: a table of all hosts, or one entry with what it needs and what needs it."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from inventory.load import Inventory
from inventory.models import Guest, Host, ManagedHost


def show(inventories: Sequence[Inventory], name: str | None) -> bool:
    """Print all hosts, or the host, node or service NAME; False when there is no such entry."""
    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console = Console(width=140)
    if name is None:
        for inventory in inventories:
            console.print(_overview(inventory))
        return True
    for inventory in inventories:
        if name in inventory.hosts:
            console.print(_host(inventory, name))
            return True
        for table in (inventory.nodes, inventory.services):
            if name in table:
                console.print(_facts(name, table[name]))
                return True
    return False


def _overview(inventory: Inventory) -> Table:
    title = f"{inventory.site.name}: {inventory.site.domain}, {len(inventory.hosts)} hosts"
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in ("host", "kind", "on", "address", "cpu", "memory", "phase"):
        table.add_column(column, justify="right" if column in ("cpu", "memory", "phase") else "left", no_wrap=True)
    table.add_column("what", no_wrap=True, overflow="ellipsis")
    for node, facts in inventory.nodes.items():
        taken = sum(host.memory for host in inventory.hosts.values() if isinstance(host, Guest) and host.node == node)
        what = f"Proxmox, {_size(taken)} of {_size(facts.memory - facts.reserve)} given"
        row = (node, "node", "", facts.address, str(facts.cpu), _size(facts.memory), "", what)
        table.add_row(*row, style="dim")
    for name in inventory.order():
        host = inventory.hosts[name]
        cpu, memory = (str(host.cpu), _size(host.memory)) if isinstance(host, Guest) else ("", "")
        on = str(getattr(host, "node", None) or host.network)
        table.add_row(name, host.kind, on, host.address, cpu, memory, str(host.phase), host.description)
    return table


def _host(inventory: Inventory, name: str) -> Table:
    host = inventory.hosts[name]
    table = _grid(f"{name}: {host.description}" if host.description else name)
    rows: dict[str, Any] = {
        "kind": host.kind,
        "name": inventory.fqdn(name),
        "address": f"{host.address} ({host.network}), SSH {host.ssh_user}@{host.ssh_port}",
        "phase": host.phase,
        "tags": ", ".join(host.tags),
        "needs": ", ".join(host.depends_on),
        "needed by": ", ".join(other for other, facts in inventory.hosts.items() if name in facts.depends_on),
        "services": "\n".join(_services(inventory, name)),
        "health": "\n".join(_checks(host)),
        "home": host.home.configuration if host.home else "",
    }
    if isinstance(host, Guest):
        rows["guest"] = f"{host.vmid} on {host.node}, {host.cpu} CPU, {_size(host.memory)}"
        rows["disks"] = "\n".join(f"{disk.size} GiB {disk.mount or 'system'}" for disk in host.disks)
        rows["usb"] = ", ".join(getattr(host, "usb", ()))
    if isinstance(host, ManagedHost):
        rows["secrets"] = ", ".join(host.secrets)
        rows["host key"] = host.host_key
        rows["age"] = host.age_recipient or ""
    shown = {*_WORDED, *rows}
    for field, value in host.model_dump(exclude_none=True).items():
        if field not in shown and value not in ("", (), None):
            rows[field] = value
    for label, value in rows.items():
        if value != "":
            table.add_row(label, str(value))
    return table


_WORDED = {
    "address",
    "network",
    "description",
    "tags",
    "depends_on",
    "health",
    "ssh_user",
    "ssh_port",
    "home",
    "vmid",
    "node",
    "cpu",
    "memory",
    "disks",
    "host_key",
    "age_recipient",
}
"""Fields that ``_host`` words itself."""


def _services(inventory: Inventory, host: str) -> list[str]:
    return [
        f"{service.scheme}://{service.subdomain or name}.{inventory.site.domain} -> :{service.port}"
        f" (login {service.login}{', public' if service.public else ''})"
        for name, service in inventory.services.items()
        if service.host == host
    ]


def _checks(host: Host) -> list[str]:
    return [" ".join(f"{key} {value}" for key, value in check.model_dump(exclude_defaults=True).items()) for check in host.health]


def _facts(name: str, facts: BaseModel) -> Table:
    table = _grid(name)
    for field, value in facts.model_dump(exclude_none=True).items():
        if value not in ("", ()):
            table.add_row(field, str(value))
    return table


def _grid(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _size(mebibytes: int) -> str:
    return f"{mebibytes / 1024:g} GiB" if mebibytes % 1024 == 0 else f"{mebibytes} MiB"
