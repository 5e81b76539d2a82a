"""`python -m bench [--json FILE] [NAME…]`: speed as ratios, measured in one run on this machine."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import cold, cpu, evaluation, fleets, gate, homelab, previews, scale
from bench.measure import BenchError, Report
from bench.settings import Run

# In the order in which they share their stacks.
BENCHMARKS: dict[str, tuple[Callable[[Run, Report], None], str]] = {
    "evaluation": (lambda run, report: evaluation.measure(report, run.work), "hosts evaluated after one was touched"),
    "up": (homelab.measure_up, "up of the sim homelab against the longest path of its graph"),
    "program": (homelab.measure_program, "program time before the first resource"),
    "cpu": (cpu.measure, "CPU time of three cheap figures against what they were; the gate asks them, too"),
    "preview": (previews.measure_homelab, "no-change preview of the sim homelab against bare Pulumi and OpenTofu"),
    "preview-vms": (previews.measure_vms, "the same with 100 virtual machines"),
    "whole-small": (fleets.measure_small, "10 hosts from nothing to configured against OpenTofu and Ansible"),
    "whole": (fleets.measure_large, "the same with 50 hosts"),
    "deploys": (fleets.measure_deploys, "50 hosts, no change and one change, against Ansible"),
    "scale": (scale.measure, "300 and 1,000 machines in one stack, against 100; only when it is named"),
    "cold": (cold.measure, "a first `make up` with every cache empty; only when it is named"),
    "gate": (gate.measure, "CPU time of the gate's set-up and tests, by folder; only when it is named"),
}
# Up to half an hour by themselves.
ON_REQUEST = ("scale", "cold", "gate")


def main() -> int:
    """Exit code: 0 measured, 1 a side failed. A missed target is said, and is no failure."""
    options = _parser().parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        print(f"bench: there is no {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 1
    work = Path(tempfile.mkdtemp(prefix="aether-bench-"))
    run = Run(work, options.runs, options.vms, options.hosts, options.small, options.boot_seconds, tuple(options.scale))
    report = Report()
    failed = []
    report.machine()
    # However it ends, its datacentres end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for name, (measure, _) in BENCHMARKS.items():
            if name not in (options.names or BENCHMARKS) or (name in ON_REQUEST and name not in options.names):
                continue
            try:
                measure(run, report)
            except BenchError as error:
                failed.append(name)
                print(f"\nbench: {name} FAILED: {error}", file=sys.stderr, flush=True)
                run.close_all()
    finally:
        run.close_all()
        if options.json:
            report.write(options.json)
        if options.keep:
            print(f"Kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    if report.rivals:
        print("\nHow many times as long as Aether (| as long, > the target)")
        print(*report.chart(), sep="\n")
    if report.missed:
        print(f"\nTargets missed: {', '.join(report.missed)}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog="\n".join(f"  {name:12} {text}" for name, (_, text) in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too, one a name")
    parser.add_argument("--runs", type=int, default=5, help="samples a side (default 5)")
    parser.add_argument("--vms", type=int, default=100, help="machines of preview-vms (default 100)")
    parser.add_argument("--hosts", type=int, default=50, help="hosts of whole and deploys (default 50)")
    parser.add_argument("--small", type=int, default=10, help="hosts of whole-small (default 10)")
    sizes = "machines of scale (default 300 1000)"
    parser.add_argument("--scale", type=int, nargs="+", default=[300, 1000], metavar="N", help=sizes)
    parser.add_argument("--boot-seconds", type=float, default=10.0, help="how long guests of whole boot (default 10)")
    parser.add_argument("--keep", action="store_true", help="keep the working folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
