"""What `aether doctor` asks each Proxmox node over SSH: whether it answers, its clock, names and disk. Nothing is changed."""

import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

from inventory.files import REPOSITORY
from inventory.load import Inventory
from ops import hosts
from ops.finding import Finding
from ops.stack import Stack
from stacks.live import ask

QUESTIONS = Path(__file__).with_name("node-facts.sh")
CLOCK = 30
"""Seconds by which a clock may differ: certificates that were made a moment ago have to be valid there."""
LEAST = 2
"""GiB free on a node's root disk: packages, logs, and what an upload is written to first."""

Ask = Callable[[str], "CompletedProcess[str]"]
"""Run the questions on a node."""


def examine(stack: Stack, inventory: Inventory, asks: Ask | None = None) -> Iterator[Finding]:
    """Every node, all asked at once."""
    config = hosts.ssh_config(stack.name)
    if asks is None and not config.exists():
        state = "not looked at: no preview has written the client configuration"
        yield Finding("SSH to the nodes", state, f"make preview STACK={stack.name}")
        return
    command = f"bash -c {shlex.quote(QUESTIONS.read_text())}"

    def over_ssh(name: str) -> "CompletedProcess[str]":
        return ask(str(config), name, command)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(asks or over_ssh, inventory.nodes))
    now = time.time()
    for name, answer in zip(inventory.nodes, answers, strict=True):
        if answer.returncode:
            said = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
            yield Finding(f"SSH to {name}", said, f"ssh -F {config.relative_to(REPOSITORY)} {name}")
            continue
        yield Finding(f"SSH to {name}", "answers, with its pinned key")
        facts = dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
        yield from of_node(name, facts, now, simulated=stack.simulated)


def of_node(name: str, facts: Mapping[str, str], now: float, *, simulated: bool) -> Iterator[Finding]:
    """What the FACTS that NAME said of itself mean; NOW is this machine's time, in seconds since 1970."""
    off = round(float(facts["time"]) - now) if facts.get("time", "").isdigit() else 0
    clock = f"clock of {name}"
    if abs(off) > CLOCK:
        direction = "ahead of" if off > 0 else "behind"
        yield Finding(clock, f"{abs(off)} s {direction} this machine's", f"chronyc makestep on the one that is wrong; {_SYNC}")
    elif facts.get("synchronized") == "no":
        yield Finding(clock, "right now, and kept so by nobody", f"on {name}: {_SYNC}")
    else:
        yield Finding(clock, f"within {CLOCK} s of this machine's")
    # A simulated node has the names of the machine that it runs on, which may have none.
    if facts.get("mirror") and not simulated:
        found = facts.get("resolves") == "yes"
        state = f"{facts['mirror']} {'is found' if found else 'is not found: no package can be installed'}"
        yield Finding(f"names on {name}", state, "" if found else f"on {name}: pvesh set /nodes/{name}/dns --dns1 ADDRESS")
    free = int(facts.get("free") or 0) // 2**20
    if "free" in facts:
        fix = f"on {name}: apt clean; journalctl --vacuum-size=200M; du -xh / | sort -h | tail" if free < LEAST else ""
        yield Finding(f"disk of {name}", f"{free} GiB free on /", fix)


_SYNC = "apt install chrony; systemctl enable --now chrony"
