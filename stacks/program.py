"""Runs the composition that the stack's configuration names."""

import importlib
import sys

import pulumi

from inventory.load import InventoryError, load
from inventory.problems import explained
from stacks.errors import SettingsError
from stacks.policies import enforce
from stacks.settings import Settings

_FIX = "Fix: make setup (clouds' packages come with the stacks that need them: python3 ops/setup.py --stack NAME)"


def run() -> None:
    """Run the composition of the current stack.

    A wrong setting or inventory ends the program before any resource is registered, with every reason on one line each.
    """
    try:
        settings = Settings.read(pulumi.Config("aether"))
        inventory = load(settings.inventory)
        enforce(settings, inventory)
        importlib.import_module(f"stacks.{settings.composition}").compose(settings, inventory)
    except ModuleNotFoundError as error:
        pulumi.log.error(f"The package {error.name} of this stack's composition is not in the environment. {_FIX}")
        sys.exit(1)
    except (SettingsError, InventoryError) as error:
        codes = [problem.code for problem in error.problems] if isinstance(error, InventoryError) else []
        for line in (*str(error).splitlines(), explained(codes)):
            if line:
                pulumi.log.error(line)
        sys.exit(1)
