"""What a person sees of a long step: what it is, how long so far, and the end of its log where it fails."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

#: seconds between two lines on something that is not a terminal
QUIET_INTERVAL = 20.0
TAIL_LINES = 15


class StepError(Exception):
    """A step failed; the message is for the person who ran it."""


class Stopped(StepError):
    """The step was ended, or not begun, because another one failed."""


class Remaining:
    """How much is left of several things with a known COST each (seconds on a machine of no importance)."""

    def __init__(self, cost: Mapping[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        self._cost = dict(cost)
        self._all = sum(cost.values())
        self._clock, self._started = clock, clock()
        self._count = len(cost)

    def after(self, name: str) -> str:
        """What to say once NAME is there; empty after the last."""
        self._cost.pop(name)
        left = sum(self._cost.values())
        if not left:
            return ""
        seconds = (self._clock() - self._started) * left / max(1, self._all - left)
        guess = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(5, round(seconds, -1)):.0f} s"
        return f"{self._count - len(self._cost)} of {self._count} parts, about {guess} left"


class Progress:
    """Prints to standard error, unless it is to be quiet. Several threads may run steps; `stop` ends those of all."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._steps: dict[str, float] = {}

    def stop(self) -> None:
        """End what runs, and begin nothing more."""
        self._stopped.set()

    def say(self, text: str) -> None:
        """One line."""
        if not self.quiet:
            with self._lock:
                self._clear()
                print(f"engine: {text}", file=sys.stderr, flush=True)

    def run(self, what: str, command: Sequence[str], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        """Runs a command with its output in the log.

        Raises:
            StepError: it failed; the last lines of the log and its path are in the message.
        """
        if self._stopped.is_set():
            raise Stopped(f"{what}: not begun")
        log.parent.mkdir(parents=True, exist_ok=True)
        started = self._steps[what] = time.monotonic()
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
            finally:
                self._steps.pop(what, None)
        if process.returncode != 0:
            raise StepError(f"{what} failed (exit {process.returncode}):\n{tail(log)}\n  whole log: {log}")
        self.say(f"{what}: done in {_seconds(started)}")

    def _watch(self, process: subprocess.Popen[bytes], what: str, started: float) -> None:
        said = time.monotonic()
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.5)
                return
            if self._stopped.is_set():
                raise Stopped(f"{what}: stopped")
            if self._live:
                with self._lock:
                    steps = ", ".join(f"{step} … {_seconds(since)}" for step, since in list(self._steps.items()))
                    print(f"\r\033[Kengine: {steps}", end="", file=sys.stderr, flush=True)
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
