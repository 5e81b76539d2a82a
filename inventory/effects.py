"""What a changed field of the inventory does to a guest that is there: the tables that docs and tests are made of.

It is said beside the fields (marks.py), and held against the real provider by tests/system/test_guests_kept.py and
test_guest_changes.py. The tables are printed into docs/proxmox.md by `./aether inventory effects --write docs/proxmox.md`.
"""

from inventory import marks
from inventory.blocks import replaced
from inventory.marks import AtGuest, at_guest
from inventory.models import Disk, Network, NixosLxc, NixosVm, Node, Site

BEGIN, END = "<!-- effects:begin -->", "<!-- effects:end -->"
Effects = dict[str, tuple[AtGuest | None, AtGuest | None]]


def _of_guests() -> Effects:
    machine, container = at_guest(NixosVm), at_guest(NixosLxc)
    neither = (None, None)
    return {when: (machine.get(when, neither)[0], container.get(when, neither)[1]) for when in machine | container}


_FIELDS = NixosVm.model_fields.keys() | NixosLxc.model_fields.keys()
# Field -> (virtual machine, container); None: the kind has no such field.
GUEST: Effects = {when: effects for when, effects in _of_guests().items() if when in _FIELDS}
DISKS: Effects = {when: effects for when, effects in _of_guests().items() if when not in _FIELDS} | at_guest(Disk)
NETWORK: Effects = at_guest(Network)
TABLES = {"hosts": GUEST, "hosts (disks)": DISKS, "networks": NETWORK, "site": at_guest(Site), "nodes": at_guest(Node)}
# Fields of a host that never reach its guest: how it is deployed and checked.
DEPLOYMENT = marks.fields(NixosVm, marks.DEPLOYMENT) | marks.fields(NixosLxc, marks.DEPLOYMENT)


def markdown() -> str:
    """The tables, for docs."""
    lines = ["| table | field | virtual machine | container |", "|---|---|---|---|"]
    for table, fields in TABLES.items():
        for field, effects in fields.items():
            lines.append(f"| {table} | {field} | {' | '.join('-' if effect is None else effect for effect in effects)} |")
    lines.append(f"| hosts | {', '.join(sorted(DEPLOYMENT))} | {AtGuest.NOTHING} | {AtGuest.NOTHING} |")
    return "\n".join(lines)


def replace_block(text: str) -> str:
    """TEXT with the tables between the markers. Raises ValueError where it lacks them."""
    return replaced(text, BEGIN, END, markdown())
