"""Samples, medians and the report of a run."""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class BenchError(Exception):
    """A side did not do its work; its numbers would mean nothing."""


@dataclass(frozen=True)
class Timed:
    """A command that succeeded: how long it took and what it printed."""

    seconds: float
    text: str


def timed(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float = 1800,
    codes: Sequence[int] = (0,),
) -> Timed:
    """Run COMMAND to its end.

    Raises:
        BenchError: it ended with another exit code than CODES; with its last lines.
    """
    begun = time.monotonic()
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    seconds = time.monotonic() - begun
    if done.returncode not in codes:
        lines = done.stdout.splitlines()
        # Behind a failed host Ansible still says how each of the others fared.
        said = [line for line in lines[:-25] if re.match(r"fatal|failed|\[?ERROR", line)] + lines[-25:]
        last = "\n".join(f"    {line}" for line in said)
        raise BenchError(f"{' '.join(map(str, command[:4]))} … ended with {done.returncode}:\n{last}")
    return Timed(seconds, done.stdout)


@dataclass(frozen=True)
class Median:
    """Medians of a side: wall clock, and CPU time of its processes, which a busy machine does not stretch."""

    seconds: float
    cpu: float


def interleaved(runs: int, sides: Mapping[str, Callable[[], float]]) -> dict[str, Median]:
    """Medians of each side, which returns its seconds. Sides take turns, so that a busy machine slows all of them; the one that
    begins changes."""
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    names = list(sides)
    for run in range(runs):
        start = run % len(names)
        for name in names[start:] + names[:start]:
            before = children_cpu()
            seconds = sides[name]()
            samples[name].append((seconds, children_cpu() - before))
    return {
        name: Median(statistics.median(wall for wall, _ in values), statistics.median(cpu for _, cpu in values))
        for name, values in samples.items()
    }


def children_cpu() -> float:
    """CPU seconds of the processes that this one has collected, with their own."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@dataclass
class Report:
    """Numbers by name, printed as they come."""

    numbers: dict[str, float] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    rivals: dict[str, tuple[float, float | None]] = field(default_factory=dict)

    def section(self, title: str) -> None:
        """A heading, with the load that the machine has right now."""
        print(f"\n{title}   (load average {os.getloadavg()[0]:.1f})", flush=True)

    def note(self, text: str) -> None:
        """A line that is no number."""
        print(f"  {text}", flush=True)

    def seconds(self, name: str, value: float, text: str) -> None:
        """A duration, rounded to milliseconds."""
        self.numbers[name] = round(value, 3)
        print(f"  {name:48} {value:9.2f} s   {text}", flush=True)

    def count(self, name: str, value: float, text: str, *, at_most: float | None = None) -> None:
        """A number of things."""
        self.numbers[name] = value
        print(f"  {name:48} {value:9g}     {text}{self._verdict(name, value, at_most, None)}", flush=True)

    def ratio(
        self,
        name: str,
        value: float,
        text: str,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        rival: float | None = None,
    ) -> None:
        """A ratio with its target, if it has one. RIVAL: how many times as long as Aether a rival takes, for the chart."""
        self.numbers[name] = round(value, 3)
        if rival is not None:
            self.rivals[name] = (rival, at_least)
        print(f"  {name:48} {value:9.2f} x   {text}{self._verdict(name, value, at_most, at_least)}", flush=True)

    def chart(self, width: int = 60) -> Iterator[str]:
        """A bar a rival: how many times as long as Aether it takes. `|` is where both are equal, `>` the target."""
        longest = max((1.0, *(value for value, _ in self.rivals.values())))
        for name, (value, target) in self.rivals.items():
            bar = list(f"{'=' * round(value / longest * width):{width + 1}}")
            for place, mark in ((1.0, "|"), (target or 0, ">")):
                if 0 < place <= longest:
                    bar[round(place / longest * width)] = mark
            yield f"{name:36} {value:5.2f} {''.join(bar).rstrip()}"

    def _verdict(self, name: str, value: float, at_most: float | None, at_least: float | None) -> str:
        if at_most is None and at_least is None:
            return ""
        met = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        if not met:
            self.missed.append(name)
        target = f"at most {at_most:g}" if at_most is not None else f"at least {at_least:g}"
        return f" (target: {target}{'' if met else ', MISSED'})"

    def machine(self) -> None:
        """What the numbers were measured on."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        self.numbers["machine_cores"] = len(os.sched_getaffinity(0))
        self.numbers["machine_memory_gib"] = round(memory, 1)
        self.numbers["machine_load_at_start"] = round(os.getloadavg()[0], 2)
        print(f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, load average {os.getloadavg()[0]:.1f}")

    def write(self, path: Path) -> None:
        """One number a name, as JSON."""
        path.write_text(json.dumps(self.numbers, indent=1, sort_keys=True) + "\n")
