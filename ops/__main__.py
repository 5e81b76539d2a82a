# PYTHON_ARGCOMPLETE_OK
"""One command for everything: a stack, its hosts, the inventory and the simulator."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from inventory.environment import enter

enter("ops")

from inventory.files import REPOSITORY  # noqa: E402
from inventory.load import InventoryError  # noqa: E402
from inventory.problems import did_you_mean, explained  # noqa: E402
from ops.stack import OpsError, Stack  # noqa: E402

# Its module in ops/, imported when it is asked for: with what all of them import, a preview would take a tenth longer. Its
# function, where that has another name.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init.command", "DIRECTORY: a repository of your own that uses Aether, with a minimal fleet"),
    "up": ("commands", "provision and configure everything"),
    "preview": ("commands", "what `up` would change"),
    "waves": ("waves", "in which waves changed hosts are touched; --json: for the matrix of a pipeline"),
    "refresh": ("commands", "read the real state of every resource into the stack"),
    "status": (
        "status.command",
        "every host and what is wrong with it: a table, --json, --watch, a page by --serve or --export",
    ),
    "down": ("commands", "destroy the stack, and stop the simulator"),
    "doctor": ("examine", "what the stack needs around it, looked at and never changed"),
    "drift": ("drift", "hosts that run something else than was deployed; --fix: deploy those again"),
    "rollback": ("fleet", "HOST: back to the system before"),
    "reboot": ("fleet", "HOST: reboot, and prove that it came back well"),
    "follow": ("guests", "have the state follow guests that were moved by hand or by HA"),
    "move": ("guests", "HOST [NODE]: a container to the node that the inventory names"),
    "retire": ("guests", "HOST [--delete]: stop, back up and keep the guest of a host that left the inventory"),
    "restore": (
        "restore.command",
        "HOST --to scratch, or --all: a backup proved by a copy, cut off from the network and removed again",
    ),
    "offsite": ("offsite", "DIRECTORY: the newest backup of each guest, encrypted to the owners, somewhere else"),
    "adopt": (
        "adopt",
        "[VMID …] [--as KIND] [--write]: guests on the cluster that the inventory lacks, and their entries",
    ),
    "install": (
        "install.command",
        "HOST: NixOS over what its machine runs now, after checks, a backup and an explicit yes",
    ),
    "review": ("commands", "the change as Markdown"),
    "notify": ("notify", "who is told of deployments, drift and failed health; --set, --test"),
    "metrics": ("metrics", "deployments, drift, pins and backups for Prometheus; --push: to the host that watches"),
    "policies": ("policies", "what breaks the rules that previews hold the fleet against; --list: the rules"),
    "explain": ("explain", "CODE …: what an error means and what to do; --list: all of them"),
    "changed": ("commands", "NixOS hosts that a change touches, and their build"),
    "topology": ("status.command", "a page with the picture of the fleet"),
    "cloud": ("cloud", "images: the newest official images of the region; policy: the least rights at AWS"),
    "update": (
        "update.command",
        "newer pins: the flake's inputs, container images, machine images; --check: look alone",
    ),
    "vulnerabilities": (
        "vulnerabilities",
        "known ones of what hosts run and of the pins; --base: what a change mends or brings",
    ),
    "upgrade": ("upstream", "in such a repository: take what Aether has changed since"),
    "image": ("commands", "HOST FORMAT: build raw, iso, qcow, vm, … into dist/; publish HOST: a raw one to AWS"),
    "github": ("github", "token: what the GitHub token has to be allowed"),
    "proxmox": ("proxmox:command", "role: the commands that make the Proxmox token with the least rights"),
    "test": ("commands", "every test"),
    "lint": ("commands", "ruff, mypy, shellcheck"),
}


# Programs of their own, which take no stack.
MODULES = {
    "inventory": ("inventory.cli", "check, show and draw the facts"),
    "secrets": ("inventory.cli", "keys and secrets: make, rotate, re-encrypt"),
}
# Packages of their own, which `aether` starts without this one, unless an option is written before their name.
PACKAGES = {
    "sim": "the simulated datacentre: start, stop, status, fault, power",
    "engine": "the engine and its plugins: ensure, doctor, schemas",
}


def main(words: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(words)
    if options.command not in (*COMMANDS, *MODULES, *PACKAGES):
        near = did_you_mean(options.command, (*COMMANDS, *MODULES, *PACKAGES))
        parser.exit(2, f"aether: '{options.command}' is no command{near or '.'} Fix: ./aether --help lists them\n")
    if options.command in PACKAGES:
        os.execv(REPOSITORY / "aether", ["aether", options.command, *options.arguments])
    if options.command in MODULES:
        module = importlib.import_module(MODULES[options.command][0])
        first = ["secrets"] if options.command == "secrets" else []
        return int(module.main([*first, *options.arguments]))
    try:
        return command_of(options.command)(Stack(options.stack), options.arguments)
    except (OpsError, InventoryError) as error:
        print(error, file=sys.stderr)
        if isinstance(error, InventoryError):
            print(explained(problem.code for problem in error.problems), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again; it goes on where this stopped.", file=sys.stderr)
        return 130


def command_of(name: str) -> Callable[[Stack, list[str]], int]:
    """What runs the command NAME of COMMANDS: with a stack and its arguments, to an exit code."""
    module, _, function = COMMANDS[name][0].partition(":")
    found: Callable[[Stack, list[str]], int] = getattr(importlib.import_module(f"ops.{module}"), function or name)
    return found


def _parser() -> argparse.ArgumentParser:
    every = {name: text for name, (_, text) in (*COMMANDS.items(), *MODULES.items())} | PACKAGES
    parser = argparse.ArgumentParser(
        prog="aether",
        description=__doc__,
        epilog="commands:\n" + "\n".join(f"  {name:15} {text}" for name, text in every.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stack = parser.add_argument(
        "-s",
        "--stack",
        default=os.environ.get("AETHER_STACK", "sim"),
        help="sim, sim-cloud, sim-staging, homelab, cloud, staging, … (default: $AETHER_STACK, or sim)",
    )
    command = parser.add_argument("command", metavar="COMMAND", help="one of those below; COMMAND --help says what it takes")
    rest = parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="…", help="the command's own")
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        stack.completer = lambda **_: [path.name[len("Pulumi.") : -len(".yaml")] for path in REPOSITORY.glob("Pulumi.*.yaml")]  # type: ignore[attr-defined]
        command.completer = argcomplete.ChoicesCompleter(every)  # type: ignore[attr-defined]
        rest.completer = lambda parsed_args, **_: hosts_of(parsed_args.stack)  # type: ignore[attr-defined]
        argcomplete.autocomplete(parser)
    return parser


def hosts_of(stack: str) -> list[str]:
    """Hosts and nodes of the stack's inventory, for the shell."""
    from ops import fleet

    try:
        inventory = fleet.inventory_of(Stack(stack))
    except (OpsError, InventoryError):
        return []
    return [*inventory.nodes, *inventory.hosts]


if __name__ == "__main__":
    sys.exit(main())
