"""`aether metrics`: what the deployer knows, in Prometheus' text format, for a node exporter's textfile directory."""

import json
import shlex
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from inventory.files import REPOSITORY, write_whole
from inventory.models import DEPLOY_USER
from ops import hosts
from ops.arguments import parser
from ops.fleet import deployed, inventory_of, out
from ops.runs import Run, runs
from ops.stack import OpsError, Stack
from ops.status.facts import Fleet, look
from stacks.live import entry_command

FOLDER = "/var/lib/node-exporter-text"
"""Where nix/modules/otel.nix has the node exporter look for what others measured."""

HELP = {
    "aether_deploys_total": ("counter", "Deployments of the stack from this checkout, by how they ended."),
    "aether_deploy_last_timestamp_seconds": ("gauge", "When the last deployment of the stack ended so."),
    "aether_deploy_seconds": ("gauge", "How long the last deployment took."),
    "aether_deploy_succeeded": ("gauge", "1: the last deployment succeeded, 0: it did not."),
    "aether_looked_timestamp_seconds": ("gauge", "When the hosts were asked."),
    "aether_machine_answers": ("gauge", "1: the host answered."),
    "aether_machine_drifted": ("gauge", "1: the host runs something else than was deployed."),
    "aether_machine_behind": ("gauge", "1: the repository has another system for the host than was deployed."),
    "aether_machine_unhealthy": ("gauge", "Health checks of the inventory that do not hold."),
    "aether_machine_deployed_timestamp_seconds": ("gauge", "When the host was deployed last."),
    "aether_machine_pending_timestamp_seconds": ("gauge", "Since when an order waits for the host, which was away."),
    "aether_machine_order_timestamp_seconds": ("gauge", "When the host took its last order."),
    "aether_machine_backup_timestamp_seconds": ("gauge", "When the host's last good backup was made."),
    "aether_machine_restore_timestamp_seconds": ("gauge", "When the host's backup was restored and proved last; 0: never."),
    "aether_machine_certificate_timestamp_seconds": ("gauge", "When the host's oldest certificate was renewed."),
    "aether_pin_timestamp_seconds": ("gauge", "How old what is pinned is: when its upstream made it."),
}
"""Every metric: its type, and what it says."""
Sample = tuple[str, Mapping[str, str], float]


def metrics(stack: Stack, arguments: list[str]) -> int:
    """What the deployer knows, for Prometheus: deployments and their results, drift, who is behind, age of pins and backups.
    Printed, written (--write) or left for the node exporter of a host (--push)."""
    made = parser("metrics", metrics)
    how = made.add_mutually_exclusive_group()
    how.add_argument("--write", type=Path, metavar="FILE", help="write it there, whole or not at all")
    how.add_argument("--push", nargs="?", const="monitoring", metavar="HOST", help=f"leave it in {FOLDER} of HOST (monitoring)")
    options = made.parse_args(arguments)
    inventory = inventory_of(stack)
    if options.push and options.push not in inventory.hosts:
        raise OpsError(f"'{options.push}' is no host of {inventory.path}. Fix: --push HOST, one that has a node exporter")
    text = rendered([*of_runs(stack.name, runs(stack.name)), *of_fleet(look(stack, inventory, deployed(stack))), *of_pins()])
    if options.write:
        write_whole(options.write, text)
    elif options.push:
        push(stack, options.push, text, as_deploy=getattr(inventory.hosts[options.push], "ssh_user", "root") == DEPLOY_USER)
        out.print(f"{options.push}: {FOLDER}/aether-{stack.name}.prom")
    else:
        print(text, end="")
    return 0


def push(stack: Stack, host: str, text: str, *, as_deploy: bool = False) -> None:
    """Leave TEXT for the node exporter of HOST, in one step; AS_DEPLOY by the entry of a host that is not deployed as root.

    Raises:
        OpsError: the host cannot be reached, or has no such folder.
    """
    target = shlex.quote(f"{FOLDER}/aether-{stack.name}.prom")
    command = f"cat >{target}.new && chmod 0644 {target}.new && mv {target}.new {target}"
    if as_deploy:
        command = entry_command("metrics", stack.name)
    line = ["ssh", "-F", str(hosts.ssh_config(stack.name)), "-o", "ConnectTimeout=10", host, command]
    done = subprocess.run(line, input=text, text=True, capture_output=True, check=False, cwd=REPOSITORY)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise OpsError(f"{host} did not take the metrics: {said}. Fix: a host with a node exporter, --push HOST")


def of_runs(stack: str, found: list[Run]) -> Iterator[Sample]:
    """Of the deployments of STACK."""
    labels = {"stack": stack}
    for result in ("succeeded", "failed", "interrupted"):
        these = [run for run in found if run.result == result]
        yield "aether_deploys_total", {**labels, "result": result}, len(these)
        if these:
            yield "aether_deploy_last_timestamp_seconds", {**labels, "result": result}, these[-1].at
    if found:
        yield "aether_deploy_seconds", labels, found[-1].seconds
        yield "aether_deploy_succeeded", labels, float(found[-1].result == "succeeded")


def of_fleet(fleet: Fleet) -> Iterator[Sample]:
    """Of the hosts. The label is ``machine``: ``host`` is Prometheus' own, and is the one that has the file."""
    yield "aether_looked_timestamp_seconds", {"stack": fleet.stack}, fleet.at
    for host in fleet.hosts:
        labels = {"stack": fleet.stack, "machine": host.host}
        if host.pending:
            yield "aether_machine_pending_timestamp_seconds", labels, host.pending
        if host.answers is None:
            continue
        if host.ordered:
            yield "aether_machine_order_timestamp_seconds", labels, host.ordered
        yield "aether_machine_answers", labels, float(host.answers)
        if host.answers and host.deployed_at:
            yield "aether_machine_drifted", labels, float(bool(host.drift))
            yield "aether_machine_unhealthy", labels, len(host.unhealthy)
            yield "aether_machine_deployed_timestamp_seconds", labels, host.deployed_at
        if host.behind is not None:
            yield "aether_machine_behind", labels, float(host.behind)
        if host.backup:
            yield "aether_machine_backup_timestamp_seconds", labels, host.backup
        if host.restored is not None:
            yield "aether_machine_restore_timestamp_seconds", labels, host.restored
        if host.certificate:
            yield "aether_machine_certificate_timestamp_seconds", labels, host.certificate


def of_pins(lock: Path = REPOSITORY / "flake.lock") -> Iterator[Sample]:
    """Of what the flake pins."""
    nodes = json.loads(lock.read_text())["nodes"] if lock.exists() else {}
    for name, node in nodes.items():
        if modified := node.get("locked", {}).get("lastModified"):
            yield "aether_pin_timestamp_seconds", {"pin": name}, modified


def rendered(samples: Iterable[Sample]) -> str:
    """The text format; each metric's samples stand together, as it wants them."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value in samples:
        inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        by_name.setdefault(name, []).append(f"{name}{{{inner}}} {value:.17g}")
    lines = [f"# Written by aether metrics, {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"]
    for name, found in by_name.items():
        kind, text = HELP[name]
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *found]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
