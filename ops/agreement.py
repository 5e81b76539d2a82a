"""Nothing happens to a real stack that nobody agreed to: preview, then ask; and what would be lost has to be named."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops import plan
from ops.stack import OpsError, Stack


@dataclass(frozen=True)
class Agreement:
    """What the operator's words say beforehand."""

    yes: bool = False
    plan: Path | None = None
    replace: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Agreement":
        return cls(options.yes, getattr(options, "plan", None), tuple(options.replace or ()), tuple(options.delete or ()))


def add_options(parser: argparse.ArgumentParser, *, whole: bool = False) -> None:
    """The options of a command that changes things; WHOLE: it destroys a stack."""
    group = parser.add_argument_group("agreement, asked for on stacks that are not simulated")
    if whole:
        group.add_argument("-y", "--yes", action="store_true", help="do not ask; wants --delete STACK")
        group.add_argument("--delete", action="append", metavar="STACK", help="the whole stack, by name, may be destroyed")
        group.set_defaults(replace=None)
        return
    group.add_argument("-y", "--yes", action="store_true", help="do not ask; wants --plan")
    group.add_argument("--plan", type=Path, metavar="FILE", help="do what this plan of `preview --save-plan` says, or nothing")
    group.add_argument("--replace", action="append", metavar="HOST", help="its guest may be replaced; may be repeated")
    group.add_argument("--delete", action="append", metavar="HOST", help="its guest may be destroyed; may be repeated")


def guarded(stack: Stack) -> bool:
    """Whether losses have to be named: always on a real stack, on a simulated one where a test wants it."""
    return not stack.simulated or bool(os.environ.get("AETHER_GUARD"))


def agree_to_up(stack: Stack, words: Agreement, arguments: Sequence[str], say: Callable[[str], None]) -> list[plan.Step] | None:
    """Preview, show, and have it agreed to. The steps, or None where nobody has to agree.

    Raises:
        OpsError: nobody agreed; nothing was changed.
    """
    if not guarded(stack) and words.plan is None:
        return None
    if words.yes and words.plan is None and not stack.simulated:
        raise OpsError(f"--yes agrees to a plan. {_plan_first(stack)}")
    from ops.review import preview_steps, render

    say(f"Looks at what would change on {stack.name} …")
    steps = preview_steps(stack, *arguments)
    say(render(steps, stack.name))
    if words.plan is not None:
        plan.compare(words.plan, stack.name, steps)
    if not plan.changing(steps):
        return steps
    terminal = sys.stdin.isatty()
    _named(plan.unnamed(plan.losses(steps), replace=words.replace, delete=words.delete), terminal=terminal)
    if words.yes or stack.simulated:
        return steps
    if not terminal:
        raise OpsError(f"Nothing was changed: there is no terminal to ask at. {_plan_first(stack)}")
    if input(f"Do this on {stack.name}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise OpsError("Nothing was changed.")
    return steps


def agree_to_down(stack: Stack, words: Agreement, say: Callable[[str], None]) -> None:
    """Have the end of the whole stack agreed to, by its name.

    Raises:
        OpsError: nobody agreed; nothing was changed.
    """
    if not guarded(stack) or stack.name in words.delete:
        return
    steps = [{"op": "delete", "urn": str(item["urn"]), "oldState": item} for item in stack.resources()]
    for loss in plan.losses(steps):
        say(f"  {loss}")
    if not sys.stdin.isatty():
        raise OpsError(
            f"Nothing was changed: all of {stack.name} would be destroyed. "
            f"Fix: make down STACK={stack.name} ARGS='--yes --delete {stack.name}'"
        )
    if input(f"All of {stack.name} is destroyed. Type its name to do so: ").strip() != stack.name:
        raise OpsError("Nothing was changed.")


def _named(missing: Sequence[plan.Loss], *, terminal: bool) -> None:
    if not missing:
        return
    print("\n".join(str(loss) for loss in missing), flush=True)
    if not terminal:
        words = " ".join(dict.fromkeys(f"--{loss.option} {loss.name}" for loss in missing))
        raise OpsError(f"Nothing was changed: what would be lost has to be named. Fix, if it is meant: ARGS='{words}'")
    for name in dict.fromkeys(loss.name for loss in missing):
        if input(f"Type {name} to have it so: ").strip() != name:
            raise OpsError("Nothing was changed.")


def _plan_first(stack: Stack) -> str:
    return (
        f"Fix: make preview STACK={stack.name} ARGS='--save-plan FILE', look at it, "
        f"then make up STACK={stack.name} ARGS='--yes --plan FILE'"
    )
