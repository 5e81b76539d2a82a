"""One function a command: what it does with the stack, and its exit code."""

import getpass
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

from inventory.files import REPOSITORY
from ops import agreement, plan, tasks, unreachable, waves
from ops.arguments import IN_PART, TARGETS, engine_parser, nothing, parser
from ops.events import Event, steps_of
from ops.fleet import inventory_of, out
from ops.guests import followed
from ops.orders import leaving as orders
from ops.progress import ProgressPrinter
from ops.runs import recorded
from ops.stack import SIMULATED, OpsError, Stack
from ops.status.command import status


def up(stack: Stack, arguments: list[str]) -> int:
    """Bring the stack to what the repository says, then show its hosts."""
    made = engine_parser("up", up)
    agreement.add_options(made)
    waves.add_option(made)
    options = made.parse_args(arguments)
    later = waves.up_to(stack, options.wave, options.passed)
    started, since = time.monotonic(), time.time()
    _prepare(stack)
    for line in followed(stack):
        out.print(line)
    tasks.wait(stack, inventory_of(stack), out.print)
    passed = [*_read_back(stack, options.passed), *options.passed, *later]
    silent = _leave_out(stack, passed)
    steps = agreement.agree_to_up(stack, agreement.Agreement.of(options), passed, out.print)
    if steps is None:
        _try_in_part(stack, passed)
    with recorded(stack, "up"):
        stack.run_with_progress(
            _progress_printer(stack, steps),
            "up",
            "--yes",
            "--skip-preview",
            "--suppress-outputs",
            # A host that fails stops those that depend on it, and no other.
            "--continue-on-error",
            # The state's history has the commit by itself; with this also who deployed it.
            "--message",
            f"up by {getpass.getuser()}@{socket.gethostname()}",
            *_options(stack),
            *passed,
            wait=options.wait,
        )
    for line in tasks.warnings(stack, inventory_of(stack), since):
        out.print(line)
    unordered = _leave_orders(stack, silent, [*options.passed, *later]) if silent else []
    out.print(f"\nDone in {time.monotonic() - started:.0f} s.\n")
    status(stack, [])
    out.print(
        f"\nNext: make preview (what a change would do), make status, make topology, make down."
        f"\n      ssh -F .aether/ssh/{stack.name}/config {_example(stack)}   docs/runbook.md   {inventory_of(stack).path}"
        if stack.simulated
        else ""
    )
    if silent and silent.down:
        out.print(f"Not done: {unreachable.said(inventory_of(stack), silent.down)}.")
    for line in unordered:
        out.print(f"Not done: {line}", markup=False)
    return 1 if unordered or (silent and silent.down) else 0


def _try_in_part(stack: Stack, passed: list[str]) -> None:
    """Preview an `up` of a part of the stack that nobody has looked at: one that the engine gives up in its midst can leave a
    state that it refuses from then on.
    """
    from ops.review import preview_steps

    if IN_PART.intersection(passed):
        preview_steps(stack, *passed)


def _leave_orders(stack: Stack, silent: unreachable.Silent, words: list[str]) -> list[str]:
    """Leave hosts that are away their orders; not those that WORDS, options of the engine's, leave out, nor those whose
    dependencies did not change either. What could not be done.
    """
    inventory = inventory_of(stack)
    patterns = [word for option, word in pairwise(words) if option == "--exclude"]
    behind = {*silent.away, *unreachable.on(inventory, silent.down)}
    out_of_turn = {
        name
        for name, host in inventory.managed(stack.phase).items()
        if behind & set(host.depends_on) or any(fnmatch(f"urn::{name}", pattern) for pattern in patterns)
    }
    return orders.leave(stack, inventory, silent.away, out_of_turn, out.print)


def _leave_out(stack: Stack, passed: list[str]) -> unreachable.Silent | None:
    """What does not answer, said; adds to PASSED what leaves it out. None where targets are named: the engine takes no exclusions
    beside those.
    """
    if TARGETS & set(passed):
        return None
    inventory = inventory_of(stack)
    silent = unreachable.silent(stack, inventory)
    if silent.away:
        for line in orders.said_of_away(inventory, silent.away):
            out.print(f"{line}.", markup=False)
        passed += unreachable.left_out(unreachable.homes_of(silent.away))
    if silent.down:
        out.print(f"{unreachable.said(inventory, silent.down)}.")
        passed += unreachable.exclusions(inventory, silent.down)
        os.environ[unreachable.ENVIRONMENT] = ",".join(silent.down)
    return silent


def _example(stack: Stack) -> str:
    """A host to look at: the gateway where there is one."""
    inventory = inventory_of(stack)
    gateway = inventory.cloud.gateway if inventory.cloud else "gateway"
    return gateway if gateway in inventory.hosts else next(iter(inventory.managed()), "HOST")


def preview(stack: Stack, arguments: list[str]) -> int:
    """What `up` would change, and what inside hosts: packages, units, ports, the roles and facts of a playbook."""
    made = engine_parser("preview", preview)
    how = made.add_mutually_exclusive_group()
    how.add_argument("--save-plan", type=Path, metavar="FILE", help="write it there, for `up --plan FILE`")
    how.add_argument(
        "--json", action="store_true", help="for programs: what changes, inside hosts too, what reboots, what is lost"
    )
    waves.add_option(made)
    options = made.parse_args(arguments)
    later = waves.up_to(stack, options.wave, options.passed)
    _prepare(stack, quiet=options.json)
    if options.json:
        from ops.review import preview_steps, summary

        refresh = ["--refresh"] if stack.to_read_back(options.passed) else []
        sys.stdout.write(
            json.dumps(summary(preview_steps(stack, *refresh, *options.passed, *later), stack.name), indent=2) + "\n"
        )
        return 0
    passed = [*_read_back(stack, options.passed), *options.passed, *later]
    if options.save_plan:
        from ops.review import preview_steps, render

        steps = preview_steps(stack, *passed)
        out.print(render(steps, stack.name))
        plan.save(options.save_plan, stack.name, steps)
        out.print(f"Then: make up STACK={stack.name} ARGS='--plan {options.save_plan}' (with --yes, nobody is asked)")
        return 0
    events: list[Event] = []
    code = stack.hear(events.append, "preview", "--diff", *_options(stack), *passed)
    steps = [step for step in steps_of(events) if step["op"] != "same"]
    if code == 0 and steps:
        from ops.contents import content_differences
        from ops.review import reboots

        for notice in reboots(steps):
            out.print(f"\n{notice}")
        for line in _away_now(stack, steps):
            out.print(f"\n{line}", markup=False)
        for host, what in content_differences(steps).items():
            out.print(f"\n{host}:\n{textwrap.indent(what, '  ')}")
    return code


def _away_now(stack: Stack, steps: list[plan.Step]) -> list[str]:
    """What is to be said of hosts that STEPS change and that are away now."""
    inventory = inventory_of(stack)
    return orders.said_of_away(inventory, unreachable.away(stack, inventory, orders.foreseen(stack, inventory, steps)))


def refresh(stack: Stack, arguments: list[str]) -> int:
    """Read the real state of every resource into the stack's."""
    options = engine_parser("refresh", refresh).parse_args(arguments)
    _prepare(stack)
    command = ["refresh", "--yes", "--skip-preview", "--suppress-outputs", *_options(stack), *options.passed]
    stack.run_with_progress(_progress_printer(stack), *command, wait=options.wait)
    return 0


def down(stack: Stack, arguments: list[str]) -> int:
    """Destroy the stack; of a simulated one nothing is left, and the simulator stops with the last."""
    made = engine_parser("down", down)
    agreement.add_options(made, whole=True)
    options = made.parse_args(arguments)
    passed = options.passed
    agreement.agree_to_down(stack, agreement.Agreement.of(options), out.print)
    if stack.exists() and stack.resources():
        _prepare(stack)
        stack.run_with_progress(
            _progress_printer(stack),
            "destroy",
            "--yes",
            "--skip-preview",
            "--suppress-outputs",
            "--continue-on-error",
            *_options(stack),
            *passed,
            wait=options.wait,
        )
    if not stack.simulated:
        return 0
    others = [Stack(name) for name in SIMULATED if name != stack.name]
    if any(other.exists() and other.resources() for other in others):
        out.print("The simulator goes on: another stack is on it.")
        return 0
    return _sim("stop")


def test(stack: Stack, arguments: list[str]) -> int:
    """Every test, in several processes: much of a deployment is waiting. What else is given goes to pytest."""
    _, arguments = parser("test", test).parse_known_args(arguments)
    _refuse_in_a_fleet()
    code = lint(stack, [])
    if code:
        return code
    parallel = ["--numprocesses", str(min(6, 2 + (os.cpu_count() or 1))), "--dist", "loadscope", "--no-loadscope-reorder"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *parallel, *arguments], cwd=REPOSITORY, env=stack.environment(), check=False
    ).returncode


def lint(stack: Stack, arguments: list[str]) -> int:
    """Ruff, mypy and shellcheck."""
    nothing("lint", lint, arguments)
    _refuse_in_a_fleet()
    scripts = [
        str(path) for folder in ("components", "packages", "image", "nix", "home", "ops") for path in Path(folder).rglob("*.sh")
    ]
    for command in (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["shellcheck", "-x", *scripts],
    ):
        if subprocess.run([str(REPOSITORY / ".venv/bin" / command[0]), *command[1:]], cwd=REPOSITORY, check=False).returncode:
            return 1
    return 0


def _refuse_in_a_fleet() -> None:
    """A fleet's repository has neither tests nor what they run on."""
    if not (REPOSITORY / "tests").exists():
        raise OpsError("The tests are Aether's own. Here: ./aether inventory check, ./aether secrets check, make preview")


def _prepare(stack: Stack, *, quiet: bool = False) -> None:
    """The inventory is read first: what is wrong with it is said before anything runs, and without the engine's words around it.
    A simulated stack needs its simulator, its state and no lock of a killed engine.
    """
    inventory_of(stack)
    if stack.simulated:
        if _sim("start", "--stack", stack.name, *(["--quiet"] if quiet else [])):
            raise OpsError("the simulator did not start (above)")
        stack.ensure()
        stack.refer()
        stack.heal()


def _progress_printer(stack: Stack, steps: list[plan.Step] | None = None) -> ProgressPrinter:
    nodes = {name: str(getattr(host, "node", None) or "") for name, host in inventory_of(stack).hosts.items()}
    return ProgressPrinter(nodes, planned=plan.counts(steps or []))


def _sim(*arguments: str) -> int:
    return subprocess.run([REPOSITORY / "aether", "sim", *arguments], check=False).returncode


def _options(stack: Stack) -> list[str]:
    # Deployments wait far more than they compute: the engine's default of four a core would make hosts queue.
    return ["--parallel", "64"] if stack.simulated else []


def _read_back(stack: Stack, arguments: list[str]) -> list[str]:
    """What makes the engine read back first what an earlier command left half-done; says so."""
    names = stack.to_read_back(arguments)
    if not names:
        return []
    out.print(f"An earlier change of {', '.join(names)} broke off: what is there is read back first.")
    return ["--refresh"]


def review(stack: Stack, arguments: list[str]) -> int:
    """The change as Markdown, for a merge request: what happens to each host, what is replaced and why, what is risky."""
    from ops import comments
    from ops.review import evaluation, review_of

    made = parser("review", review)
    how = made.add_mutually_exclusive_group()
    how.add_argument("--output", type=Path, metavar="FILE", help="write it there (default: print it)")
    how.add_argument("--post", action="store_true", help="in a pipeline: make it a comment of the merge request, or change that")
    made.add_argument(
        "--evaluation", action="store_true", help="without state and secrets, for forks: hosts that change, and policies"
    )
    made.add_argument("--base", default="origin/main", metavar="REVISION", help="of --evaluation; default origin/main")
    options = made.parse_args(arguments)
    # Where it goes is asked first: a preview takes its time.
    place = comments.place() if options.post else None
    if options.evaluation:
        text = evaluation(stack, options.base)
    else:
        _prepare(stack, quiet=True)
        text = review_of(stack)
    if place:
        out.print(f"The review's comment was {comments.post(text, stack.name, place)}.")
    elif options.output:
        options.output.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


def changed(stack: Stack, arguments: list[str]) -> int:
    """NixOS hosts whose sources differ from a git revision's (--base REVISION, default origin/main); --build builds them."""
    from ops.changed import build, changed_hosts

    made = parser("changed", changed)
    made.add_argument("--base", default="origin/main", metavar="REVISION")
    made.add_argument("--build", action="store_true")
    options = made.parse_args(arguments)
    found = changed_hosts(options.base)
    out.print("\n".join(found) or "No host changes.")
    return build(found.values()) if options.build and found else 0


def image(stack: Stack, arguments: list[str]) -> int:
    from ops.image import command

    if arguments[:1] == ["publish"]:
        from ops.image.publish import publish

        return publish(stack, arguments[1:], command.say)
    return command.image(arguments)
