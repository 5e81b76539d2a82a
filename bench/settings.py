"""Sizes of a run, and the folder that it works in."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from bench.fleet import Fleet
from bench.stack import BenchStack


@dataclass
class Run:
    """One run of the benchmarks; stacks that it opened are closed at its end."""

    work: Path
    runs: int = 5
    vms: int = 100
    hosts: int = 50
    small: int = 10
    boot_seconds: float = 10.0
    scale: tuple[int, ...] = (300, 1000)
    stacks: dict[str, BenchStack] = field(default_factory=dict)

    def stack(self, name: str, fleet: Fleet | None = None) -> BenchStack:
        """The stack of that name, with nothing on it yet when it is new."""
        if name not in self.stacks:
            path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.work))
            self.stacks[name] = BenchStack(path, fleet)
        return self.stacks[name]

    def close(self, name: str) -> None:
        """Stop a stack whose numbers are taken: the next one needs the machine."""
        if name in self.stacks:
            self.stacks.pop(name).close()

    def close_all(self) -> None:
        for name in list(self.stacks):
            self.close(name)
