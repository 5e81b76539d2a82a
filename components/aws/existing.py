"""Options of resources that the account has before the stack does."""

from typing import Any


def kept_as_it_is(identity: str) -> dict[str, Any]:
    """Of what the owner had: imported without a change, its tags and comment stay the owner's, and it outlives the stack."""
    return {"import_": identity, "ignore_changes": ["tags", "tagsAll", "comment", "forceDestroy"], "retain_on_delete": True}
