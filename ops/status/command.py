"""`aether status` and `aether topology`."""

import json
import sys
import time
from argparse import Namespace
from pathlib import Path

from rich.table import Table

from inventory.files import REPOSITORY
from inventory.load import Inventory
from ops import hosts, notify
from ops.arguments import nothing, parser
from ops.fleet import deployed, inventory_of, out
from ops.stack import OpsError, Stack
from ops.status import page
from ops.status.facts import PENDING, Fleet, HostStatus, ago, look, problems
from ops.status.serve import Latest, server

EVERY = 30
"""Seconds between two looks, unless somebody says otherwise."""


def status(stack: Stack, arguments: list[str]) -> int:
    """Every host: what it runs, since when, and what is wrong with it. Exit code 1 when one that should answer does not."""
    made = parser("status", status)
    how = made.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="for programs, with everything that is known of each host")
    how.add_argument("--watch", action="store_true", help="look again and again, until Ctrl-C")
    how.add_argument(
        "--serve", nargs="?", type=int, const=8470, metavar="PORT", help="a live page for your browser; default 8470"
    )
    how.add_argument("--export", type=Path, metavar="FILE", help="the page as one file, as it is now")
    made.add_argument("--tell", action="store_true", help="tell those who want to know (aether notify) what is wrong")
    made.add_argument("--every", type=int, default=EVERY, metavar="SECONDS", help=f"between two looks; default {EVERY}")
    made.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="of --serve; anything else shows it to others")
    options = made.parse_args(arguments)
    if options.every < 1:
        raise OpsError("--every wants seconds, 1 or more")
    inventory = inventory_of(stack)
    if stack.simulated and not hosts.ssh_config(stack.name).exists():
        out.print("Nothing is deployed. Fix: make up")
        return 1
    hosts.known(stack.name)
    if options.serve is not None:
        return _serve(stack, inventory, options)
    if options.watch:
        return _watch(stack, inventory, options.every)
    managed = deployed(stack)
    fleet = look(stack, inventory, managed)
    failing = any(host.host in managed and host.answers is False for host in fleet.hosts)
    if options.tell:
        _tell(stack, fleet)
    if options.json:
        print(json.dumps(fleet.as_json(), indent=2))
    elif options.export:
        _write(options.export, page.whole(fleet))
        out.print(f"Open {options.export}")
    else:
        _show(fleet)
    return int(failing)


def _tell(stack: Stack, fleet: Fleet) -> None:
    """Those who want to know are told of drift, and of what does not answer or is not healthy."""
    drifted = [f"{host.host}: {host.drift}" for host in fleet.hosts if host.drift]
    ill = [
        f"{host.host}: {'; '.join([*([host.state] if host.answers is False else []), *host.unhealthy, *host.failed])}"
        for host in fleet.hosts
        if host.answers is False or host.unhealthy or host.failed
    ]
    for event, found, what in (("drift", drifted, "drifted"), ("health", ill, "want attention")):
        if found:
            notify.tell(stack, event, f"{fleet.site}: {len(found)} hosts {what}", "\n".join(found))


def topology(stack: Stack, arguments: list[str]) -> int:
    """A page with the picture of the fleet, in dist/topology.html, by the inventory alone. How it is: `status --serve`."""
    nothing("topology", topology, arguments)
    path = REPOSITORY / "dist/topology.html"
    _write(path, page.whole(look(stack, inventory_of(stack), set(), asking=False)))
    out.print(f"Open {path.relative_to(REPOSITORY)}")
    return 0


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _show(fleet: Fleet) -> None:
    """The table, and below it what wants attention."""
    here = [host for host in fleet.hosts if host.state != "another stack"]
    table = Table(title=f"{fleet.site} (stack {fleet.stack})", title_justify="left", box=None, pad_edge=False)
    for column in ("host", "kind", "node", "address", "state", "generation", "deployed", "restored"):
        table.add_column(column, no_wrap=True)
    for host in here:
        table.add_row(*_row(host, fleet.at))
    out.print(table)
    wrong = {host.host: found for host in here if (found := [each for each in problems(host, fleet.at) if each != host.state])}
    if wrong:
        out.print("\nWants attention:")
        for name, found in wrong.items():
            out.print(f"  {name}: {'; '.join(found)}", markup=False)


def _row(host: HostStatus, at: int) -> tuple[str, ...]:
    state = host.state if not host.unhealthy else f"{host.state}, not healthy"
    if host.pending:
        state = f"{state}{', order' if host.state == PENDING else ', order pending'} left {ago(host.pending, at)}"
    return (
        host.host, host.kind, host.node or "-", host.address, state, host.generation or "-", ago(host.deployed_at, at),
        {None: "-", 0: "never"}.get(host.restored) or ago(host.restored, at),
    )  # fmt: skip


def _watch(stack: Stack, inventory: Inventory, every: int) -> int:
    """The table again and again. On a terminal it takes the place of the one before."""
    try:
        while True:
            fleet = look(stack, inventory, deployed(stack))
            if sys.stdout.isatty():
                out.clear()
            _show(fleet)
            out.print(time.strftime(f"\n%H:%M:%S, again in {every} s. Ctrl-C ends it."))
            time.sleep(every)
    except KeyboardInterrupt:
        return 0


def _serve(stack: Stack, inventory: Inventory, options: Namespace) -> int:
    latest = Latest(lambda: look(stack, inventory, deployed(stack)), options.every)
    try:
        served = server(latest, options.listen, options.serve, options.every)
    except OSError as error:
        raise OpsError(
            f"port {options.serve} of {options.listen}: {error.strerror}. Fix: another one, --serve 0 is any"
        ) from None
    out.print(f"http://{options.listen}:{served.server_address[1]}/   Ctrl-C ends it.")
    if options.listen not in ("127.0.0.1", "localhost", "::1"):
        out.print("Everybody who reaches this address sees the fleet: there is no login.")
    try:
        served.serve_forever()
    except KeyboardInterrupt:
        return 0
    finally:
        served.server_close()
    return 0
