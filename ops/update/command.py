"""`aether update`: newer pins for the repository's files."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from inventory.files import REPOSITORY, write_whole
from ops.arguments import parser
from ops.fleet import inventory_of
from ops.stack import Stack
from ops.update.containers import container_images
from ops.update.flake import flake_inputs
from ops.update.machine_images import machine_images
from ops.update.pins import Found, markdown
from ops.update.python_pins import python_pins, uv


def update(stack: Stack, arguments: list[str]) -> int:
    """Write newer pins into the repository's files, and nothing else: inputs of the flake, container images by digest, images of
    machines at AWS, Python packages. A review says what they change in which host; Renovate does the rest (Go, actions).
    """
    made = parser("update", update)
    made.add_argument("sources", nargs="*", metavar="SOURCE", help=f"{', '.join(SOURCES)} (default: all)")
    made.add_argument("--check", action="store_true", help="look and write nothing; exit code 1 where something is newer")
    made.add_argument("--output", type=Path, metavar="FILE", help="the table there, too: a merge request's text")
    options = made.parse_args(arguments)
    if unknown := [source for source in options.sources if source not in SOURCES]:
        made.error(f"there is no {', '.join(unknown)}. There are: {', '.join(SOURCES)}")
    # crane is the engine's.
    os.environ["PATH"] = stack.environment()["PATH"]
    found = Found()
    for source, (look, what) in SOURCES.items():
        if source in (options.sources or SOURCES):
            print(f"looks for {what} …", file=sys.stderr, flush=True)
            found.add(look(stack, not options.check))
    text = markdown(found, written=not options.check)
    print(text, end="")
    if options.output:
        write_whole(options.output, text)
    if options.check:
        return 1 if found.newer else 0
    if found.newer:
        print(f"\nThen: ./aether -s {stack.name} review, and `up` of staging first (docs/day-two.md)")
    return 0


def _flake(_: Stack, write: bool) -> Found:
    return flake_inputs(REPOSITORY, shutil.which("nix") or "nix", write=write)


def _containers(_: Stack, write: bool) -> Found:
    return container_images(REPOSITORY, write=write)


def _machines(stack: Stack, write: bool) -> Found:
    return machine_images(inventory_of(stack), write=write)


def _python(stack: Stack, write: bool) -> Found:
    return python_pins(REPOSITORY, uv(), stack.environment(), write=write)


SOURCES: dict[str, tuple[Callable[[Stack, bool], Found], str]] = {
    "flake": (_flake, "newer inputs of the flake"),
    "containers": (_containers, "newer container images"),
    "machines": (_machines, "newer machine images"),
    "python": (_python, "newer Python packages"),
}
