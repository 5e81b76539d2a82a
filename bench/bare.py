"""A bare Pulumi program with the resources of the stack that is measured, and the same state."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

import yaml

from bench.measure import timed
from bench.resources import Declared, declared, plain, without_defaults
from bench.stack import STACK, BenchStack, expect_unchanged
from inventory.files import REPOSITORY

PROJECT, BARE = "aether-bare", "bare"
_ROOT = f"urn:pulumi:{BARE}::{PROJECT}::"
_STACK_URN = f"{_ROOT}pulumi:pulumi:Stack::{PROJECT}-{BARE}"


class Bare:
    """Stack `bare`, with the state of the measured one under other names: a preview does not look at the world, so nothing is
    made twice.
    """

    def __init__(self, stack: BenchStack) -> None:
        self.stack = stack
        self.path = stack.path / ".aether/bench/bare"
        for old in (self.path, stack.path / f".aether/state/.pulumi/stacks/{PROJECT}"):
            shutil.rmtree(old, ignore_errors=True)
        self.path.mkdir(parents=True)
        state = stack.resources()
        self.resources = declared(state)
        self._write_program(state)
        self._import_state()

    def preview(self, env: Mapping[str, str] | None = None) -> float:
        """Seconds of a preview, proved to be of all resources and empty. ENV is added to the environment."""
        command = [BARE if word == STACK else word for word in self.stack.command("preview", "--diff")]
        place = command.index("--config-file")
        del command[place : place + 2]
        # As Pulumi comes: its language host asks pip.
        own = {**self.stack.environment, "PYTHONPATH": "", **(env or {})}
        return expect_unchanged(timed(command, cwd=self.path, env=own), len(self.resources))

    def _write_program(self, state: list[dict[str, Any]]) -> None:
        providers = {
            item["urn"]: (
                item["urn"].rsplit("::", 1)[1],
                {
                    key: plain(without_defaults(value))
                    for key, value in item["inputs"].items()
                    if key not in ("version", "__internal")
                },
            )
            for item in state
            if item["type"].startswith("pulumi:providers:") and "::default" not in item["urn"]
        }
        content = {
            "providers": {
                urn: (name, {key: _scalar(value) for key, value in inputs.items()}) for urn, (name, inputs) in providers.items()
            },
            "resources": [
                {
                    "urn": item.urn,
                    "token": item.token,
                    "label": item.label,
                    "inputs": dict(item.inputs),
                    "secrets": sorted(item.secrets),
                    "after": item.after,
                    "ignored": item.ignored,
                    "provider": item.provider,
                }
                for item in self.resources
            ],
        }
        (self.path / "resources.json").write_text(json.dumps(content))
        shutil.copy(REPOSITORY / "bench/programs/bare.py", self.path / "__main__.py")
        runtime = {"name": "python", "options": {"virtualenv": str(self.stack.path / ".venv")}}
        (self.path / "Pulumi.yaml").write_text(yaml.safe_dump({"name": PROJECT, "runtime": runtime}))

    def _import_state(self) -> None:
        """Initialise it with the state of the measured one, under the names of this program."""
        stack = self.stack
        env, here = stack.environment, self.path
        timed(["pulumi", "stack", "init", BARE, "--no-select", "--non-interactive"], cwd=here, env=env)
        exported = timed(
            ["pulumi", "stack", "export", "--stack", STACK, "--show-secrets", "--non-interactive"], cwd=stack.path, env=env
        )
        document = json.loads(exported.text)
        document["deployment"]["resources"] = renamed(document["deployment"]["resources"], self.resources)
        salt = yaml.safe_load((here / f"Pulumi.{BARE}.yaml").read_text())["encryptionsalt"]
        document["deployment"]["secrets_providers"] = {"type": "passphrase", "state": {"salt": salt}}
        moved = here / "state.json"
        moved.write_text(json.dumps(document))
        try:
            timed(
                ["pulumi", "stack", "import", "--stack", BARE, "--file", moved, "--non-interactive", "--force"], cwd=here, env=env
            )
        finally:
            moved.unlink()


def renamed(state: list[dict[str, Any]], resources: list[Declared]) -> list[dict[str, Any]]:
    """STATE without components, every resource a child of the bare stack under its label."""
    labels = {item.urn: f"{_ROOT}{item.token}::{item.label}" for item in resources}
    for item in state:
        if item["type"] == "pulumi:pulumi:Stack":
            labels[item["urn"]] = _STACK_URN
        elif item["type"].startswith("pulumi:providers:"):
            labels[item["urn"]] = f"{_ROOT}{item['type']}::{item['urn'].rsplit('::', 1)[1]}"
    kept = []
    for item in state:
        if item["urn"] not in labels:
            continue
        new = {key: value for key, value in item.items() if key not in ("sourcePosition", "stackTrace")}
        new["urn"] = labels[item["urn"]]
        if "parent" in new:
            new["parent"] = _STACK_URN
        if new.get("provider"):
            urn, instance = new["provider"].rsplit("::", 1)
            new["provider"] = f"{labels[urn]}::{instance}"
        new["dependencies"] = [labels[urn] for urn in item.get("dependencies") or () if urn in labels]
        new["propertyDependencies"] = {}
        if new["urn"] == _STACK_URN:
            new["outputs"] = {}
        kept.append(new)
    return kept


def _scalar(value: Any) -> Any:
    """Providers keep their inputs as JSON text."""
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    return value
