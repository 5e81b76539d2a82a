"""What a changed field of the inventory does at AWS: the one table that docs and tests are made of.

It is held against previews of the real engine by tests/system/test_aws_previews.py. The table is printed into docs/aws.md by
`./aether inventory effects --cloud --write docs/aws.md`.
"""

from enum import StrEnum

from inventory.blocks import replaced
from inventory.effects import BEGIN, DEPLOYMENT, END


class Effect(StrEnum):
    """What happens. Only `REPLACE`, `REPLACE_ARM` and `MOVE` end a machine; only `LOST` and `MOVE` end its data."""

    NOTHING = "nothing at AWS: its system or playbook is deployed again, or nobody uses it"
    UPDATE = "changed in place"
    REPLACE = "another machine, configured again; Elastic IP and data disk stay"
    REPLACE_ARM = "stopped, changed, started; of another architecture: another machine"
    MOVE = "all machines replaced; refused under `aether:protect`"
    LOST = "removed: destroyed after a last snapshot; refused under `aether:protect`"
    REFUSED = "refused by AWS: a volume only grows"
    ZONE = "the names move to another zone; one made here is destroyed: refused under `aether:protect`"
    ADDRESS = "another public address: refused under `aether:protect`"
    WORD = "says something of another field; changes nothing by itself"


E = Effect
MACHINE: dict[str, Effect] = {
    "ami": E.REPLACE,
    "ami_name": E.WORD,
    "os": E.NOTHING,
    "instance_type": E.REPLACE_ARM,
    "address": E.REPLACE,
    "network": E.MOVE,
    "region": E.MOVE,
    "open": E.UPDATE,
    "public_names": E.UPDATE,
    "allocation_id": E.ADDRESS,
    "disk": E.UPDATE,
    "data": E.LOST,
    "playbook": E.NOTHING,
    "ssh_port": E.UPDATE,
    "description": E.NOTHING,
    "tags": E.NOTHING,
    "kind": E.MOVE,
}
DATA: dict[str, Effect] = {"size": E.UPDATE, "size, smaller": E.REFUSED, "mount": E.NOTHING, "snapshots": E.UPDATE}
CLOUD: dict[str, Effect] = {
    "gateway": E.MOVE,
    "availability_zone": E.MOVE,
    "ipv6": E.UPDATE,
    "ssh_from": E.UPDATE,
    "ssm": E.UPDATE,
    "zone_id": E.ZONE,
    "zone_adopted": E.WORD,
    "overwrite_records": E.WORD,
    "records": E.UPDATE,
    "way_home": E.NOTHING,
    "relays": E.UPDATE,
    "budget": E.UPDATE,
    "budget_email": E.UPDATE,
}
SITE: dict[str, Effect] = {"authorized_keys": E.UPDATE, "domain": E.UPDATE, "public_domain": E.ZONE}
TABLES = {"hosts": MACHINE, "hosts (data)": DATA, "cloud": CLOUD, "site": SITE}
# Fields of a host that AWS never sees.
UNSEEN = DEPLOYMENT - MACHINE.keys()


def markdown() -> str:
    """The table, for docs."""
    lines = ["| table | field | what happens |", "|---|---|---|"]
    lines += [f"| {table} | {field} | {effect} |" for table, fields in TABLES.items() for field, effect in fields.items()]
    return "\n".join([*lines, f"| hosts | {', '.join(sorted(UNSEEN))} | {E.NOTHING} |"])


def replace_block(text: str) -> str:
    """TEXT with the table between the markers. Raises ValueError where it lacks them."""
    return replaced(text, BEGIN, END, markdown())
