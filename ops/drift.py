"""`aether drift`: hosts whose running system is not the one that was deployed, and the way back."""

import json
import re
import sys

from inventory.problems import did_you_mean
from ops import hosts
from ops.arguments import parser
from ops.commands import up
from ops.fleet import inventory_of, out
from ops.stack import OpsError, Stack
from stacks.live import drifted, systems

# The resource that puts a system on a host, in its URN.
_DEPLOYMENT = re.compile(r"aether:(nixos:NixosSystem|atomic:AtomicHost)\$command:local:Command::([\w-]+)$")


def drift(stack: Stack, arguments: list[str]) -> int:
    """Hosts whose running system is not the one that was deployed."""
    made = parser("drift", drift)
    made.add_argument("--json", action="store_true", help="for programs: host to what it runs")
    made.add_argument(
        "--fix", nargs="*", metavar="HOST", help="deploy these again, and no other resource; without names every one that drifted"
    )
    options = made.parse_args(arguments)
    inventory = inventory_of(stack)
    if unknown := sorted(set(options.fix or ()) - set(inventory.hosts)):
        near = did_you_mean(unknown[0], inventory.hosts) if len(unknown) == 1 else ""
        said = f"{inventory.path} has no host {', '.join(unknown)}{near or '.'}"
        raise OpsError(f"{said} Fix: make drift STACK={stack.name} shows those that drifted")
    answers = systems(hosts.known(stack.name), inventory)
    found = drifted(inventory, answers)
    silent = [f"{host} does not answer" for host, report in answers.items() if not report.answers]
    for host, report in answers.items():
        # No drift: nothing that a deployment repairs.
        if why := hosts.unarmed(report):
            print(f"WARNING: {host} is not armed, nobody takes a bad image back in its boot: {why}", file=sys.stderr)
    if options.json:
        print(json.dumps(found, indent=2))
        return int(bool(found))
    for host, what in found.items():
        out.print(f"{host}: {what}")
    for line in silent:
        out.print(f"{line}: whether it drifted is not known.")
    if not found:
        out.print("No host drifted." if not silent else f"Of the {len(answers) - len(silent)} that answer none drifted.")
        return 0
    if options.fix is None:
        out.print(f"\nRepair: make drift STACK={stack.name} ARGS='--fix' (or with the names of some)")
        return 1
    return _fix(stack, [host for host in options.fix or found if host in found])


def _fix(stack: Stack, names: list[str]) -> int:
    """Deploy the hosts of these NAMES again, by an `up` of their deployments alone."""
    if not names:
        out.print("\nNone of those that were named has drifted.")
        return 0
    targets = [resource["urn"] for resource in stack.resources() if _host_of(resource["urn"]) in names]
    if lacking := sorted(set(names) - {_host_of(urn) for urn in targets}):
        raise OpsError(
            f"{', '.join(lacking)}: not in the state, so never deployed by this stack. Fix: make up STACK={stack.name}"
        )
    out.print()
    return up(stack, ["--config", "aether:detectDrift=true", *(word for urn in targets for word in ("--target", urn))])


def _host_of(urn: str) -> str:
    """The host whose deployment URN is; empty for any other resource."""
    found = _DEPLOYMENT.search(urn)
    return found[2] if found else ""
