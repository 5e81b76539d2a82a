"""The command line of `make image`."""

import argparse
from pathlib import Path

from inventory.files import REPOSITORY
from ops.image import bootc
from ops.image.bootc import atomic
from ops.image.builder import Builder
from ops.image.dist import FORMATS


def image(arguments: list[str]) -> int:
    """The command: returns its exit code; raises OpsError with what to do."""
    options = _parser().parse_args(arguments)
    # Nix runs in the repository. A link stays one: what it leads to may not be mounted.
    dist = options.dist.expanduser().absolute()
    if host := atomic(options.host):
        return bootc.build(host, options.format, dist, say, go=not options.no_run)
    return Builder(dist, say).make(options.host, options.format, plain=options.plain, run=not options.no_run)


def say(line: str) -> None:
    """In order with what programs write, also into a pipe."""
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aether image",
        description="Build an image of a host.",
        epilog="aether image publish HOST: bring a built raw image to AWS, and pin it (--help says more)",
    )
    parser.add_argument("host", help="host of the inventory (NixOS, Fedora Atomic), local-vm or local-server")
    parser.add_argument("format", choices=FORMATS, help="what to build")
    parser.add_argument("--plain", action="store_true", help="accept a disk without the host's encryption")
    parser.add_argument("--no-run", action="store_true", help="build a vm, but do not boot it; an Atomic host's: say the command")
    parser.add_argument("--dist", type=Path, default=REPOSITORY / "dist", help="where results go")
    return parser
