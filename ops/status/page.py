"""The fleet as one page: no script is needed to read it, and nothing comes from elsewhere."""

import html
import time
from pathlib import Path

from inventory.edges import KINDS
from ops.status.facts import Fleet, HostStatus, ago, problems
from ops.status.picture import draw

_FOLDER = Path(__file__).parent
# What a card calls the edges that lead to its host, and those that lead from it.
_WAYS = {"depends_on": ("waits for", "before"), "service": ("asked by", "asks"), "tunnel": ("tunnel from", "tunnel to")}
# What the page may do: it has its style and its script in itself, and asks nobody but the one it came from.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"


def whole(fleet: Fleet, every: int = 0) -> str:
    """The page; a live one (EVERY seconds, which has to be served) asks for `main` again."""
    shown = [kind for kind in KINDS if any(edge.kind == kind for edge in fleet.edges)]
    filters = "".join(
        f'<label style="--of:var(--{kind})"><input type="checkbox" id="show-{kind}" checked> {html.escape(KINDS[kind])}</label>'
        for kind in shown
    )
    title = html.escape(f"{fleet.site}: how it is")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{(_FOLDER / "page.css").read_text()}</style>'
        f'<body data-every="{every or ""}"><header><h1>{title}</h1></header>'
        f"<fieldset>{filters}</fieldset><main>{main(fleet)}</main>"
        f'<footer><span id="live">{"live" if every else ""}</span> stack {html.escape(fleet.stack)}, by ./aether status</footer>'
        f"<script>{(_FOLDER / 'page.js').read_text()}</script></body></html>\n"
    )


def main(fleet: Fleet) -> str:
    """What changes of the page: counts, what wants attention, the picture, nodes and hosts."""
    wrong = {host.host: problems(host, fleet.at) for host in fleet.hosts}
    looks = {host.host: _look(host, wrong[host.host]) for host in fleet.hosts}
    nodes = [host for host in fleet.hosts if host.kind == "proxmox-node"]
    asked = [host for host in fleet.hosts if host.answers is not None]
    counts = [_count(len(fleet.hosts) - len(nodes), "host"), _count(len(nodes), "Proxmox node")]
    if fleet.at:
        counts += [f"{sum(bool(host.answers) for host in asked)} of {len(asked)} answer"]
        wanting = sum(bool(found) for found in wrong.values())
        counts += [f"{wanting} want{'s' if wanting == 1 else ''} attention"]
    when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(fleet.at)) if fleet.at else ""
    parts = [
        f"<p>{f'Asked {html.escape(when)}' if when else 'From the inventory alone: nobody was asked'}</p>",
        f'<div class="counts">{"".join(f"<span>{count}</span>" for count in counts)}</div>',
        _attention(wrong) if fleet.at else "",
        f'<div class="graph">{draw(fleet, looks)}</div>',
    ]
    if nodes:
        parts.append(_section("Proxmox nodes", "", nodes, fleet, looks, wrong))
    parts += [
        _section(title, under, [host for host in fleet.hosts if _place(host) == (title, kind)], fleet, looks, wrong)
        for title, kind, under in _places(fleet)
    ]
    return "".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _look(host: HostStatus, wrong: list[str]) -> str:
    if host.answers is None:
        return ""
    if not host.answers or host.unhealthy or host.failed:
        return "bad"
    return "warn" if wrong else "good"


def _attention(wrong: dict[str, list[str]]) -> str:
    items = "".join(
        f'<li><a href="#host-{html.escape(name)}">{html.escape(name)}</a>: {html.escape("; ".join(found))}</li>'
        for name, found in wrong.items()
        if found
    )
    if not items:
        return '<div class="attention none">Nothing wants attention.</div>'
    return f'<div class="attention"><b>Wants attention</b><ul>{items}</ul></div>'


def _place(host: HostStatus) -> tuple[str, str]:
    if host.kind == "proxmox-node":
        return "", ""
    return (host.node, "node") if host.node else (host.network, "network")


def _places(fleet: Fleet) -> list[tuple[str, str, str]]:
    """Name, kind and what stands beside it, of each place that has hosts."""
    found = dict.fromkeys(_place(host) for host in fleet.hosts)
    found.pop(("", ""), None)
    ordered = sorted(found, key=lambda place: place[1] != "node")
    return [(name, kind, "Proxmox node" if kind == "node" else fleet.networks.get(name, "")) for name, kind in ordered]


def _section(
    title: str, under: str, hosts: list[HostStatus], fleet: Fleet, looks: dict[str, str], wrong: dict[str, list[str]]
) -> str:
    cards = "".join(_card(host, fleet, looks[host.host], wrong[host.host]) for host in hosts)
    return f'<h2>{html.escape(title)} <small>{html.escape(under)}</small></h2><div class="cards">{cards}</div>'


def _card(host: HostStatus, fleet: Fleet, look: str, wrong: list[str]) -> str:
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{value}</dd>" for name, value in _rows(host, fleet) if value)
    tone = {"bad": "bad-text", "warn": "warn-text", "good": "good-text"}.get(look, "")
    state = html.escape(host.state if host.state != "-" else host.kind)
    said = "".join(f'<p class="{tone}">{html.escape(each)}</p>' for each in wrong if each != host.state)
    return (
        f'<article class="{look}" id="host-{html.escape(host.host)}" data-name="{html.escape(host.host)}">'
        f'<h3>{html.escape(host.host)} <small class="{tone}">{state}</small></h3>'
        f"<p>{html.escape(host.description)}</p>{said}<dl>{rows}</dl></article>"
    )


def _rows(host: HostStatus, fleet: Fleet) -> list[tuple[str, str]]:
    at = fleet.at
    rows = [("address", html.escape(host.address)), ("kind", html.escape(host.kind))]
    if host.load is not None:
        rows.append(("load", f"{host.load:g}{f' on {host.cpu} threads' if host.cpu else ''}"))
    if host.memory:
        rows.append(("memory", _memory(host)))
    if at:
        by = f" by {host.deployed_by}" if host.deployed_by else ""
        revision = f" of {host.revision}" if host.revision else ""
        rows += [
            ("system", html.escape(f"{host.system or ''}{f' (generation {host.generation})' if host.generation else ''}")),
            ("last deploy", html.escape(f"{ago(host.deployed_at, at)}{by}{revision}") if host.deployed_at else ""),
            ("drift", "none" if host.deployed_at and not host.drift else html.escape(host.drift)),
            ("behind", {True: "yes", False: "no"}.get(host.behind, "") if host.behind is not None else ""),
            (
                "order",
                f"left {ago(host.pending, at)}" if host.pending else f"taken {ago(host.ordered, at)}" if host.ordered else "",
            ),
            ("health", _health(host)),
            ("reboot", {True: "waits for one", False: "not needed"}.get(host.reboot, "") if host.reboot is not None else ""),
            ("certificate", ago(host.certificate, at) if host.certificate else ""),
            ("backup", ago(host.backup, at) if host.backup else ""),
            ("restored to try it", "never" if host.restored == 0 else ago(host.restored, at) if host.restored else ""),
        ]
    for kind, (into, out_of) in _WAYS.items():
        own = [edge for edge in fleet.edges if edge.kind == kind]
        for word, names in (
            (into, dict.fromkeys(edge.source for edge in own if edge.target == host.host)),
            (out_of, dict.fromkeys(edge.target for edge in own if edge.source == host.host)),
        ):
            if names:
                links = ", ".join(f'<a href="#host-{html.escape(name)}">{html.escape(name)}</a>' for name in names)
                rows.append((word, links))
    return rows


def _health(host: HostStatus) -> str:
    if host.unhealthy:
        return html.escape(f"{len(host.unhealthy)} checks do not hold")
    return "good" if host.deployed_at and host.answers else ""


def _memory(host: HostStatus) -> str:
    assert host.memory
    if host.available is None:
        return f"{host.memory} MiB"
    used = host.memory - host.available
    guests = f", guests are given {host.planned}" if host.planned else ""
    return (
        f'<meter max="{host.memory}" high="{host.memory * 0.9:.0f}" value="{used}"></meter> {used} of {host.memory} MiB{guests}'
    )
