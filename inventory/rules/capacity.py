"""What Proxmox nodes have against what guests take: memory, threads, USB devices, boot order, disks."""

from collections import defaultdict
from typing import Literal

from inventory.models import Guest, NixosVm
from inventory.parse import Draft
from inventory.problems import did_you_mean, one_of
from inventory.rules.unique import guests

CPU_OVERCOMMIT = 4
"""Virtual CPUs for each thread of a node, at most: beyond it guests wait for each other."""


def check(draft: Draft) -> None:
    """Every guest against its node, and each node against the sum of its guests."""
    on: dict[str, dict[str, Guest]] = defaultdict(dict)
    for name, guest in guests(draft):
        if guest.node in draft.names("nodes"):
            on[guest.node][name] = guest
        else:
            message = f"node '{guest.node}' is not declared{did_you_mean(guest.node, draft.names('nodes'))}"
            fix = f"write node = {one_of(draft.names('nodes'))}, or add [nodes.{guest.node}]"
            draft.report("unknown-node", f"hosts.{name}", "node", message, fix)
        _disks(draft, name, guest)
    for name, host in draft.hosts.items():
        node = getattr(host, "node", None)
        if not isinstance(host, Guest) and node is not None and node not in draft.names("nodes"):
            message = f"node '{node}' is not declared{did_you_mean(node, draft.names('nodes'))}"
            fix = f"write node = {one_of(draft.names('nodes'))}, or leave it out"
            draft.report("unknown-node", f"hosts.{name}", "node", message, fix)
    for node in draft.nodes:
        _memory(draft, node, on[node])
        _cpu(draft, node, on[node])
        _devices(draft, node, on[node], "usb")
        _devices(draft, node, on[node], "pci")
        _start_order(draft, on[node])


def _memory(draft: Draft, name: str, on: dict[str, Guest]) -> None:
    node = draft.nodes[name]
    if node.reserve >= node.memory:
        message = f"{node.reserve} MiB is not less than the node's memory, {node.memory} MiB"
        draft.report("reserve-too-large", f"nodes.{name}", "reserve", message, "write reserve = 4096")
        return
    taken, room = sum(guest.memory for guest in on.values()), node.memory - node.reserve
    if taken > room:
        by_size = sorted(on, key=lambda host: -on[host].memory)
        biggest = ", ".join(f"{host} {on[host].memory}" for host in by_size[:3])
        message = (
            f"guests take {taken} MiB, {taken - room} more than the node has "
            f"({node.memory} - reserve {node.reserve} = {room}); the biggest: {biggest}"
        )
        host = by_size[0]
        less = on[host].memory - (taken - room)
        fix = f"write memory = {less} in [hosts.{host}]" if less >= 256 else "move a guest to another node"
        draft.report("memory-overcommitted", f"nodes.{name}", "memory", message, f"{fix}, or move a guest")


def _cpu(draft: Draft, name: str, on: dict[str, Guest]) -> None:
    threads = draft.nodes[name].cpu
    for host, guest in on.items():
        if guest.cpu > threads:
            message = f"{guest.cpu} CPUs are more than node '{name}' has threads ({threads})"
            draft.report("cpu-too-many", f"hosts.{host}", "cpu", message, f"write cpu = {threads} or less")
    total = sum(guest.cpu for guest in on.values())
    if total > CPU_OVERCOMMIT * threads:
        message = f"guests have {total} CPUs, more than {CPU_OVERCOMMIT} for each of the {threads} threads"
        draft.report("cpu-overcommitted", f"nodes.{name}", "cpu", message, "lower cpu of a guest, or move one")


def _devices(draft: Draft, name: str, on: dict[str, Guest], kind: Literal["usb", "pci"]) -> None:
    plugged = {device.name for device in getattr(draft.nodes[name], kind)}
    example = 'id = "vendor:product"' if kind == "usb" else 'id = "vendor:device", path = "0000:00:02.0"'
    holder: dict[str, str] = {}
    for host, guest in on.items():
        for device in dict.fromkeys(getattr(guest, kind)) if isinstance(guest, NixosVm) else ():
            if device not in plugged and kind in draft.damaged.get(f"nodes.{name}", ()):
                continue
            if device not in plugged:
                message = f"node '{name}' has no {kind.upper()} device '{device}'{did_you_mean(device, plugged)}"
                fix = f'write {{ name = "{device}", {example} }} in {kind} of [nodes.{name}]'
                draft.report(f"unknown-{kind}", f"hosts.{host}", kind, message, fix)
            elif device in holder:
                message = f"{kind.upper()} device '{device}' is taken by {holder[device]} already"
                fix = f"remove '{device}' here or from {kind} of [hosts.{holder[device]}]"
                draft.report(f"{kind}-claimed-twice", f"hosts.{host}", kind, message, fix)
            holder.setdefault(device, host)


def _start_order(draft: Draft, on: dict[str, Guest]) -> None:
    for host, guest in on.items():
        for dependency in guest.depends_on:
            needed = on.get(dependency)
            if needed is None or guest.start_order is None:
                continue
            # Proxmox starts guests without an order after all those with one.
            if needed.start_order is None or needed.start_order > guest.start_order:
                theirs = "no start_order" if needed.start_order is None else f"start_order {needed.start_order}"
                message = f"{guest.start_order} boots before {dependency} ({theirs}), which {host} depends on"
                wanted = f"write start_order = {guest.start_order} or less in [hosts.{dependency}]"
                draft.report("start-order", f"hosts.{host}", "start_order", message, wanted)


def _disks(draft: Draft, name: str, guest: Guest) -> None:
    where = f"hosts.{name}"
    if guest.disks and guest.disks[0].mount not in (None, "/"):
        fix = "remove mount there, or put a system disk before it: { size = 32 }"
        draft.report("disk-mount", where, "disks[0]", "is the system disk and has no mount of its own", fix)
    for i, disk in enumerate(guest.disks):
        if disk.interface is not None and not (isinstance(guest, NixosVm) and guest.adopted):
            message = "has an interface, which only the disks of an adopted virtual machine have"
            draft.report("disk-interface", where, f"disks[{i}]", message, "remove interface there")
    seen: set[str] = set()
    for i, disk in enumerate(guest.disks[1:], 1):
        if disk.mount is None:
            fix = f'write {{ size = {disk.size}, mount = "/srv/{name}" }}'
            draft.report("disk-mount", where, f"disks[{i}]", "is a data disk that nothing mounts", fix)
        elif not disk.mount.startswith("/") or disk.mount in (
            "/",
            "/nix",
            "/boot",
            "/etc",
            "/proc",
            "/sys",
            "/dev",
        ):
            fix = f'write mount = "/srv/{name}"'
            draft.report("disk-mount", where, f"disks[{i}]", f"cannot be mounted at '{disk.mount}'", fix)
        elif disk.mount in seen:
            message = f"'{disk.mount}' is another disk's mount too"
            draft.report("duplicate-mount", where, f"disks[{i}]", message, "write another mount")
        seen.add(disk.mount or "")
