"""What the gate costs: CPU seconds of its set-up, its checks of the sources, and its tests by folder."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.measure import BenchError, Report
from bench.settings import Run
from inventory.files import REPOSITORY

SETUP = ("ops/setup.py", "--stack", "sim", "--tests", "--group", "sim", "--group", "ansible", "--group", "test")
# From linux/prctl.h.
_PR_SET_CHILD_SUBREAPER = 36
# pytest's: all passed, some failed, no test there. What failed cost as much.
_RAN = (0, 1, 5)


def parts(repository: Path) -> dict[str, list[str]]:
    """What the gate does, by name: commands for the checkout's Python. A folder of tests is a part, in one process."""
    files = [*repository.glob("tests/*/test_*.py"), *repository.glob("packages/*/tests/*/test_*.py")]
    folders = sorted({path.parent.relative_to(repository).as_posix() for path in files})
    found = {"set-up": [*SETUP], "lint": ["-m", "ops", "lint"]}
    return found | {name: ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"{repository}/{name}"] for name in folders}


def measure(run: Run, report: Report) -> None:
    """Every part once, one after the other; printed as shares.

    With an empty AETHER_CACHE, GOCACHE and no .aether in the checkout, the set-up is that of a first start. Minutes of each are
    those of one core.
    """
    report.section("Gate: CPU time of its parts, one after the other")
    spent: dict[str, float] = {}
    with adopting():
        for name, command in parts(REPOSITORY).items():
            log = run.work / f"{name.replace('/', '-')}.log"
            spent[name] = cpu_seconds([sys.executable, *command], log)
            report.seconds(f"gate_{name.replace('/', '_').replace('-', '_')}_cpu", spent[name], "")
    for line in shares(spent):
        report.note(line)


def shares(spent: Mapping[str, float]) -> Iterator[str]:
    """A line for each part, dearest first: its share, and its minutes of CPU time."""
    whole = sum(spent.values()) or 1
    yield f"{'together':34} {whole / 60:6.1f} min"
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        yield f"{name:34} {seconds / 60:6.1f} min {seconds / whole:6.1%}"


@contextmanager
def adopting() -> Iterator[None]:
    """Make this process the parent of what its children leave behind (a simulator): only then is its time known here."""
    prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise BenchError(f"prctl: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def cpu_seconds(
    command: Sequence[str],
    log: Path,
    *,
    cwd: Path = REPOSITORY,
    env: Mapping[str, str] | None = None,
    codes: Sequence[int] = _RAN,
) -> float:
    """CPU seconds of a command and of all that it started, user and system; what it left running is ended first.

    Raises:
        BenchError: it ended otherwise than by one of CODES (default: those of a run of tests); with the path of its log.
    """
    before, others = resource.getrusage(resource.RUSAGE_CHILDREN), _children()
    with log.open("wb") as output:
        code = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
        ).returncode
    while left := _children() - others:
        for child in left:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    if code not in codes:
        raise BenchError(f"{' '.join(command[:6])} … ended with {code}: {log}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _children() -> set[int]:
    """Ids of the processes that this one has to collect."""
    return {int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}
