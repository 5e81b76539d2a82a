"""Options of resources that the account has before the stack does."""

from collections.abc import Mapping
from typing import Any


def kept_as_it_is(identity: str) -> dict[str, Any]:
    """Of what the owner had: imported without a change, its tags and comment stay the owner's, and it outlives the stack."""
    return {"import_": identity, "ignore_changes": ["tags", "tagsAll", "comment", "forceDestroy"], "retain_on_delete": True}


def taken_over(name: str, existing: Mapping[str, str]) -> dict[str, Any]:
    """Of a DNS record by its resource's NAME: one that is EXISTING is imported as it is, and follows the inventory afterwards."""
    if name not in existing:
        return {}
    return {"import_": existing[name], "ignore_changes": ["ttl", "records", "allowOverwrite"]}
