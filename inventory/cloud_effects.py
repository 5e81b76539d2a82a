"""What a changed field of the inventory does at AWS: the tables that docs and tests are made of.

It is said beside the fields (marks.py), and held against previews of the real engine by tests/system/test_aws_previews.py. The
tables are printed into docs/aws.md by `./aether inventory effects --cloud --write docs/aws.md`.
"""

from inventory import marks
from inventory.blocks import replaced
from inventory.effects import BEGIN, END
from inventory.marks import AtAws, at_aws
from inventory.models import AmazonLinuxVm, Cloud, DataDisk, NixosCloudVm, Site

_MACHINES = (NixosCloudVm, AmazonLinuxVm)
MACHINE = at_aws(NixosCloudVm) | at_aws(AmazonLinuxVm)
TABLES = {"hosts": MACHINE, "hosts (data)": at_aws(DataDisk), "cloud": at_aws(Cloud), "site": at_aws(Site)}
# Fields of a host that AWS never sees.
UNSEEN = frozenset[str]().union(*(marks.fields(model, marks.DEPLOYMENT) for model in _MACHINES)) - MACHINE.keys()


def markdown() -> str:
    """The tables, for docs."""
    lines = ["| table | field | what happens |", "|---|---|---|"]
    lines += [f"| {table} | {field} | {effect} |" for table, fields in TABLES.items() for field, effect in fields.items()]
    return "\n".join([*lines, f"| hosts | {', '.join(sorted(UNSEEN))} | {AtAws.NOTHING} |"])


def replace_block(text: str) -> str:
    """TEXT with the tables between the markers. Raises ValueError where it lacks them."""
    return replaced(text, BEGIN, END, markdown())
