"""`python -m aether_engine.fetch URL FILE`: downloads to a file, whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
import urllib.request
from pathlib import Path


def fetch(url: str, target: Path) -> None:
    """Downloads beside the target first, and renames when it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        with urllib.request.urlopen(url, timeout=30) as answer, partial.open("wb") as output:
            shutil.copyfileobj(answer, output)
            expected = answer.headers.get("Content-Length")
        if expected is not None and partial.stat().st_size != int(expected):
            raise OSError(f"{partial.stat().st_size} of {expected} bytes arrived")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    fetch(sys.argv[1], Path(sys.argv[2]))
