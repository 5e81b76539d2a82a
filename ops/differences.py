"""What a redeployment changes inside a host's system: packages, by Nix's own comparison of closures, and systemd units."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.nixos.system import deployment_result
from components.nixos.tool import nix_command
from components.requests import DeployRequest
from inventory.files import REPOSITORY
from ops.stack import AETHER, Stack

UNITS = "etc/systemd/system"


def closure_differences(stack: Stack, steps: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Text by host, for each host of STEPS (of `pulumi preview --json`) whose old closure the operator's store holds, and whose
    new one it can build.
    """
    found = {}
    for step in steps:
        old, new = (DeployRequest.fields_of(step.get(state)) for state in ("oldState", "newState"))
        if not old or not new or old["desired"] == new["desired"]:
            continue
        before, after = deployed_closure(step), _built(stack, new)
        if before and after:
            lines = [*_packages(new["nix"], before, after), *unit_changes(_local(stack, before), _local(stack, after))]
            found[new["host"]] = "\n".join(lines) or "the same packages and units"
    return found


def unit_changes(before: Path, after: Path) -> list[str]:
    """Units that a system has beside another one (``+``), no longer has (``-``) or has changed (``~``), a line each."""
    old, new = _units(before), _units(after)
    signs = {
        name: "+" if name not in old else "-" if name not in new else "~"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }
    return [f"{sign} {name}" for name, sign in signs.items()]


def deployed_closure(step: dict[str, Any]) -> str:
    """Store path that the host was left with, as the deployment's output says; empty where there was none."""
    return str(deployment_result(step.get("oldState", {}).get("outputs", {}).get("stdout")).get("closure", ""))


def _units(system: Path) -> dict[str, bytes]:
    """Text of each unit file and drop-in of a system, by its path below the units' folder."""
    folder = system / UNITS
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and _own(path, folder)
    }


def _own(path: Path, folder: Path) -> bool:
    """Not a link in TARGET.wants: what it points to is listed by itself."""
    return not path.parent.relative_to(folder).as_posix().endswith((".wants", ".requires"))


def _packages(nix: str, before: str, after: str) -> list[str]:
    command = [nix, "--extra-experimental-features", "nix-command", "store", "diff-closures", before, after]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    return result.stdout.strip().splitlines() if result.returncode == 0 else []


def _built(stack: Stack, new: dict[str, str]) -> str:
    """The new closure's path; empty where there is no Nix, or where it cannot be built."""
    desired = new["desired"]
    flake = f'.#nixosConfigurations."{new["flake"]}".config.system.build.toplevel'
    what = f"{desired}^out" if desired.startswith("/") else flake
    command = [*nix_command(new["nix"]), "build", "--no-link", "--print-out-paths"]
    try:
        result = subprocess.run(
            [*command, what], capture_output=True, text=True, check=False, cwd=REPOSITORY, env=stack.environment()
        )
    except FileNotFoundError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def _local(stack: Stack, closure: str) -> Path:
    """Where the operator's store has it: the simulator's operator has a store of its own."""
    return AETHER / "sim/store" / Path(closure).name if stack.simulated else Path(closure)
