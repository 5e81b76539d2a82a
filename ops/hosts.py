"""What the hosts of a stack say themselves, asked over SSH, all at once."""

import json
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inventory.load import Inventory
from inventory.models import AtomicHost, CloudVm, External, ManagedHost, NixosHost
from ops.stack import REPOSITORY

SCRIPTS = REPOSITORY / "components/nixos/scripts"


@dataclass(frozen=True)
class Report:
    """One host's answer."""

    host: str
    answers: bool
    reason: str = ""
    facts: dict[str, Any] | None = None


def ssh_config(stack: str) -> Path:
    """The OpenSSH client configuration that the stack's last preview or up wrote."""
    return REPOSITORY / f".aether/ssh/{stack}/config"


def host_script(*names: str) -> str:
    """A remote command line that runs the named host-side scripts, one behind the other."""
    text = "\n".join((SCRIPTS / name).read_text() for name in names)
    return f"bash -c {shlex.quote(text)} aether"


def ask(stack: str, host: str, command: str, *, stdin: str = "", timeout: int = 20) -> "subprocess.CompletedProcess[str]":
    """Run COMMAND on HOST over a new connection to its pinned key."""
    line = ["ssh", "-F", str(ssh_config(stack)), "-o", "ConnectTimeout=5", host, command]
    try:
        return subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=timeout, check=False, cwd=REPOSITORY)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(line, 255, "", f"no answer within {timeout} s")


def reports(stack: str, inventory: Inventory) -> dict[str, Report]:
    """Every host's answer, and every node's; external hosts are not asked."""
    names = [*inventory.nodes, *(name for name, host in inventory.hosts.items() if isinstance(host, ManagedHost))]
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(names, pool.map(lambda name: _report(stack, inventory, name), names), strict=True))


def _report(stack: str, inventory: Inventory, name: str) -> Report:
    host = inventory.hosts.get(name)
    if isinstance(host, NixosHost) or (isinstance(host, CloudVm) and host.os == "nixos"):
        command = host_script("host.sh", "status.sh")
    elif isinstance(host, AtomicHost):
        command = "rpm-ostree status --json"
    else:
        command = "true"
    result = ask(stack, name, command)
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        return Report(name, False, lines[-1] if lines else f"exit code {result.returncode}")
    try:
        facts = json.loads(result.stdout) if result.stdout.strip() else None
    except json.JSONDecodeError:
        facts = None
    return Report(name, True, facts=facts)


def generation(report: Report | None) -> str:
    """What the host runs, in a word: a NixOS generation, an Atomic image digest, or a dash."""
    facts = report.facts if report else None
    if not facts:
        return "-"
    if "generation" in facts:
        return str(facts["generation"])
    booted = next((item for item in facts.get("deployments", []) if item.get("booted")), {})
    return str(booted.get("container-image-reference-digest", "-"))[:19]


def is_managed(host: object) -> bool:
    return not isinstance(host, External)
