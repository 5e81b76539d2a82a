"""The operator's commands. See `make help`; every one takes the stack from --stack."""

import argparse
import sys
from collections.abc import Callable

from inventory.environment import enter

enter("ops")

from inventory.load import InventoryError  # noqa: E402
from ops import cloud, commands, examine, guests, proxmox  # noqa: E402
from ops.adopt import adopt  # noqa: E402
from ops.github import github  # noqa: E402
from ops.stack import OpsError, Stack  # noqa: E402

COMMANDS: dict[str, tuple[Callable[[Stack, list[str]], int], str]] = {
    "up": (commands.up, "provision and configure everything"),
    "preview": (commands.preview, "what `up` would change"),
    "refresh": (commands.refresh, "read the real state of every resource into the stack"),
    "status": (commands.status, "host, kind, node, address, state, generation"),
    "down": (commands.down, "destroy the stack, and stop the simulator"),
    "doctor": (examine.doctor, "what the stack needs around it, looked at and never changed"),
    "drift": (commands.drift, "hosts that run something else than was deployed"),
    "rollback": (commands.rollback, "HOST: back to the system before"),
    "reboot": (commands.reboot, "HOST: reboot, and prove that it came back well"),
    "follow": (guests.follow, "have the state follow guests that were moved by hand or by HA"),
    "move": (guests.move, "HOST [NODE]: a container to the node that the inventory names"),
    "retire": (guests.retire, "HOST [--delete]: stop, back up and keep the guest of a host that left the inventory"),
    "adopt": (adopt, "[VMID …] [--write]: guests on the cluster that the inventory lacks, and their entries"),
    "review": (commands.review, "the change as Markdown"),
    "changed": (commands.changed, "NixOS hosts that a change touches, and their build"),
    "topology": (commands.topology, "a page with the picture of the fleet"),
    "cloud": (cloud.cloud, "images: the newest official images of the region; policy: the least rights at AWS"),
    "image": (commands.image, "HOST FORMAT: build raw, iso, qcow, vm, proxmox, lxc or amazon into dist/"),
    "github": (github, "token: what the GitHub token has to be allowed"),
    "proxmox": (proxmox.command, "role: the commands that make the Proxmox token with the least rights"),
    "test": (commands.test, "every test"),
    "lint": (commands.lint, "ruff, mypy, shellcheck"),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ops",
        description=__doc__,
        epilog="\n".join(f"  {name:9} {text}" for name, (_, text) in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stack", default="sim", help="sim, sim-cloud, sim-staging, homelab, cloud, staging, … (default: sim)")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the command's own: COMMAND --help")
    options = parser.parse_args()
    try:
        return COMMANDS[options.command][0](Stack(options.stack), options.arguments)
    except (OpsError, InventoryError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again; it goes on where this stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
