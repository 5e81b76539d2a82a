"""What a person sees of a long step: what it is, how long so far, and the end of its log where it fails."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

#: seconds between two lines on something that is not a terminal
QUIET_INTERVAL = 20.0
TAIL_LINES = 15


class StepError(Exception):
    """A step failed; the message is for the person who ran it."""


class Progress:
    """Prints to standard error, unless it is to be quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._live = sys.stderr.isatty() and not quiet

    def say(self, text: str) -> None:
        """One line."""
        if not self.quiet:
            self._clear()
            print(f"engine: {text}", file=sys.stderr, flush=True)

    def run(self, what: str, command: Sequence[str], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        """Runs a command with its output in the log.

        Raises:
            StepError: it failed; the last lines of the log and its path are in the message.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        if not self._live:
            self.say(f"{what} …")
        with log.open("w") as output:
            print(f"$ {' '.join(command)}  (in {cwd})", file=output, flush=True)
            # A session of its own, so that Ctrl-C ends the whole build and not only its first process.
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env) if env is not None else None,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                self._watch(process, what, started)
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        if process.returncode != 0:
            raise StepError(f"{what} failed (exit {process.returncode}):\n{tail(log)}\n  whole log: {log}")
        self.say(f"{what}: done in {_seconds(started)}")

    def _watch(self, process: subprocess.Popen[bytes], what: str, started: float) -> None:
        said = time.monotonic()
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.5)
                return
            if self._live:
                print(f"\r\033[Kengine: {what} … {_seconds(started)}", end="", file=sys.stderr, flush=True)
            elif time.monotonic() - said > QUIET_INTERVAL:
                said = time.monotonic()
                self.say(f"{what} … {_seconds(started)} so far")

    def _clear(self) -> None:
        if self._live:
            print("\r\033[K", end="", file=sys.stderr)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented."""
    try:
        kept = log.read_text(errors="replace").splitlines()[-lines:]
    except OSError as error:
        return f"  (no log: {error})"
    return "\n".join(f"  {line}" for line in kept)


def _seconds(started: float) -> str:
    return f"{time.monotonic() - started:.0f} s"
