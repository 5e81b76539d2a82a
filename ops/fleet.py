"""Commands about hosts that run: what they report, and what is done to one of them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from inventory.files import REPOSITORY
from inventory.load import Inventory, InventoryError, load
from inventory.models import AtomicHost, NixosHost
from inventory.problems import did_you_mean, explained
from ops import hosts
from ops.arguments import parser
from ops.stack import PAGES, OpsError, Stack, settings_in
from stacks.live import ask

# Tables are wider than the 80 columns that rich takes a pipe for.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def rollback(stack: Stack, arguments: list[str]) -> int:
    """A host back to the system before its current one."""
    name, host = _one_host(stack, "rollback", rollback, arguments)
    return _on_host(stack, name, host, "rollback.sh")


def reboot(stack: Stack, arguments: list[str]) -> int:
    """Reboot a NixOS host and prove that it came back on what it ran, healthy."""
    name, host = _one_host(stack, "reboot", reboot, arguments)
    if isinstance(host, AtomicHost):
        raise OpsError(
            f"{name} is a Fedora Atomic host; it is rebooted by its next rebase, or by itself. Fix: ssh and systemctl reboot"
        )
    current = ask(str(hosts.ssh_config(stack.name)), name, "readlink -f /run/current-system")
    if current.returncode:
        raise OpsError(f"{name} does not answer: {current.stderr.strip()}")
    return _on_host(stack, name, host, "reboot.sh", current.stdout.strip())


def deployed(stack: Stack) -> set[str]:
    return {
        resource["urn"].rsplit("::", 1)[1]
        for resource in stack.resources()
        if resource["type"] in ("aether:nixos:NixosSystem", "aether:atomic:AtomicHost", "aether:ansible:Playbook")
    }


def _one_host(
    stack: Stack, command: str, function: Callable[..., int], arguments: list[str]
) -> tuple[str, NixosHost | AtomicHost]:
    made = parser(command, function)
    made.add_argument("host", nargs="?", metavar="HOST", help="a NixOS or Fedora Atomic host of the inventory")
    name = made.parse_args(arguments).host
    inventory = inventory_of(stack)
    choice = {name: host for name, host in inventory.hosts.items() if isinstance(host, AtomicHost | NixosHost)}
    if name not in choice:
        known = f"NixOS or Fedora Atomic host of {inventory.path}"
        wrong = f"'{name}' is no {known}{did_you_mean(name, choice)}" if name else f"which {known}"
        raise OpsError(f"{wrong}{'' if wrong.endswith('?') else '.'} Fix: name one of {', '.join(choice)}")
    return name, choice[name]


def _on_host(stack: Stack, name: str, host: NixosHost | AtomicHost, script: str, *arguments: str) -> int:
    """Run an operator-side script of the host's component, as its deployment would."""
    from components.base import Operator
    from components.requests import ByHandRequest

    area = "atomic" if isinstance(host, AtomicHost) else "nixos"
    request = ByHandRequest(
        host=name,
        operator=Operator(ssh_config=str(hosts.ssh_config(stack.name).relative_to(REPOSITORY))),
        hostname=name,
        checks=host.health,
        settle=getattr(host, "settle", 0),
        confirm_timeout=getattr(host, "confirm_timeout", 60),
        reboot=getattr(host, "reboot", "ask"),
    )
    command = [f"components/{area}/scripts/{script}", *arguments]
    environment = {**stack.environment(), **request.variables()}
    code = subprocess.run(command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
    if (PAGES / f"{code}.md").exists():
        print(explained([code]), file=sys.stderr)
    return code


def change_inventory(path: Path, change: Callable[[Path], object]) -> None:
    """Have CHANGE change an inventory file, which has to be right afterwards; otherwise it stays as it was.

    CHANGE is given a copy beside it.

    Raises:
        OpsError: with what would be wrong.
    """
    draft = path.with_name(f".{path.stem}-draft.toml")
    draft.write_text(path.read_text())
    try:
        change(draft)
        load(draft)
        draft.replace(path)
    except InventoryError as error:
        raise OpsError(f"{path} would not be right with it:\n{error}".replace(str(draft), str(path))) from None
    finally:
        draft.unlink(missing_ok=True)


def inventory_of(stack: Stack) -> Inventory:
    """The inventory that the stack's configuration names."""
    path = REPOSITORY / f"Pulumi.{stack.name}.yaml"
    if not path.exists():
        raise OpsError(f"Pulumi.{stack.name}.yaml does not exist. Fix: pulumi stack init {stack.name}, and see docs/runbook.md")
    if file := settings_in(path).get("inventory"):
        return load(Path(file))
    raise OpsError(
        f"Pulumi.{stack.name}.yaml: aether:inventory is missing. Fix: pulumi -s {stack.name} config set aether:inventory FILE"
    )
