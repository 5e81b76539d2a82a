"""Every rule that entries must keep among each other: ``rules/`` holds them, a file a subject."""

from collections.abc import Sequence
from pathlib import Path

from inventory.parse import Draft
from inventory.rules import (
    addresses,
    capacity,
    cloud,
    cluster,
    deployers,
    environments,
    files,
    keys,
    references,
    services,
    unique,
)


def check(drafts: Sequence[Draft], secrets: Path | None = None) -> None:
    """Report into each draft what breaks a rule.

    Files that entries name (sops files, playbooks) are looked up in the repository that holds the first
    draft's file, and not at all for an inventory outside one unless SECRETS is given.
    """
    for draft in drafts:
        for subject in (addresses, capacity, cloud, cluster, deployers, references, services, keys):
            subject.check(draft)
    unique.check(drafts)
    environments.check(drafts)
    root = files.repository(Path(drafts[0].file)) if drafts else None
    if root or secrets:
        files.check(drafts, root or Path("/nonexistent"), secrets or (root or Path()) / "secrets")
