"""DNS records of the public zone: what they are called, and those that are there before the stack."""

from collections.abc import Mapping
from typing import Any

from inventory.models import Record


def resource(name: str, kind: str) -> str:
    """What the record set NAME KIND is called in the graph."""
    return f"{name}-{kind.lower()}"


def full_name(record: Record, domain: str) -> str:
    """The record's fully qualified name."""
    return domain if record.name == "@" else f"{record.name}.{domain}"


def taken_over(name: str, existing: Mapping[str, str]) -> dict[str, Any]:
    """Of a DNS record by its resource's NAME: one that is EXISTING is imported as it is, and follows the inventory afterwards."""
    if name not in existing:
        return {}
    return {"import_": existing[name], "ignore_changes": ["ttl", "records", "allowOverwrite"]}
