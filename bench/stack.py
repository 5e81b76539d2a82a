"""A copy of the checkout with its own simulated datacentre, state and keys."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from bench.fleet import Fleet
from bench.measure import BenchError, Timed, timed
from bench.repository import copied
from inventory.files import REPOSITORY

STACK = "sim"
INVENTORY = "inventory/homelab.toml"
# What a guest and its host would do answers at once: the program, the engine and the state are what is left to measure.
_LIGHT = {
    "components/proxmox/scripts/first-contact.sh": "echo ready",
    "components/nixos/scripts/deploy.sh": """
        closure=/nix/store/${AETHER_DESIRED##*[:/]}-nixos-system-$AETHER_HOST
        printf '{"closure": "%s", "generation": 1, "reboot": false}\\n' "$closure"
    """,
}
# What `make up` runs is asked of the copy itself, so that a change of its options is measured too.
_ASK = f"""
import json
from ops import commands
from ops.stack import Stack
stack = Stack("{STACK}")
stack.ensure()
print(json.dumps([stack.environment(), stack.command("up"), commands._options(stack)]))
"""


class BenchStack:
    """The stack that is measured, in a copy of the checkout. With a fleet, its inventory takes the homelab's place."""

    def __init__(self, path: Path, fleet: Fleet | None = None) -> None:
        self.path, self.fleet = path, fleet
        self.light = False
        copied(path, {INVENTORY: fleet.inventory(), **fleet.files()} if fleet else None)
        # The Python environment and the engine are shared.
        (path / ".aether").mkdir()
        (path / ".venv").symlink_to(REPOSITORY / ".venv")
        for shared in ("engine", "pulumi-home"):
            (path / ".aether" / shared).symlink_to((REPOSITORY / ".aether" / shared).resolve())
        # What a flake and the bootstrap see are tracked files.
        for words in (["init", "-q"], ["add", "--all"]):
            subprocess.run(["git", *words], cwd=path, check=True, capture_output=True)
        self._environment: dict[str, str] = {}
        self._options: list[str] = []
        self._up: list[str] = []

    def lighten(self) -> None:
        """Have guests with agents and nothing else, before `begin`: whatever is asked of them answers at once."""
        for path, text in _LIGHT.items():
            (self.path / path).write_text(f"#!/bin/sh\n{text}\n")
        self.light = True

    @property
    def base_environment(self) -> dict[str, str]:
        """The caller's environment without what belongs to another stack."""
        own = {
            name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "AETHER_", "SOPS_", "ANSIBLE_"))
        }
        # The nodes' set-up is not what is measured.
        own["AETHER_SIM_NODES"] = "prepared"
        if self.light:
            own["AETHER_SIM_GUESTS"] = "agents"
        # Both sides of a comparison keep their bytecode, as `make` has it.
        own |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self.path / ".aether/cache/python")}
        # sops and age are the engine's; the simulator looks for them on PATH too.
        own["PATH"] = os.pathsep.join([str(self.path / ".aether/engine/bin"), str(self.path / ".venv/bin"), own.get("PATH", "")])
        return own

    @property
    def environment(self) -> dict[str, str]:
        """What `make` gives the engine."""
        return self._environment

    # The simulator

    def sim(self, *arguments: str) -> str:
        return timed(["./aether", "sim", *arguments], cwd=self.path, env=self.base_environment, timeout=300).text

    def begin(self, boot_seconds: float = 0.3) -> None:
        """Start the datacentre with nothing on it, and an empty stack."""
        self.sim("start", "--stack", STACK, "--boot-seconds", str(boot_seconds))
        asked = timed([sys.executable, "-c", _ASK], cwd=self.path, env=self.base_environment)
        self._environment, self._up, self._options = json.loads(asked.text.splitlines()[-1])
        # A checkout that ran before has its bytecode.
        for words in (["-c", "import stacks.homelab"], ["-m", "pip", "list"]):
            timed([self.path / ".venv/bin/python", *words], cwd=self.path, env=self._environment)

    def empty(self, boot_seconds: float = 0.3, *, keep_state: bool = False) -> None:
        """Forget every guest (and, unless KEEP_STATE, what Pulumi knows of them); start again."""
        self.sim("reset")
        if not keep_state:
            shutil.rmtree(self.path / ".aether/state", ignore_errors=True)
        shutil.rmtree(self.path / ".aether/images", ignore_errors=True)
        self.begin(boot_seconds)

    def close(self) -> None:
        subprocess.run(["./aether", "sim", "stop"], cwd=self.path, env=self.base_environment, check=False, capture_output=True)

    def systems(self) -> dict[str, str]:
        """What each host that is up runs, as the simulator knows."""
        status = json.loads(self.sim("status", "--json"))
        return {name: str(host["system"]) for name, host in status["hosts"].items() if host["state"] == "up" and host["system"]}

    def check_configured(self, names: list[str]) -> None:
        """Every one of NAMES runs a system of its own.

        Raises:
            BenchError: naming those that do not.
        """
        systems = self.systems()
        wrong = [name for name in names if f"-nixos-system-{name}-" not in systems.get(name, "")]
        if wrong:
            raise BenchError(f"{len(wrong)} of {len(names)} hosts were not configured: {', '.join(wrong[:5])}")

    def settings(self) -> dict[str, Any]:
        """The stack's configuration as the simulator wrote it."""
        return dict(yaml.safe_load((self.path / f".aether/sim/Pulumi.{STACK}.yaml").read_text()))

    # The engine

    def command(self, verb: str, *arguments: str) -> list[str]:
        """The command line of `pulumi VERB`, with the options that `make` gives it."""
        return [verb if word == "up" else word for word in self._up] + [*self._options, *arguments]

    def up(self, *arguments: str, env: dict[str, str] | None = None) -> Timed:
        return timed(
            self.command("up", "--yes", "--skip-preview", "--suppress-outputs", *arguments),
            cwd=self.path,
            env={**self.environment, **(env or {})},
        )

    def preview(self, env: dict[str, str] | None = None) -> Timed:
        return timed(self.command("preview", "--diff"), cwd=self.path, env={**self.environment, **(env or {})})

    def resources(self) -> list[dict[str, Any]]:
        """The stack's state, secrets in plain text."""
        exported = timed(
            ["pulumi", "stack", "export", "--stack", STACK, "--show-secrets", "--non-interactive"],
            cwd=self.path,
            env=self.environment,
        )
        return list(json.loads(exported.text)["deployment"]["resources"])


def changes(text: str) -> dict[str, int]:
    """Pulumi's closing counts, like {"unchanged": 65, "to update": 1}."""
    closing = text.rsplit("Resources:", maxsplit=1)[-1] if "Resources:" in text else ""
    found = re.findall(r"(\d+) (unchanged|to (?:create|update|replace|delete)|created|updated|replaced|deleted)\b", closing)
    return {name: int(count) for count, name in found}


def expect_unchanged(result: Timed, at_least: int) -> float:
    """The seconds of a run that changed nothing.

    Raises:
        BenchError: it would change something, or knows fewer resources than AT_LEAST.
    """
    counts = changes(result.text)
    if set(counts) != {"unchanged"} or counts["unchanged"] < at_least:
        raise BenchError(f"expected at least {at_least} resources, unchanged, and nothing else: {counts}\n{result.text[-3000:]}")
    return result.seconds
