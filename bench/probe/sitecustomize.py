"""Writes when a Pulumi program registered its first resource. On PYTHONPATH of the engine; Python imports it at every start.

AETHER_BENCH_PROBE: file that gets the seconds from the interpreter's start, those of them that it computed, and the calls that
it made: 0 unless AETHER_BENCH_CALLS is set, for to count takes longer than to call. The stack itself, registered by the SDK
before the program is read, does not count.
"""

import cProfile
import importlib.abc
import importlib.util
import os
import sys
import time
from pathlib import Path
from typing import Any

TARGET = "pulumi.runtime.resource"
COUNTER = cProfile.Profile()


def since_start() -> float:
    """Seconds since the kernel started this process (its clock counts in hundredths)."""
    fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def calls() -> int:
    """Calls of functions that COUNTER saw, of Python's own in C, too."""
    return sum(entry.callcount for entry in COUNTER.getstats())


class Watch(importlib.abc.MetaPathFinder):
    """Wraps register_resource of the SDK as soon as its module is there."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != TARGET:
            return None
        sys.meta_path.remove(self)
        spec: Any = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            run(module)
            register = module.register_resource

            def watched(resource: Any, kind: str, *arguments: Any, **options: Any) -> Any:
                probe = Path(os.environ["AETHER_BENCH_PROBE"])
                if kind != "pulumi:pulumi:Stack" and not probe.exists():
                    COUNTER.disable()
                    probe.write_text(f"{since_start():.3f} {time.process_time():.3f} {calls()}")
                return register(resource, kind, *arguments, **options)

            module.register_resource = watched

        spec.loader.exec_module = exec_module
        return spec


if "AETHER_BENCH_PROBE" in os.environ:
    sys.meta_path.insert(0, Watch())
    if "AETHER_BENCH_CALLS" in os.environ:
        COUNTER.enable()
