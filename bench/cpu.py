"""CPU time of three cheap figures against what they were: what makes a preview slower is seen by the next gate.

Seconds differ from machine to machine, so each figure is a ratio to work of the same kind that the project cannot make
slower. Sides take turns, and the least of each counts: other work on the machine only adds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.bare import Bare
from bench.fleet import Fleet
from bench.lab import INVENTORY, REPOSITORY, BenchStack, expect_unchanged
from bench.measure import BenchError, Report, children_cpu, timed
from bench.settings import Run

MACHINES = 8
# Each ratio as it was when somebody last looked (`python -m bench cpu` prints them), and how much more is let pass.
KNOWN = Path(__file__).with_suffix(".json")
MORE = 1.15
ROUNDS = 8
TEXTS = {
    "program": "CPU of the program before its first resource, against a bare program's with the same SDKs",
    "preview": "CPU of a preview of all its processes, against the bare program's",
    "sources": "CPU of hashing every host's sources, against reading and hashing the files of nix/ ten times",
}
_SOURCES = f"""
import hashlib, sys, time
from pathlib import Path
from components.nixos.source_closure import source_hashes
here, hosts = Path.cwd(), sys.argv[1:]
begun = time.process_time()
source_hashes(here, [here / "{INVENTORY}"], hosts)
ours = time.process_time() - begun
begun = time.process_time()
for _ in range(10):
    for path in sorted(path for path in (here / "nix").rglob("*") if path.is_file()):
        hashlib.sha256(path.read_bytes()).hexdigest()
print(ours, time.process_time() - begun)
"""


def measure(run: Run, report: Report) -> None:
    report.section(f"cpu: three figures of a stack of {MACHINES} machines, against what they were")
    found = ratios(deployed(run), known())
    for name, ratio in found.items():
        report.ratio(f"cpu_{name}", ratio, TEXTS[name], at_most=round(known()[name] * MORE, 3))
    report.note(f"what they were is in {KNOWN.relative_to(REPOSITORY)}")


def known() -> dict[str, float]:
    """The ratios that are known."""
    return {str(name): float(value) for name, value in json.loads(KNOWN.read_text()).items()}


def deployed(run: Run) -> BenchStack:
    """A stack of MACHINES machines without hosts behind them, up."""
    lab = run.lab("cpu", Fleet(MACHINES))
    lab.lighten()
    lab.begin()
    lab.up()
    return lab


def ratios(lab: BenchStack, limits: Mapping[str, float], rounds: int = ROUNDS) -> dict[str, float]:
    """Each figure; measured again, up to ROUNDS times, while one is more than MORE of its limit."""
    bare = Bare(lab)
    count = len(bare.resources)
    previews: dict[str, Callable[[dict[str, str]], object]] = {
        "ours": lambda probe: expect_unchanged(lab.preview(probe), count),
        "bare": bare.preview,
    }
    least: dict[str, dict[str, float]] = {name: {} for name in TEXTS}
    found: dict[str, float] = {}
    for number in range(rounds):
        for side, preview in list(previews.items())[:: 1 if number % 2 else -1]:
            probe = lab.path / f".aether/probe-{side}"
            probe.unlink(missing_ok=True)
            before = children_cpu()
            preview({"PYTHONPATH": str(REPOSITORY / "bench/probe"), "AETHER_BENCH_PROBE": str(probe)})
            _keep(least["preview"], side, children_cpu() - before)
            if not probe.exists():
                raise BenchError("the program registered no resource that the probe saw")
            _keep(least["program"], side, float(probe.read_text().split()[1]))
        hashed = timed([sys.executable, "-c", _SOURCES, *Fleet(MACHINES).names], cwd=lab.path, env=lab.environment)
        for side, seconds in zip(("ours", "bare"), hashed.text.split(), strict=True):
            _keep(least["sources"], side, float(seconds))
        found = {name: round(sides["ours"] / sides["bare"], 3) for name, sides in least.items()}
        if number and all(ratio <= limits[name] * MORE for name, ratio in found.items()):
            break
    return found


def _keep(least: dict[str, float], side: str, seconds: float) -> None:
    least[side] = min(seconds, least.get(side, seconds))
