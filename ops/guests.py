"""Guests on the cluster: the state follows those that were moved, and moving and retiring them."""

import argparse
import json
import shlex
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

import yaml

from inventory.files import REPOSITORY
from inventory.problems import did_you_mean
from ops import hosts
from ops.fleet import inventory_of
from ops.leftovers import to_do
from ops.stack import OpsError, Stack
from stacks.cluster import RETIRED, Cluster, ClusterError, ClusterGuest, authority_file, guests, login

GUESTS = ("proxmoxve:index/vmLegacy:VmLegacy", "proxmoxve:index/containerLegacy:ContainerLegacy")
TOOLS = {"qemu": "qm", "lxc": "pct"}


def follow(stack: Stack, arguments: list[str]) -> int:
    """Have the state follow guests that somebody, or the HA manager, moved to another node."""
    argparse.ArgumentParser(prog="aether follow", description=follow.__doc__).parse_args(arguments)
    for line in followed(stack) or ["No guest was moved."]:
        print(line)
    return 0


def followed(stack: Stack) -> list[str]:
    """As `follow`; a line a guest.

    The provider asks a container's old node alone, finds nothing there, and would make it again.
    """
    places = {item["urn"].rsplit("::", 1)[1]: item["outputs"] for item in _guests(stack.recorded())}
    if not places:
        return []
    there = cluster_of(stack)
    moved = {
        name: there[int(place["vmId"])].node
        for name, place in places.items()
        if int(place["vmId"]) in there and there[int(place["vmId"])].node != place["nodeName"]
    }
    if moved:

        def edit(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
            for item in _guests(resources):
                name = item["urn"].rsplit("::", 1)[1]
                if name in moved:
                    item["inputs"]["nodeName"] = item["outputs"]["nodeName"] = moved[name]
            return resources

        _edit_state(stack, edit)
    return [
        f"{name}: its guest was moved from {places[name]['nodeName']} to {node}; the state follows"
        for name, node in moved.items()
    ]


def move(stack: Stack, arguments: list[str]) -> int:
    """Move a container to the node that the inventory names, or another. It is shut down, copied and started again."""
    parser = argparse.ArgumentParser(prog="aether move", description=move.__doc__)
    parser.add_argument("host")
    parser.add_argument("node", nargs="?", help="default: the node of its inventory entry")
    options = parser.parse_args(arguments)
    inventory = inventory_of(stack)
    facts = inventory.guests().get(options.host)
    if facts is None:
        raise OpsError(f"{options.host} is no guest of {inventory.path}. Guests: {', '.join(inventory.guests())}")
    node = options.node or facts.node
    if node not in inventory.nodes:
        raise OpsError(f"{node} is no node of {inventory.path}. Nodes: {', '.join(inventory.nodes)}")
    found = cluster_of(stack).get(facts.vmid)
    if found is None or found.name != options.host:
        raise OpsError(f"{options.host} has no guest {facts.vmid} on the cluster. Fix: ./aether --stack {stack.name} up")
    if found.node != node:
        extra = (
            (["--online", "1", "--with-local-disks", "1"] if found.kind == "qemu" else ["--restart", "1"])
            if found.running
            else []
        )
        on_node(stack, found.node, shlex.join([TOOLS[found.kind], "migrate", str(found.vmid), node, *extra]))
    for line in followed(stack):
        print(line)
    if node != facts.node:
        print(f'Write it down: {inventory.path}: hosts.{options.host}: node = "{node}"')
    return 0


def retire(stack: Stack, arguments: list[str]) -> int:
    """Take a host that left the inventory out of service: its guest is stopped, backed up and kept, until --delete. What is left
    to do is said, in its order: taking it from what others know of it, rotating what it has seen, its files, its disks.
    """
    parser = argparse.ArgumentParser(prog="aether retire", description=retire.__doc__)
    parser.add_argument("host", metavar="HOST", help="that left the inventory")
    parser.add_argument("--delete", action="store_true", help="delete the guest and its disks; it must have been retired before")
    options = parser.parse_args(arguments)
    inventory = inventory_of(stack)
    if options.host in inventory.hosts:
        raise OpsError(f"{options.host} is in {inventory.path}. Fix: remove [hosts.{options.host}] first")
    there = cluster_of(stack)
    found = _retired(there, options.host) if options.delete else _recorded_guest(stack, there, options.host)
    what = "delete" if options.delete else "keep"
    on_node(stack, found.node, script("retire-guest.sh", what, TOOLS[found.kind], str(found.vmid)))
    if not options.delete:
        _edit_state(stack, lambda resources: forget(resources, options.host))
        print("The state has forgotten it.")
    if steps := to_do(REPOSITORY, options.host, stack.name, deleted=options.delete):
        print("What is left to do:")
        print("\n".join(steps))
    return 0


def forget(resources: list[dict[str, Any]], host: str) -> list[dict[str, Any]]:
    """RESOURCES of a state without those of HOST's components, and without any word of them."""
    components = {
        item["urn"] for item in resources if item["type"].startswith("aether:") and item["urn"].rsplit("::", 1)[1] == host
    }
    gone = components | {item["urn"] for item in resources if item.get("parent") in components}
    kept = [item for item in resources if item["urn"] not in gone]
    for item in kept:
        for key in ("dependencies", "deletedWith"):
            if isinstance(item.get(key), list):
                item[key] = [urn for urn in item[key] if urn not in gone]
        for name, urns in (item.get("propertyDependencies") or {}).items():
            item["propertyDependencies"][name] = [urn for urn in urns or [] if urn not in gone]
    return kept


def _recorded_guest(stack: Stack, there: Cluster, host: str) -> ClusterGuest:
    for item in _guests(stack.recorded()):
        if item["urn"].rsplit("::", 1)[1] == host:
            found = there.get(int(item["outputs"]["vmId"]))
            if found is None:
                raise OpsError(f"{host}: guest {item['outputs']['vmId']} is not on the cluster. Fix: ./aether refresh")
            return found
    if any(guest.name == host and RETIRED in guest.tags for guest in there.values()):
        raise OpsError(f"{host} is retired already. To delete its guest: ./aether --stack {stack.name} retire {host} --delete")
    here = [item["urn"].rsplit("::", 1)[1] for item in _guests(stack.recorded())]
    near = did_you_mean(host, here) or f". It has {', '.join(here) or 'none'}"
    raise OpsError(f"{host} has no guest in the state of stack {stack.name}{near}")


def _retired(there: Cluster, host: str) -> ClusterGuest:
    found = [guest for guest in there.values() if guest.name == host and RETIRED in guest.tags]
    if len(found) != 1:
        named = any(guest.name == host for guest in there.values())
        fix = f" Fix: ./aether retire {host} (without --delete)" if named and not found else ""
        raise OpsError(f"{len(found)} guests are called {host} and tagged {RETIRED}.{fix or ' Nothing was deleted.'}")
    return found[0]


def _guests(resources: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        item
        for item in resources
        if item["type"] in GUESTS and not item.get("delete") and (item.get("outputs") or {}).get("vmId")
    ]


def script(name: str, *arguments: str) -> str:
    """The command that runs components/proxmox/scripts/NAME with ARGUMENTS on a node, after what it shares with others."""
    folder = REPOSITORY / "components/proxmox/scripts"
    text = "".join((folder / file).read_text() for file in ("final-backup.sh", name))
    return f"bash -c {shlex.quote(text)} aether {shlex.join(arguments)}"


def on_node(stack: Stack, node: str, command: str) -> None:
    """Run COMMAND on NODE over its pinned connection."""
    line = ["ssh", "-F", str(hosts.ssh_config(stack.name)), "-n", node, command]
    if subprocess.run(line, cwd=REPOSITORY, check=False).returncode:
        raise OpsError(f"{node} could not do it (above); the state is as it was")


def cluster_of(stack: Stack) -> Cluster:
    """What the stack's cluster holds. Raises OpsError."""
    config = configuration(stack)
    endpoint, user, password = (
        str(config.get(f"aether:{key}", "")) for key in ("proxmoxEndpoint", "proxmoxUsername", "proxmoxPassword")
    )
    given = login(config.get("aether:proxmoxApiToken"), user, password) or {"user": user, "password": password}
    try:
        insecure = str(config.get("aether:proxmoxInsecure", "")).lower() == "true"
        return guests(endpoint, given, insecure=insecure, authority=authority_file(config.get("aether:proxmoxCa")))
    except ClusterError as error:
        raise OpsError(f"{endpoint}: {error}. Nothing was changed. {error.fix}") from None


def configuration(stack: Stack) -> dict[str, Any]:
    """The stack's settings, `aether:` and all, secrets in plain text."""
    if stack.simulated:
        return dict(yaml.safe_load(stack.config_file.read_text())["config"])
    return {key: item.get("value") for key, item in json.loads(stack.output("config", "--show-secrets", "--json")).items()}


def _edit_state(stack: Stack, edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Export the state, change its resources, import it again: the engine checks it."""
    state = json.loads(stack.output("stack", "export"))
    state["deployment"]["resources"] = edit(state["deployment"]["resources"])
    done = subprocess.run(
        stack.command("stack", "import"), env=stack.environment(), cwd=REPOSITORY, input=json.dumps(state), text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise OpsError(f"the state could not be written: {done.stderr.strip()}")
