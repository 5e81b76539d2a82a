"""The repository, and files in it that are written whole or not at all. Standard library only."""

import os
import threading
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def write_whole(path: Path, text: str, mode: int | None = None) -> None:
    """Make TEXT the content of PATH (UTF-8) in one step: who reads meanwhile, or after a kill, has the old or the new.

    Args:
        mode: permissions, of which the umask takes some (default: 0o666).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of its own: others may write the same file now.
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        partial.touch(0o666 if mode is None else mode)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
