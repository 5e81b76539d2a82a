"""What three cheap figures cost against what they did: what makes a preview slower is seen by the next gate.

Each is a ratio to work of the same kind that the project cannot make slower. On a machine that others share, CPU seconds of one
program differ by half within minutes (docs/performance.md); the calls that Python makes differ by one in ten thousand. So what is
Python alone is counted, and a preview, most of which is the engine's, is timed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.bare import Bare
from bench.fleet import Fleet
from bench.measure import Report, children_cpu, timed
from bench.probing import before_first_resource
from bench.settings import Run
from bench.stack import INVENTORY, BenchStack, expect_unchanged
from inventory.files import REPOSITORY

MACHINES = 8
# Each ratio as it was when somebody last looked (`python -m bench cpu` prints them), and how many times that is let pass.
KNOWN = Path(__file__).with_suffix(".json")
MORE = {"program": 1.15, "sources": 1.15, "preview": 1.3}
ROUNDS = 8
TEXTS = {
    "program": "calls of the program before its first resource, against a bare program's with the same SDKs",
    "sources": "calls that hash every host's sources, against those that read the words of the files of nix/, and hash them",
    "preview": "CPU seconds of a preview of all its processes, against the bare program's",
}
Sides = Mapping[str, Callable[[dict[str, str]], object]]
_SOURCES = rf"""
import cProfile, hashlib, re, sys
from pathlib import Path
from components.nixos.source_closure import source_hashes
here, hosts = Path.cwd(), sys.argv[1:]
def words():
    for path in sorted(path for path in (here / "nix").rglob("*") if path.is_file()):
        content = path.read_bytes()
        hashlib.sha256(content).hexdigest()
        set(re.findall(r"[\w./-]+", content.decode(errors="replace")))
for work in (lambda: source_hashes(here, [here / "{INVENTORY}"], hosts), words):
    counter = cProfile.Profile()
    counter.runcall(work)
    print(sum(entry.callcount for entry in counter.getstats()))
"""


def measure(run: Run, report: Report) -> None:
    report.section(f"cpu: three figures of a stack of {MACHINES} machines, against what they were")
    for name, ratio in ratios(deployed(run)).items():
        report.ratio(f"cpu_{name}", ratio, TEXTS[name], at_most=allowed(name))
    report.note(f"what they were is in {KNOWN.relative_to(REPOSITORY)}")


def known() -> dict[str, float]:
    """The ratios that are known."""
    return {str(name): float(value) for name, value in json.loads(KNOWN.read_text()).items()}


def allowed(name: str) -> float:
    """What the ratio NAME may be."""
    return round(known()[name] * MORE[name], 3)


def deployed(run: Run) -> BenchStack:
    """A stack of MACHINES machines without hosts behind them, up."""
    stack = run.stack("cpu", Fleet(MACHINES))
    stack.lighten()
    stack.begin()
    stack.up()
    return stack


def ratios(stack: BenchStack) -> dict[str, float]:
    """Each figure."""
    both = sides(stack)
    return {"program": program(stack, both), "sources": _sources(stack), "preview": _preview(both)}


def sides(stack: BenchStack) -> Sides:
    """What makes a preview of ours, and of the bare program, with more in its environment."""
    bare = Bare(stack)
    return {"ours": lambda more: expect_unchanged(stack.preview(more), len(bare.resources)), "bare": bare.preview}


def program(stack: BenchStack, both: Sides) -> float:
    """The figure of that name."""
    files = {side: stack.path / f".aether/probe-{side}" for side in both}
    return _ratio([before_first_resource(files[side], preview, count=True).calls for side, preview in both.items()])


def _sources(stack: BenchStack) -> float:
    hashed = timed([sys.executable, "-c", _SOURCES, *Fleet(MACHINES).names], cwd=stack.path, env=stack.environment)
    return _ratio(list(map(int, hashed.text.split())))


def _preview(both: Sides) -> float:
    """Sides take turns, twice or, while their ratio is more than it may be, up to ROUNDS times."""
    seconds = dict.fromkeys(both, 0.0)
    for number in range(ROUNDS):
        for side, preview in list(both.items())[:: 1 if number % 2 else -1]:
            before = children_cpu()
            preview({})
            seconds[side] += children_cpu() - before
        if number and _ratio(list(seconds.values())) <= allowed("preview"):
            break
    return _ratio(list(seconds.values()))


def _ratio(both: Sequence[float]) -> float:
    ours, bare = both
    return round(ours / bare, 3)
