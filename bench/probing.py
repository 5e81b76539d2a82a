"""What a Pulumi program did before its first resource, as `probe/` writes it down."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.measure import BenchError
from inventory.files import REPOSITORY

_PROBE = str(REPOSITORY / "bench/probe")


class Begun(NamedTuple):
    """Seconds since the interpreter's start, those of them that it computed, and calls: 0 where they were not counted."""

    seconds: float
    computed: float
    calls: int


def before_first_resource(file: Path, preview: Callable[[dict[str, str]], object], *, count: bool = False) -> Begun:
    """Have PREVIEW, which takes what is added to its environment, write FILE; with COUNT it counts calls, which takes longer.

    Raises:
        BenchError: the program registered no resource.
    """
    file.unlink(missing_ok=True)
    preview({"PYTHONPATH": _PROBE, "AETHER_BENCH_PROBE": str(file), **({"AETHER_BENCH_CALLS": "1"} if count else {})})
    if not file.exists():
        raise BenchError("the program registered no resource that the probe saw")
    seconds, computed, calls = file.read_text().split()
    return Begun(float(seconds), float(computed), int(calls))
