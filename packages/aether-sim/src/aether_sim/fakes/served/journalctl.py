"""journalctl and logger of a simulated host.

Imitates journalctl(1) of systemd 257: -u, -n, --no-pager; and logger(1) of util-linux with -t, -p and words. The journal holds
what units and the service manager wrote since the simulator started. What else they can is refused.
"""

from __future__ import annotations

import time

from aether_sim.fakes.host.simlib import options
from aether_sim.hosts import units
from aether_sim.hosts.agent import Refused
from aether_sim.hosts.host import Call


async def run(call: Call) -> int:
    """Print journal lines."""
    given, _ = options(call.argv[1:], "-u/--unit -n/--lines")
    if unknown := set(given) - {"-u", "-n", "--no-pager"}:
        raise Refused(f"journalctl: {min(unknown)} is not simulated")
    names = [units.with_suffix(name) for name in given.get("-u", [])]
    entries = call.host.services.lines([*names, *(name.removesuffix(".service") + ".timer" for name in names)])
    for entry in entries[-int(given.get("-n", ["0"])[-1]) :]:
        stamp = time.strftime("%b %d %H:%M:%S", time.gmtime(entry.when))
        call.out(f"{stamp} {call.host.name} {entry.source}[1]: {entry.message}")
    return 0


async def logger(call: Call) -> int:
    """Write its words to the journal."""
    given, words = options(call.argv[1:], "-t/--tag -p/--priority", first=True)
    if not words:
        raise Refused("logger: reading its input is not simulated")
    call.host.services.log("", " ".join(words), given.get("-t", ["root"])[-1])
    return 0
