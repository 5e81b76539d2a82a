"""The sim homelab: `up` against its longest path, and the program's own time."""

from __future__ import annotations

import statistics
import time

from bench import path
from bench.measure import BenchError, Report, Timed
from bench.probing import before_first_resource
from bench.settings import Run
from bench.stack import BenchStack, changes
from ops.events import Event, EventLog

NAME = "homelab"


def deployed(run: Run) -> BenchStack:
    """The homelab's stack, up."""
    stack = run.stack(NAME)
    if not stack.environment:
        stack.begin()
        stack.up()
    return stack


def measure_up(run: Run, report: Report) -> None:
    """`up` from nothing: wall clock of the engine against the longest chain of the steps that it ran."""
    report.section("up: the sim homelab from nothing, against the longest path of its graph")
    stack = run.stack(NAME)
    walls, lengths, works, begins, ends = [], [], [], [], []
    chain: list[str] = []
    seconds: dict[str, float] = {}
    for number in range(max(1, run.runs // 2)):
        if number or stack.environment:
            stack.empty()
        else:
            stack.begin()
        begun = time.monotonic()
        done, events = _up_with_events(stack)
        made = changes(done.text).get("created", 0)
        seconds = path.step_seconds(events)
        if len(seconds) < made // 3:
            raise BenchError(f"{made} resources were created, but the event log tells of {len(seconds)}")
        length, chain = path.longest_path(seconds, path.needs(stack.resources()))
        first, last = path.first_and_last_step(events)
        begins.append(first - begun)
        ends.append(begun + done.seconds - last)
        walls.append(done.seconds)
        lengths.append(length)
        works.append(sum(seconds.values()))
    report.seconds("up_homelab_seconds", statistics.median(walls), f"pulumi up of {made} resources")
    report.seconds("up_homelab_longest_path_seconds", statistics.median(lengths), " > ".join(path.shown(urn) for urn in chain))
    report.seconds("up_homelab_before_first_step_seconds", statistics.median(begins), "engine and program, before any step")
    report.seconds("up_homelab_after_last_step_seconds", statistics.median(ends), "outputs and state, after the last step")
    report.seconds("up_homelab_work_seconds", statistics.median(works), "all steps one after the other")
    ratio = statistics.median(wall / length for wall, length in zip(walls, lengths, strict=True))
    report.ratio("up_homelab_vs_longest_path", ratio, "up / longest path", at_most=1.3)
    for urn in chain:
        report.note(f"    {seconds[urn]:6.2f} s {path.shown(urn)}")


def _up_with_events(stack: BenchStack) -> tuple[Timed, list[tuple[float, Event]]]:
    """`up`, and the engine's events with the time at which each arrived: their own stamps are whole seconds."""
    events: list[tuple[float, Event]] = []
    with EventLog(stack.path / ".aether/bench-events", lambda event: events.append((time.monotonic(), event))) as log:
        return stack.up("--event-log", str(log.path)), events


def measure_program(run: Run, report: Report) -> None:
    """From the interpreter's start to the first resource, under the real engine."""
    report.section("program: time before the first resource is registered")
    stack = deployed(run)
    probe = stack.path / ".aether/probe"
    samples, computed = [], []
    for _ in range(run.runs):
        begun = before_first_resource(probe, stack.preview)
        samples.append(begun.seconds)
        computed.append(begun.computed)
    report.seconds(
        "program_seconds_before_first_resource", statistics.median(samples), "since Python's start (target: under 1 s)"
    )
    text = "of CPU; the rest is waiting for a processor that others use"
    report.seconds("program_cpu_before_first_resource", statistics.median(computed), text)
    report.ratio("program_before_first_resource", statistics.median(samples), "in seconds", at_most=1.0)
