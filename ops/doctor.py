"""What is there, what is missing, what to do. Standard library only: it runs before anything is set up."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ops.setup import ENGINE, PYTHONS, REPOSITORY, usable

ROOT_FOR = "the simulator needs root: sudo make up; real stacks need none"
# tool, what it is needed for, how to get it
TOOLS = (
    ("git", "the checkout", "apt install git"),
    ("make", "the commands", "apt install make"),
    ("ssh", "reaching hosts", "apt install openssh-client"),
    ("curl", "health checks over HTTP", "apt install curl"),
)


def main() -> int:
    """Print a line for each thing; exit code 1 when something that `make up` needs is missing."""
    missing = 0
    for tool, purpose, fix in TOOLS:
        found = shutil.which(tool)
        missing += _line(tool, found or f"missing, needed for {purpose}", None if found else fix)
    version = platform.python_version()
    _line("Python", version, None, note="" if usable() else f"not {PYTHONS}: make setup looks for one, or downloads it")
    made = (REPOSITORY / ".venv/bin/python").exists()
    _line("environment", ".venv" if made else "not made yet", None, note="" if made else "make setup makes it")
    linux = platform.system() == "Linux"
    _line(
        "simulator",
        "can run here" if linux else "Linux only",
        None,
        note="" if linux else "use STACK=homelab, or a Linux machine",
    )
    if linux:
        root = os.geteuid() == 0
        _line("host isolation", "overlay mounts as root" if root else "not root", None, note="" if root else ROOT_FOR)
    free = shutil.disk_usage(REPOSITORY).free // 2**30
    missing += _line("disk", f"{free} GiB free", None if free >= 6 else "free 6 GiB: the engine's build needs them")
    engine = subprocess.run([sys.executable, "-m", "aether_engine", "doctor"], cwd=ENGINE, check=False)
    print("\n" + ("Something is missing: see above." if missing else "All that `make up` needs is there, or is made by it."))
    if engine.returncode:
        print("The engine is not complete yet; `make setup` gets what is missing.")
    return 1 if missing else 0


def _line(name: str, state: str, fix: str | None, note: str = "") -> int:
    mark = "missing" if fix else "ok"
    print(f"{mark:8} {name:16} {state}{f'  -> {fix}' if fix else ''}{f'  ({note})' if note else ''}")
    return 1 if fix else 0


if __name__ == "__main__":
    sys.exit(main())
