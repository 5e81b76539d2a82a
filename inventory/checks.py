"""Rules between the entries of an inventory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inventory.load import Inventory, Problem


def check(inventory: "Inventory") -> "list[Problem]":
    """Every rule that INVENTORY breaks."""
    return []
