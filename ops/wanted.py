"""What the repository has for NixOS hosts, by the stack's settings."""

from collections.abc import Mapping

from components.nixos.desired import Evaluator, desired_closures
from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.models import NixosHost
from ops.stack import Stack


def wanted_closures(
    stack: Stack, inventory: Inventory, chosen: Mapping[str, NixosHost], *, evaluate: bool = True
) -> dict[str, str]:
    """The closure that each of the CHOSEN hosts should run: drvPath, or ``source:HASH``.

    Args:
        evaluate: have Nix evaluate what is not known yet; without, those hosts are left out.

    Raises:
        EvaluationError: with Nix's message.
    """
    said = stack.setting("evaluator")
    evaluator: Evaluator = "nix" if said == "nix" else "source" if said == "source" else "auto"
    attributes = {name: host.flake or name for name, host in chosen.items()}
    nix = stack.setting("nix") or "nix"
    found = desired_closures(REPOSITORY, [inventory.path], attributes, evaluator=evaluator, nix=nix, evaluate=evaluate)
    return {name: desired.closure for name, desired in found.items()}
