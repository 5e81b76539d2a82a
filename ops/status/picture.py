"""The fleet as a drawn graph: an SVG text, laid out by who depends on whom."""

import html
from collections.abc import Mapping

from inventory.edges import Edge
from ops.status.facts import Fleet, HostStatus

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 168, 42, 74, 14, 16
"""Of a box and between boxes, in the picture's own units."""

Place = tuple[int, int]

_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
    '<path d="M0 0L8 4L0 8z" style="fill:context-stroke;stroke:none"/></marker></defs>'
)


def draw(fleet: Fleet, looks: Mapping[str, str]) -> str:
    """The SVG of FLEET; LOOKS is each host's class (good, warn, bad, or empty)."""
    hosts = [host for host in fleet.hosts if host.kind != "proxmox-node"]
    placed = _places(hosts, fleet)
    width = max((x for x, _ in placed.values()), default=0) + WIDTH + MARGIN
    height = max((y for _, y in placed.values()), default=0) + HEIGHT + MARGIN
    lines = "".join(_line(edge, placed) for edge in reversed(fleet.edges))
    boxes = "".join(_box(host.host, _under(host), looks.get(host.host, ""), placed[host.host]) for host in hosts)
    networks = "".join(
        _box(f"network {name}", cidr, "net", placed[f"network {name}"], shown=name) for name, cidr in fleet.networks.items()
    )
    title = html.escape(f"{fleet.site}: {len(hosts)} hosts, and what leads from one to another")
    # A small fleet is not blown up to the page's width, nor cut off on a phone; a big one keeps its words legible, and scrolls.
    size = f"width:100%;max-width:{width * 5 // 4}px;min-width:{min(width * 3 // 4, 860)}px"
    named = f'viewBox="0 0 {width} {height}" role="img" aria-label="{title}"'
    return f'<svg style="{size}" {named}>{_ARROW}{lines}{networks}{boxes}</svg>'


def _places(hosts: list[HostStatus], fleet: Fleet) -> dict[str, Place]:
    """Networks on the left, then a column for each step of dependencies; hosts that nothing leads to stand in rows below."""
    names = [host.host for host in hosts]
    linked = {end for edge in fleet.edges if edge.kind != "network" for end in (edge.source, edge.target)}
    rank = _ranks([name for name in names if name in linked], fleet)
    columns: dict[int, list[str]] = {}
    for name, column in rank.items():
        columns.setdefault(column, []).append(name)
    placed: dict[str, Place] = {}
    deepest = max([len(column) for column in columns.values()], default=0)
    for number, members in columns.items():
        start = (deepest - len(members)) * (HEIGHT + GAP_Y) // 2
        for row, name in enumerate(members):
            placed[name] = (MARGIN + (number + 1) * (WIDTH + GAP_X), MARGIN + start + row * (HEIGHT + GAP_Y))
    for row, name in enumerate(fleet.networks):
        placed[f"network {name}"] = (MARGIN, MARGIN + row * (HEIGHT + GAP_Y) * max(1, deepest // max(1, len(fleet.networks))))
    lowest = max((placed[name][1] for name in rank), default=0)
    below = lowest + HEIGHT + 2 * GAP_Y if rank else MARGIN
    alone = [name for name in names if name not in placed]
    # Beside the networks' column: a line to a host below its network would leave the picture.
    first = 1 if fleet.networks else 0
    across = max(3 - first, len(columns) + 1 - first)
    for index, name in enumerate(alone):
        row, column_of = divmod(index, across)
        placed[name] = (MARGIN + (first + column_of) * (WIDTH + GAP_X), below + row * (HEIGHT + GAP_Y))
    return placed


def _ranks(names: list[str], fleet: Fleet) -> dict[str, int]:
    """The longest way of dependencies to each of NAMES; who only has other edges stands where they lead from."""
    before: dict[str, list[str]] = {name: [] for name in names}
    for edge in fleet.edges:
        if edge.kind == "depends_on" and edge.target in before and edge.source in before:
            before[edge.target].append(edge.source)
    found: dict[str, int] = {}

    def rank(name: str, path: tuple[str, ...] = ()) -> int:
        if name not in found and name not in path:
            found[name] = max((rank(other, (*path, name)) + 1 for other in before[name]), default=0)
        return found.get(name, 0)

    for name in names:
        rank(name)
    return {name: found[name] for name in names}


def _line(edge: Edge, placed: Mapping[str, Place]) -> str:
    source = f"network {edge.source}" if edge.kind == "network" else edge.source
    (x1, y1), (x2, y2) = placed[source], placed[edge.target]
    y1, y2 = y1 + HEIGHT // 2, y2 + HEIGHT // 2
    if x2 > x1:
        start, end, bend = x1 + WIDTH, x2, (x2 - x1 - WIDTH) // 2 or 20
        way = f"M{start} {y1}C{start + bend} {y1} {end - bend} {y2} {end} {y2}"
    elif x2 < x1:
        start, end, bend = x1, x2 + WIDTH, (x1 - x2 - WIDTH) // 2 or 20
        way = f"M{start} {y1}C{start - bend} {y1} {end + bend} {y2} {end} {y2}"
    else:
        side = x1 + WIDTH
        way = f"M{side} {y1}C{side + 40} {y1} {side + 40} {y2} {side} {y2}"
    arrow = "" if edge.kind == "network" else ' marker-end="url(#arrow)"'
    told = f"{edge.source} → {edge.target}{f': {edge.label}' if edge.label else ''}"
    return (
        f'<path class="{edge.kind}" style="stroke:var(--{edge.kind})" d="{way}"{arrow} data-from="{html.escape(source)}" '
        f'data-to="{html.escape(edge.target)}"><title>{html.escape(told)}</title></path>'
    )


def _box(name: str, under: str, look: str, at: Place, shown: str = "") -> str:
    x, y = at
    return (
        f'<g class="box {look}" data-name="{html.escape(name)}"><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        f'<text x="{x + 9}" y="{y + 18}">{html.escape(shown or name)}</text>'
        f'<text x="{x + 9}" y="{y + 33}">{html.escape(under[:30])}</text></g>'
    )


def _under(host: HostStatus) -> str:
    place = f" on {host.node}" if host.node else ""
    return f"{host.kind}{place}" if host.state in ("-", "running", "not managed") else host.state
