"""Where a command is started by another Python than the project's. Standard library only; older Pythons read it too."""

import importlib.util
import os
import sys
from pathlib import Path

PACKAGES = ("pydantic", "rich", "yaml")


def enter(module: str) -> None:
    """Return under a Python that has the packages; otherwise go on as ``.venv/bin/python -m MODULE`` with the same arguments.

    Raises:
        SystemExit: with the line to write, where there is no .venv yet.
    """
    if all(importlib.util.find_spec(package) for package in PACKAGES):
        return
    own = Path(".venv/bin/python").absolute()
    if own.exists() and Path(sys.prefix).absolute() != own.parent.parent:
        os.execv(own, [str(own), "-m", module, *sys.argv[1:]])
    sys.exit(
        f"The project's Python environment is not made yet, or not whole. Fix: make setup, then . ops/env.sh "
        f"(or .venv/bin/python -m {module}), in the folder of Pulumi.yaml"
    )
