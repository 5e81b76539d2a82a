"""What the environments of one cluster have together: the memory and the USB devices of the nodes that they share."""

from collections.abc import Sequence
from pathlib import Path

from inventory.models import Guest, NixosVm
from inventory.parse import Draft
from inventory.rules.unique import guests


def check(drafts: Sequence[Draft]) -> None:
    """Each environment's guests against what those before it on the same cluster left of a node."""
    clusters: dict[Path, list[Draft]] = {}
    for draft in drafts:
        clusters.setdefault((draft.base or Path(draft.file)).resolve(), []).append(draft)
    for members in clusters.values():
        for position, draft in enumerate(members):
            for node in draft.nodes if position else ():
                if f"nodes.{node}" in draft.inherited:
                    _memory(draft, node, members[: position + 1])
                    _usb(draft, node, members[:position])


def _memory(draft: Draft, node: str, members: Sequence[Draft]) -> None:
    facts, mine = draft.nodes[node], sum(guest.memory for guest in _on(draft, node).values())
    taken = sum(guest.memory for member in members for guest in _on(member, node).values())
    room = facts.memory - facts.reserve
    if mine and taken > room and taken - mine <= room:
        message = f"with this environment's {mine} MiB guests take {taken} MiB of it, {taken - room} more than it has ({room})"
        names = ", ".join(f"{name} {guest.memory}" for name, guest in _on(draft, node).items())
        fix = f"write less memory for one of {names}, or choose fewer hosts"
        draft.report("memory-overcommitted", f"nodes.{node}", "memory", message, fix)


def _usb(draft: Draft, node: str, others: Sequence[Draft]) -> None:
    holder = {
        device: name
        for other in others
        for name, guest in _on(other, node).items()
        if isinstance(guest, NixosVm)
        for device in guest.usb
    }
    for name, guest in _on(draft, node).items():
        for device in guest.usb if isinstance(guest, NixosVm) else ():
            if device in holder:
                message = f"USB device '{device}' is taken by {holder[device]} already"
                draft.report("usb-claimed-twice", f"hosts.{name}", "usb", message, f"remove '{device}': a device has one guest")


def _on(draft: Draft, node: str) -> dict[str, Guest]:
    return {name: guest for name, guest in guests(draft) if guest.node == node}
