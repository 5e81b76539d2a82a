"""`aether restore`: the newest backup of a guest, made a copy of it that is cut off from the network, started and examined."""

import os
import signal
import socket
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from inventory.load import Inventory
from inventory.models import Guest
from inventory.problems import did_you_mean
from ops import hosts, notify
from ops.arguments import parser
from ops.fleet import inventory_of, out
from ops.guests import cluster_of
from ops.restore import checks, restic
from ops.restore.node import Backup, Node, good, newest
from ops.restore.place import place
from ops.restore.report import Report, summary
from ops.stack import OpsError, Stack
from stacks.live import own_address

FIRST = 9000
"""VMIDs of copies begin here: those below are for guests that somebody plans."""
GIB = 1024**2
"""KiB of one."""


def restore(stack: Stack, arguments: list[str]) -> int:
    """Restore a host's newest backup as a copy that is cut off from every network, start it, ask the host's health checks in it,
    say what was found and remove it. The host itself is not touched, and goes on running. Where restic carries its data off, the
    repository is checked and its newest snapshot restored into a folder, which is removed, too."""
    made = parser("restore", restore)
    made.add_argument("host", nargs="?", metavar="HOST", help="a guest of the inventory")
    made.add_argument(
        "--to",
        choices=["scratch", "place"],
        help="scratch: a copy, to prove the backup; place: the guest itself, where it is gone",
    )
    made.add_argument(
        "--all", action="store_true", help="every guest that has a backup, one after the other; to scratch, unless told"
    )
    made.add_argument("--keep", action="store_true", help="leave the copy, to look at it; the command says how it is removed")
    made.add_argument("--storage", metavar="STORAGE", help="for the copy's disks; default: the node's disk_datastore")
    options = made.parse_args(arguments)
    inventory = inventory_of(stack)
    if bool(options.host) == options.all:
        raise OpsError("restore which host? Fix: ./aether restore HOST --to scratch, or --all")
    if options.all and options.keep:
        raise OpsError("--all keeps no copy: the node would be full of them. Fix: ./aether restore HOST --to scratch --keep")
    if options.host and options.to is None:
        raise OpsError(
            f"restore {options.host} where to? Fix: --to scratch, a copy beside it; --to place, itself, where it is gone"
        )
    guests = inventory.guests()
    if options.host and options.host not in guests:
        hint = did_you_mean(options.host, guests) or f". Guests: {', '.join(guests)}"
        raise OpsError(f"'{options.host}' is no guest of {inventory.path}{hint}")
    hosts.known(stack.name)
    nodes = {name: node for name in inventory.nodes if (node := Node(stack, name, out.print)).answers()}
    if not nodes:
        raise OpsError(f"no Proxmox node of {inventory.path} answers, and copies are made on one")
    if options.to == "place":
        return place(stack, inventory, nodes, [options.host] if options.host else list(guests), options.storage)
    with _ending():
        reports = _every(stack, inventory, nodes, options)
    if options.all:
        _tell(stack, inventory, reports)
        out.print(f"\n{summary(reports)}" if reports else "No host has a backup on the cluster, nor a restic repository.")
        for name in inventory.backed_up():
            if name in inventory.guests() and name not in reports:
                out.print(f"{name}: has no backup yet: {_first_backup(stack, inventory, name)}", markup=False)
    return int(not all(report.good for report in reports.values()) or not reports)


def _tell(stack: Stack, inventory: Inventory, reports: dict[str, Report]) -> None:
    """Those who want to know of health are told of backups that are no good."""
    bad = [line for report in reports.values() if not report.good for line in report.lines()]
    if bad:
        notify.tell(stack, "health", f"{inventory.site.name}: {summary(reports)}", "\n".join(bad))


def _every(stack: Stack, inventory: Inventory, nodes: dict[str, Node], options: Namespace) -> dict[str, Report]:
    reports = {}
    for name in [options.host] if options.host else inventory.guests():
        backup = newest(nodes, inventory.guests()[name].vmid, inventory.guests()[name].node)
        carried = restic.has_repository(stack, name)
        if backup is None and not carried:
            if options.host:
                nowhere = f"{name} has no backup on {', '.join(nodes)}, and no restic repository"
                raise OpsError(f"{nowhere}. Fix: {_first_backup(stack, inventory, name)}")
            continue
        reports[name] = _one(stack, inventory, nodes, name, backup, carried, options)
    return reports


def _first_backup(stack: Stack, inventory: Inventory, name: str) -> str:
    """How the guest NAME gets its first backup: now, where a job makes them; by a job, where there is none."""
    for job in inventory.content.backups.values():
        if name in inventory.backed_up(job):
            guest = inventory.guests()[name]
            now = (
                f"ssh -F .aether/ssh/{stack.name}/config {guest.node} vzdump {guest.vmid} --storage {job.storage} --mode snapshot"
            )
            return f"its job makes the first at {job.schedule}; now: {now}"
    return f"[backups] in {inventory.path}"


def _one(
    stack: Stack,
    inventory: Inventory,
    nodes: dict[str, Node],
    name: str,
    backup: Backup | None,
    carried: bool,
    options: Namespace,
) -> Report:
    """The test of one host; what goes wrong is in the report."""
    report = Report(name, int(time.time()), backup)
    out.print(f"\n{name}: restore test")
    try:
        if backup is not None:
            _copy(stack, inventory, nodes[backup.node], report, options)
        else:
            out.print(f"  {name}: no backup of the whole guest is on {', '.join(nodes)}: restic's alone is tried")
    except OpsError as error:
        report.trouble.append(str(error))
    if carried:
        try:
            report.restic = restic.prove(stack, inventory, name, out.print)
        except OpsError as error:
            report.trouble.append(f"restic: {error}")
    for line in report.lines():
        out.print(line, markup=False)
    if report.good:
        facts = {
            "at": report.at,
            "id": _who(),
            "archive": backup.volid if backup else "restic",
            "made": backup.made if backup else None,
        }
        good(nodes[backup.node] if backup else next(iter(nodes.values())), name, facts)
    return report


def _copy(stack: Stack, inventory: Inventory, node: Node, report: Report, options: Namespace) -> None:
    """Make the copy, ask it, remove it."""
    assert report.backup is not None
    facts = inventory.guests()[report.host]
    tool = report.backup.tool
    storage = options.storage or inventory.nodes[node.name].disk_datastore
    with _held(node) as kept:
        report.copy = copy = _free(stack, inventory)
        _room(node, storage, facts, report.host)
        begun = time.monotonic()
        out.print(f"  restores {report.backup.volid} as guest {copy} on {node.name}, cut off")
        note = f"Copy of {report.host} for a restore test, by {_who()}; may be removed"
        node.run(
            "restore", tool, str(copy), report.backup.volid, storage, report.host, note, what="restores"
        )  # fmt: skip
        report.took = time.monotonic() - begun
        out.print("  starts it, and asks its health checks")
        node.run("start", tool, str(copy))
        address = "127.0.0.1" if facts.dhcp else own_address(str(hosts.ssh_config(stack.name)), report.host)
        others = {name: host.address for name, host in inventory.hosts.items() if name != report.host}
        report.found = checks.prove(lambda text, *words: node.ask(tool, copy, text, *words), facts, address, others)
        if options.keep:
            kept.append(copy)
            away = f"{tool} stop {copy}; {tool} destroy {copy} --purge 1; ip link delete scr{copy}"
            out.print(f"  kept: guest {copy} on {node.name}. To remove it, there: {away}")


@contextmanager
def _held(node: Node) -> Iterator[list[int]]:
    """The node's lock; at the start no copy of a run that was killed, and none at the end, however it comes, but those that are
    put into the list.
    """
    kept: list[int] = []
    node.hold(_who())
    try:
        for line in node.run("remove").splitlines():
            out.print(f"  left by a run that was killed: {line}")
        try:
            yield kept
        finally:
            before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                for copy in kept:
                    node.run("keep", str(copy))
                for line in node.run("remove", what="removes the copy").splitlines():
                    out.print(f"  {line}")
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
    finally:
        node.release()


def _free(stack: Stack, inventory: Inventory) -> int:
    taken = {*cluster_of(stack), *(guest.vmid for guest in inventory.guests().values())}
    return next(vmid for vmid in range(FIRST, 1_000_000_000) if vmid not in taken)


def _room(node: Node, storage: str, facts: Guest, host: str) -> None:
    """Refuse a copy that would take from the node what its guests need."""
    said = node.run("room", storage).split()
    if len(said) < 2:
        raise OpsError(f"{node.name} has no storage {storage} that is active. Fix: --storage STORAGE")
    left, memory = int(said[0]), int(said[1])
    needs = sum(disk.size for disk in facts.disks) * GIB
    if left < needs:
        where = f"{storage} of {node.name}, which has {left // GIB} left"
        raise OpsError(f"a copy of {host} needs {needs // GIB} GiB on {where}. Fix: --storage STORAGE")
    if memory < facts.memory * 1024:
        raise OpsError(f"a copy of {host} needs {facts.memory} MiB of memory, and {node.name} has {memory // 1024} left")


@contextmanager
def _ending() -> Iterator[None]:
    """SIGTERM, by which pipelines end, is as Ctrl-C: copies are removed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _who() -> str:
    return f"{os.environ.get('USER') or os.getuid()}@{socket.gethostname()}:{os.getpid()}"
