#!/usr/bin/env python3
"""Ansible's dynamic inventory: `./aether inventory ansible` with the arguments that Ansible gives.

Kept apart from the package of the same name: as a script, this folder would come before it on the module path. A dozen playbooks
of one `up` ask the same: the answer is kept until something changes that it is made of.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# In place of this folder.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from inventory.files import REPOSITORY, write_whole  # noqa: E402

CACHE = REPOSITORY / ".aether/cache/ansible"
KEPT = 8


def made_of() -> Iterator[Path]:
    """Inventories, where hosts are reached, roles, and the code that reads all this."""
    for folder in ("ansible", "inventory"):
        yield from (path for path in sorted(Path(folder).rglob("*")) if path.suffix != ".pyc" and path.is_file())
    if elsewhere := os.environ.get("AETHER_INVENTORY"):
        # An overlay lies beside its base.
        yield from sorted(Path(elsewhere).parent.glob("*.toml"))
    if endpoints := os.environ.get("AETHER_ENDPOINTS"):
        yield Path(endpoints)
    yield Path("uv.lock")


def key() -> str:
    named = (os.environ.get(name, "") for name in ("AETHER_INVENTORY", "AETHER_ENDPOINTS"))
    digest = hashlib.sha256("\0".join([sys.executable, *named, *sys.argv[1:]]).encode())
    for path in made_of():
        digest.update(f"\0{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def main() -> int:
    os.chdir(REPOSITORY)
    answer = None
    with suppress(OSError):
        answer = CACHE / key()
        sys.stdout.write(answer.read_text())
        return 0
    command = [sys.executable, "-m", "inventory", "ansible", *sys.argv[1:]]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    sys.stdout.write(done.stdout)
    if answer and done.returncode == 0:
        with suppress(OSError):
            keep(answer, done.stdout)
    return done.returncode


def keep(answer: Path, text: str) -> None:
    """The ANSWER, and the last few before it."""
    write_whole(answer, text)
    for old in sorted(CACHE.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
