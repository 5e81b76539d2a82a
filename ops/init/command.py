"""`aether init`: a repository of the owner's own."""

import os
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from inventory.files import REPOSITORY
from ops.arguments import parser
from ops.init import questions
from ops.init.make import check_target, make, uncommitted
from ops.stack import OpsError, Stack
from ops.upstream import PIN

CALLER = "AETHER_CALLER"
"""Folder that ./aether was called in: it goes to the checkout's own."""


def init(stack: Stack, arguments: list[str]) -> int:
    """Make a repository of your own that uses Aether: a minimal fleet (one node, one container, one virtual machine), with keys
    and secrets that are yours, settings of a simulated and of the real fleet, and the way to newer versions of Aether
    (`upgrade`).

    It asks; every question has a default, and says what is wrong with an answer. Nothing is made before the last one, and
    DIRECTORY is there whole or not at all."""
    made = parser("init", init)
    made.add_argument("directory", nargs="?", type=Path, metavar="DIRECTORY", help="a folder that is empty, or not there")
    made.add_argument(
        "--answers", type=Path, metavar="FILE", help="answers (TOML) instead of questions; the rest has its default"
    )
    made.add_argument("--questions", action="store_true", help="print every question with its default as such a file")
    made.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="your private key for secrets, age or SSH (default: sops' own, made where there is none)",
    )
    options = made.parse_args(arguments)
    if options.questions:
        print(questions.as_file(), end="")
        return 0
    if options.directory is None:
        raise OpsError("DIRECTORY is missing. Fix: ./aether init ../homelab")
    if (REPOSITORY / PIN).exists():
        raise OpsError(f"{REPOSITORY} is a fleet's repository. Fix: run it in a clone of Aether")
    target = Path(os.path.normpath(_caller() / options.directory.expanduser()))
    signal.signal(signal.SIGTERM, _stop)
    try:
        check_target(target)
        answers = _answers(options.answers)
        if uncommitted(REPOSITORY):
            print(f"Changes of {REPOSITORY} that are not committed are left out.")
        key_file = _caller() / options.key_file.expanduser() if options.key_file else None
        notices = make(target, answers, REPOSITORY, key_file, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("\nInterrupted: nothing was made.", file=sys.stderr)
        return 130
    print(f"\n{target} is a git repository with your fleet.")
    print("\n".join(notices))
    print(f"\nNext:\n  cd {shlex.quote(str(options.directory))}\n  make up                    the fleet on a simulated node\n"
          "  docs/getting-started.md    the way to your own Proxmox")  # fmt: skip
    return 0


def _answers(file: Path | None) -> questions.Answers:
    if file is not None:
        return questions.read_file(Path(os.path.normpath(_caller() / file.expanduser())))
    if not sys.stdin.isatty():
        raise OpsError("No terminal to ask at. Fix: ./aether init --questions > answers.toml, then --answers answers.toml")
    with suppress(ImportError):
        import readline  # noqa: F401  (the line can be edited, and Ctrl-C is heard at any moment)
    print("A few questions; Enter takes what is in brackets. Ctrl-C leaves everything as it is.\n")
    try:
        return questions.ask(input, print)
    except EOFError:
        raise KeyboardInterrupt from None


def _caller() -> Path:
    return Path(os.environ.get(CALLER) or Path.cwd())


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
