"""A copy of the repository, as a fresh clone with what is not committed yet."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from inventory.files import REPOSITORY


def copied(path: Path, files: Mapping[str, str] | None = None) -> None:
    """Copy the tracked and new files to PATH. FILES (path to text) take the place of the repository's, or are added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, path / name)
    for name, text in (files or {}).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
