"""Programs that the terminal's Ctrl-C reaches as well: they are given the time to end in order."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

Say = Callable[[str], None]


def run(command: list[str], cwd: Path, say: Say, *, ends: str, stdout: IO[Any] | None = None) -> tuple[int, bool]:
    """Exit code of COMMAND, and whether it was interrupted. ENDS says what a first Ctrl-C begins; a second one kills."""
    process = subprocess.Popen(command, cwd=cwd, stdout=stdout)
    interrupted = False
    try:
        code = process.wait()
    except KeyboardInterrupt:
        interrupted = True
        try:
            say(f"\n{ends} Ctrl-C again ends it at once.")
            code = process.wait()
        except KeyboardInterrupt:
            process.kill()
            code = process.wait()
    return (code if code >= 0 else 128 - code), interrupted
