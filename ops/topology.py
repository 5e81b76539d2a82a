"""A page with the picture of the fleet, made from the inventory alone."""

import html
from pathlib import Path

from inventory.load import Inventory
from inventory.models import External
from ops.stack import REPOSITORY

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #1c2733; background: #f6f8fa }
h1 { font-size: 1.4rem } .row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; margin-bottom: 1.5rem }
section { background: #fff; border: 1px solid #d5dde5; border-radius: 8px; padding: .8rem 1rem; min-width: 15rem; flex: 1 }
h2 { font-size: 1rem; margin: 0 0 .5rem } h2 small { font-weight: normal; color: #66788a }
.host { border-left: 4px solid #8aa4bd; padding: .2rem .6rem; margin: .45rem 0; background: #f9fbfc }
.nixos-vm, .nixos-lxc, .nixos-metal { border-color: #5277c3 } .atomic { border-color: #3c6eb4 } .ansible { border-color: #c33 }
.cloud-vm { border-color: #ff9900 } .external { border-color: #999; opacity: .75 }
.host b { font-weight: 600 } .host small { color: #66788a; display: block }
"""


def write_page(inventory: Inventory) -> Path:
    """Write dist/topology.html: nodes with their guests, networks with the other hosts; no script, nothing from elsewhere."""
    nodes = "".join(
        _section(name, f"{node.address}, {node.cpu} threads, {node.memory // 1024} GiB", inventory, _on(inventory, name))
        for name, node in inventory.nodes.items()
    )
    networks = "".join(
        _section(name, network.cidr, inventory, _beside(inventory, name)) for name, network in inventory.networks.items()
    )
    title = f"{inventory.site.name}: {len(inventory.hosts)} hosts"
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
        f'<h1>{html.escape(title)}</h1><div class="row">{nodes}</div><div class="row">{networks}</div></html>\n'
    )
    path = REPOSITORY / "dist/topology.html"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path.relative_to(REPOSITORY)


def _on(inventory: Inventory, node: str) -> list[str]:
    return [name for name in inventory.order() if getattr(inventory.hosts[name], "node", None) == node]


def _beside(inventory: Inventory, network: str) -> list[str]:
    return [name for name, host in inventory.hosts.items() if host.network == network and not getattr(host, "node", None)]


def _section(name: str, what: str, inventory: Inventory, hosts: list[str]) -> str:
    if not hosts:
        return ""
    shown = "".join(_host(inventory, host) for host in hosts)
    return f"<section><h2>{html.escape(name)} <small>{html.escape(what)}</small></h2>{shown}</section>"


def _host(inventory: Inventory, name: str) -> str:
    host = inventory.hosts[name]
    services = [service for service, entry in inventory.services.items() if entry.host == name]
    lines = [host.address, host.kind if not isinstance(host, External) else f"{host.os} (external)"]
    if host.depends_on:
        lines.append(f"after {', '.join(host.depends_on)}")
    if services:
        lines.append(f"serves {', '.join(services)}")
    return (
        f'<div class="host {host.kind}"><b>{html.escape(name)}</b> {html.escape(host.description)}'
        f"<small>{html.escape(' · '.join(lines))}</small></div>"
    )
