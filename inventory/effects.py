"""What a changed field of the inventory does to a guest that is there: the one table that docs and tests are made of.

It is held against the real provider by tests/system/test_guests_kept.py and test_guest_changes.py. The table is printed into
docs/proxmox.md by `./aether inventory effects --write docs/proxmox.md`.
"""

from enum import StrEnum

from inventory.blocks import replaced

BEGIN, END = "<!-- effects:begin -->", "<!-- effects:end -->"


class Effect(StrEnum):
    """What happens to the guest. Only a reboot interrupts it; nothing but `REPLACE` can lose its data."""

    NOTHING = "nothing: the system's deployment, or nobody, uses it"
    UPDATE = "changed in place, at once"
    PENDING = "changed in place, effective after `./aether reboot HOST`"
    MIGRATE = "migrated, running, with its local disks"
    MOVE = "stays, with a warning; `./aether move HOST` migrates it (a restart)"
    REFUSED = "refused before anything runs"
    REPLACE = "refused; with `replace = true` destroyed and created again"
    RENAME = "the guest is renamed in place"
    WORD = "says what a change may do; changes nothing by itself"


E = Effect
# Field -> (virtual machine, container); None: the kind has no such field.
GUEST: dict[str, tuple[Effect | None, Effect | None]] = {
    "kind": (E.REPLACE, E.REPLACE),
    "vmid": (E.REPLACE, E.REPLACE),
    "node": (E.MIGRATE, E.MOVE),
    "description": (E.UPDATE, E.UPDATE),
    "tags": (E.UPDATE, E.UPDATE),
    "cpu": (E.PENDING, E.UPDATE),
    "memory": (E.PENDING, E.UPDATE),
    "address": (E.UPDATE, E.UPDATE),
    "network": (E.UPDATE, E.UPDATE),
    "start_order": (E.UPDATE, E.UPDATE),
    "pool": (E.UPDATE, E.UPDATE),
    "dhcp": (E.PENDING, E.UPDATE),
    "mac": (E.UPDATE, E.UPDATE),
    "address6": (E.UPDATE, E.UPDATE),
    "interfaces": (E.UPDATE, E.UPDATE),
    "firewall": (E.UPDATE, E.UPDATE),
    "open": (E.UPDATE, E.UPDATE),
    "cpu_type": (E.PENDING, None),
    "numa": (E.PENDING, None),
    "balloon": (E.PENDING, None),
    "usb": (E.UPDATE, None),
    "pci": (E.PENDING, None),
    "unprivileged": (None, E.REPLACE),
    "nesting": (None, E.PENDING),
    "keyctl": (None, E.PENDING),
    "fuse": (None, E.PENDING),
    "devices": (None, E.PENDING),
    "was": (E.RENAME, E.RENAME),
    "disposable": (E.WORD, E.WORD),
    "adopted": (E.WORD, E.WORD),
    "replace": (E.WORD, E.WORD),
}
DISKS: dict[str, tuple[Effect | None, Effect | None]] = {
    "first disk grows": (E.UPDATE, E.UPDATE),
    "data disk is added": (E.UPDATE, E.UPDATE),
    "data disk grows": (E.UPDATE, E.UPDATE),
    "data disk leaves (detached, its volume is kept as unused)": (E.UPDATE, E.UPDATE),
    "a disk shrinks": (E.REFUSED, E.REFUSED),
    "datastore of the first disk": (E.REFUSED, E.REPLACE),
    "datastore of a data disk": (E.REFUSED, E.REFUSED),
}
NETWORK: dict[str, tuple[Effect | None, Effect | None]] = {
    "bridge": (E.UPDATE, E.UPDATE),
    "vlan": (E.UPDATE, E.UPDATE),
    "gateway": (E.UPDATE, E.UPDATE),
    "cidr": (E.UPDATE, E.UPDATE),
    "cidr6": (E.UPDATE, E.UPDATE),
    "gateway6": (E.UPDATE, E.UPDATE),
    "mtu": (E.UPDATE, E.UPDATE),
    "zone": (E.UPDATE, E.UPDATE),
    "nameservers": (E.NOTHING, E.NOTHING),
}
SITE: dict[str, tuple[Effect | None, Effect | None]] = {
    "domain": (E.NOTHING, E.NOTHING),
    "authorized_keys": (E.NOTHING, E.NOTHING),
}
# A node's datastores are those of the disks that name none.
NODE: dict[str, tuple[Effect | None, Effect | None]] = {
    "disk_datastore": DISKS["datastore of the first disk"],
    "cpu_type": (E.PENDING, None),
}
TABLES = {"hosts": GUEST, "hosts (disks)": DISKS, "networks": NETWORK, "site": SITE, "nodes": NODE}
# Fields of a host that never reach its guest: how it is deployed and checked.
DEPLOYMENT = frozenset(
    [
        "phase", "depends_on", "health", "ssh_user", "ssh_port", "home", "syncthing_id", "host_key", "age_recipient", "secrets",
        "flake", "security", "build_on", "pulls", "reboot", "confirm_timeout", "settle", "stands_for",
        "may_fail",
    ]
)  # fmt: skip


def markdown() -> str:
    """The tables, for docs."""
    lines = ["| table | field | virtual machine | container |", "|---|---|---|---|"]
    for table, fields in TABLES.items():
        for field, effects in fields.items():
            lines.append(f"| {table} | {field} | {' | '.join('-' if effect is None else effect for effect in effects)} |")
    lines.append(f"| hosts | {', '.join(sorted(DEPLOYMENT))} | {E.NOTHING} | {E.NOTHING} |")
    return "\n".join(lines)


def replace_block(text: str) -> str:
    """TEXT with the tables between the markers. Raises ValueError where it lacks them."""
    return replaced(text, BEGIN, END, markdown())
