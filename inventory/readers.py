"""Fields of a host that nobody else reads, as they are marked (marks.py): by name, for all kinds of host."""

from inventory.marks import ReadBy, fields
from inventory.models import HOSTS


def _marked(*readers: ReadBy) -> frozenset[str]:
    return frozenset(field for model in HOSTS for reader in readers for field in fields(model, reader))


UNREAD_BY_SYSTEMS = _marked(ReadBy.NOBODY, ReadBy.PLAYBOOKS)
"""What says nothing to the system of another host."""
UNREAD_BY_PLAYBOOKS = _marked(ReadBy.NOBODY, ReadBy.SYSTEMS)
"""What says nothing to a playbook, of the host itself either."""
