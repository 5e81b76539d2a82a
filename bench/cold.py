"""A first `make up`: from a fresh clone, with every cache empty."""

from __future__ import annotations

import os
import re
import subprocess
import time

from bench.gate import adopting, cpu_seconds
from bench.measure import BenchError, Report
from bench.settings import Run
from inventory.files import REPOSITORY

MINUTES, CPU_MINUTES = 9, 14
# What keeps something between two first starts, each by the variable that moves it.
CACHES = {
    "AETHER_CACHE": "aether",
    "XDG_CACHE_HOME": "cache",
    "GOCACHE": "go-build",
    "GOMODCACHE": "go-mod",
    "UV_CACHE_DIR": "uv",
}
_DONE = re.compile(r"^engine: building (\S+ \S+): done in (\d+) s$", re.MULTILINE)
_DURATION = re.compile(r"^Duration: (?:(\d+)m)?(\d+)s$", re.MULTILINE)


def measure(run: Run, report: Report) -> None:
    """Clone what is committed, start it, and say where the time went; the simulator is ended afterwards."""
    report.section("Cold: a first `make up` from a fresh clone, nothing cached")
    clone, log = run.work / "clone", run.work / "cold.log"
    subprocess.run(["git", "clone", "-q", str(REPOSITORY), str(clone)], check=True)
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("AETHER_", "PULUMI_", "VIRTUAL_ENV", "MAKE"))
    }
    env |= {name: str(run.work / "caches" / folder) for name, folder in CACHES.items()}
    begun = time.monotonic()
    try:
        with adopting():
            spent = cpu_seconds(["make", "up"], log, cwd=clone, env=env, codes=(0,))
        seconds = time.monotonic() - begun
        text = log.read_text()
    finally:
        # Go's modules cannot be written to, not by their owner either.
        subprocess.run(["chmod", "-R", "u+w", str(run.work / "caches")], check=False, capture_output=True)
    report.ratio("cold_minutes", seconds / 60, "minutes", at_most=MINUTES)
    report.ratio("cold_cpu_minutes", spent / 60, "minutes of CPU time", at_most=CPU_MINUTES)
    for part, took in sorted(_DONE.findall(text), key=lambda found: -int(found[1])):
        report.note(f"{took:>5} s  building {part}")
    if not (last := _DURATION.findall(text)):
        raise BenchError(f"it printed no duration of the deployment: {log}")
    minutes, rest = last[-1]
    report.seconds("cold_up_seconds", int(minutes or 0) * 60 + int(rest), "the deployment itself")
