"""Waves of a stack's hosts: which there are, for people and for pipelines, and a deployment up to one of them."""

import argparse
import json

from inventory.problems import did_you_mean
from ops import unreachable
from ops.arguments import TARGETS, parser
from ops.fleet import inventory_of, out
from ops.stack import OpsError, Stack
from stacks.rollout import Wave
from stacks.rollout import waves as waves_of


def waves(stack: Stack, arguments: list[str]) -> int:
    """The waves in which changed hosts are touched, by [rollout] of the inventory; `up --wave NAME` ends with one of them."""
    made = parser("waves", waves)
    made.add_argument("--json", action="store_true", help="a list of their names, for the matrix of a pipeline")
    made.add_argument("--each", action="store_true", help="with --json: each with its hosts")
    options = made.parse_args(arguments)
    found = _waves(stack)
    if options.json:
        each = [{"wave": wave.name, "hosts": wave.hosts} for wave in found]
        out.print(json.dumps(each if options.each else [wave.name for wave in found]))
        return 0
    soak = inventory_of(stack).rollout.soak
    for number, wave in enumerate(found):
        out.print(f"{wave.name:>6}  {', '.join(wave.hosts) or '(no host of this phase)'}")
        if number == 0 and soak:
            out.print(f"        watched for {soak} s after a change")
    return 0


def add_option(made: argparse.ArgumentParser) -> None:
    made.add_argument("--wave", metavar="NAME", help="up to this one (./aether waves); hosts of later waves stay as they are")


def up_to(stack: Stack, wave: str | None, passed: list[str]) -> list[str]:
    """Options of the engine's that leave the hosts of later waves than WAVE alone; none where there is no later one.

    Raises:
        OpsError: the inventory has no such wave, or PASSED names what to deploy already.
    """
    if wave is None:
        return []
    found = _waves(stack)
    names = [item.name for item in found]
    if wave not in names:
        file, hint = inventory_of(stack).path, "" if len(names) > 1 else ', or strategy = "waves" below [rollout]'
        listed = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
        raise OpsError(f"{file}: there is no wave '{wave}'{did_you_mean(wave, names)}. Fix: write --wave {listed}{hint}")
    if TARGETS & set(passed):
        raise OpsError("--wave and --target both say what is deployed. Fix: leave one of them out")
    later = [host for item in found[names.index(wave) + 1 :] for host in item.hosts]
    return unreachable.left_out(unreachable.homes_of(later)) if later else []


def _waves(stack: Stack) -> list[Wave]:
    return waves_of(inventory_of(stack), stack.phase)
