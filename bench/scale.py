"""One stack of many machines: what a machine costs when there are three or ten times as many."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import dataclass

from bench.fleet import Fleet
from bench.measure import BenchError, Report
from bench.settings import Run
from bench.stack import STACK, BenchStack, changes

FEW = 100
# A state that is written whole after each step is written a thousand times: what is measured comes after that.
_ONCE = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}


@dataclass(frozen=True)
class Cost:
    """Of one stack: seconds of a preview and of an `up` after one host changed, its state, and the largest of its processes."""

    machines: int
    preview: float
    one: float
    state: float
    memory: float


def measure(run: Run, report: Report) -> None:
    few = _cost(run, report, FEW)
    for machines in run.scale:
        many = _cost(run, report, machines)
        name = f"scale_{machines}"
        for what, text in (
            ("preview", "a preview's seconds"),
            ("one", "seconds of an `up` after one host changed"),
            ("state", "bytes of the state"),
            ("memory", "memory of the largest process"),
        ):
            each, before = (getattr(cost, what) / cost.machines for cost in (many, few))
            report.ratio(f"{name}_{what}_each", each / before, f"{text} a machine, against {FEW} machines", at_most=1.3)


def _cost(run: Run, report: Report, machines: int) -> Cost:
    name = f"scale-{machines}"
    report.section(f"{name}: one stack of {machines} machines")
    fleet = Fleet(machines)
    stack = run.stack(name, fleet)
    stack.lighten()
    stack.begin()
    made = stack.up(env=_ONCE)
    if changes(made.text).get("created", 0) < 4 * machines:
        raise BenchError(f"{machines} machines, but: {changes(made.text)}")
    report.seconds(f"scale_{machines}_up_seconds", made.seconds, "pulumi up from nothing, the state written once")
    previews = [_preview(stack, 4 * machines) for _ in range(max(1, run.runs // 2))]
    seconds = statistics.median(seconds for seconds, _ in previews)
    memory = max(size for _, size in previews)
    report.seconds(f"scale_{machines}_preview_seconds", seconds, "a preview that finds nothing to change")
    # The first run after machines were made has inputs of each to write that are ignored from then on.
    stack.up(env=_ONCE)
    one = statistics.median(_one(stack, fleet, number) for number in range(max(1, run.runs // 2)))
    report.seconds(f"scale_{machines}_one_seconds", one, "pulumi up, one host's file changed")
    state = (stack.path / f".aether/state/.pulumi/stacks/aether/{STACK}.json").stat().st_size / 1e6
    report.count(f"scale_{machines}_state_megabytes", round(state, 2), "the state's file")
    report.count(f"scale_{machines}_memory_mib", round(memory), "the largest of the preview's processes")
    run.close(name)
    return Cost(machines, seconds, one, state, memory)


def _preview(stack: BenchStack, at_least: int) -> tuple[float, float]:
    """Seconds, and MiB of the largest process."""
    begun = time.monotonic()
    with (stack.path / ".aether/preview.log").open("w+") as log:
        process = subprocess.Popen(
            stack.command("preview", "--diff"),
            cwd=stack.path,
            env=stack.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        counts = changes(log.read())
    if process.returncode or set(counts) != {"unchanged"} or counts["unchanged"] < at_least:
        raise BenchError(f"expected at least {at_least} resources, unchanged, and nothing else: {process.returncode} {counts}")
    return seconds, usage.ru_maxrss / 1024


def _one(stack: BenchStack, fleet: Fleet, number: int) -> float:
    (stack.path / fleet.host_file(fleet.names[7])).write_text(f'{{ ... }}:\n{{\n  system.nixos.label = "{number}";\n}}\n')
    done = stack.up()
    if changes(done.text).get("updated") != 1:
        raise BenchError(f"one host was touched, but: {changes(done.text)}")
    return done.seconds
