"""What deployments came to: a line each in .aether/runs/STACK.jsonl, for metrics and for who wants to be told."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from inventory.files import write_whole
from ops import notify
from ops.stack import AETHER, OpsError, Stack

KEPT = 1000


@dataclass(frozen=True)
class Run:
    """One deployment. AT is its end in seconds since 1970, SECONDS how long it took."""

    command: str
    at: int
    seconds: float
    result: str
    """succeeded, failed or interrupted."""
    why: str = ""


def path_of(stack: str) -> Path:
    return AETHER / f"runs/{stack}.jsonl"


def runs(stack: str) -> list[Run]:
    """The last deployments of STACK from this checkout, oldest first; a line that was cut short is none."""
    path = path_of(stack)
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(Run(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


@contextmanager
def recorded(stack: Stack, command: str) -> Iterator[None]:
    """What happens inside is a deployment of STACK: how it ended is noted, and those who want to are told."""
    started = time.monotonic()
    try:
        yield
    except OpsError as error:
        _end(stack, command, started, "failed", str(error).strip())
        raise
    except KeyboardInterrupt:
        _end(stack, command, started, "interrupted", "")
        raise
    _end(stack, command, started, "succeeded", "")


def _end(stack: Stack, command: str, started: float, result: str, why: str) -> None:
    run = Run(command, int(time.time()), round(time.monotonic() - started, 1), result, why[:2000])
    note(stack.name, run)
    notify.tell(
        stack,
        "deploy" if result == "succeeded" else "failed",
        f"{stack.name}: {command} {result} after {run.seconds:.0f} s",
        why or "Every host is as the repository says.",
    )


def note(stack: str, run: Run) -> None:
    """Add RUN; the oldest beyond KEPT go."""
    lines = [*(json.dumps(asdict(each)) for each in runs(stack)), json.dumps(asdict(run))][-KEPT:]
    write_whole(path_of(stack), "".join(f"{line}\n" for line in lines))
