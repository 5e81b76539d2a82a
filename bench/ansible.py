"""ansible-playbook deploying a fleet's NixOS systems over the same SSH servers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from bench.fleet import Fleet
from bench.measure import BenchError, Timed, timed
from bench.stack import STACK, BenchStack
from inventory.files import REPOSITORY

RIVAL = REPOSITORY / "bench/rival"


class Ansible:
    """A playbook over all hosts of a stack's fleet, in the order of their dependencies."""

    def __init__(self, stack: BenchStack, fleet: Fleet, *, style: str, forks: int, pinned: bool) -> None:
        """STYLE: plain (facts and modules, as Ansible comes) or lean (neither).

        PINNED: insist on the inventory's host keys, as Aether does; otherwise any key is taken, as at a first contact.
        """
        self.stack, self.fleet, self.style, self.forks = stack, fleet, style, forks
        self.path = stack.path / f".aether/bench/ansible-{style}-{forks}"
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        shutil.copy(RIVAL / f"{style}.cfg", self.path / "ansible.cfg")
        self.ssh_config = ssh_config(stack, self.path, pinned=pinned)
        (self.path / "hosts.json").write_text(json.dumps(self._inventory()))
        (self.path / "site.yml").write_text(yaml.safe_dump(self._plays(), sort_keys=False))

    def run(self, *, changed: int) -> float:
        """Seconds of a run, proved to have answered for every host and to have deployed CHANGED of them."""
        done = self._playbook()
        recap = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", done.text, re.MULTILINE)
        answered = {host: int(count) for host, count, unreachable, failed in recap if unreachable == failed == "0"}
        if not set(self.fleet.names) <= set(answered):
            raise BenchError(f"ansible-playbook did not answer for every host:\n{done.text[-3000:]}")
        deployed = [name for name in self.fleet.names if answered[name]]
        if len(deployed) != changed:
            raise BenchError(f"ansible-playbook deployed {len(deployed)} hosts, not {changed}:\n{done.text[-3000:]}")
        return done.seconds

    def _playbook(self) -> Timed:
        environment = {
            **self.stack.base_environment,
            "ANSIBLE_CONFIG": str(self.path / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_ARGS": f"-F {self.ssh_config} -o ControlMaster=auto -o ControlPersist=60s",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.path / "cp"),
        }
        # Connections that an earlier run kept would be a head start.
        shutil.rmtree(self.path / "cp", ignore_errors=True)
        command: list[str | Path] = [
            self.stack.path / ".venv/bin/ansible-playbook",
            "-i",
            "hosts.json",
            "--forks",
            str(self.forks),
            "site.yml",
        ]
        return timed(command, cwd=self.path, env=environment)

    def _inventory(self) -> dict[str, Any]:
        endpoints = json.loads((self.stack.path / ".aether/sim/endpoints.json").read_text())
        levels = {f"level_{index}": {"hosts": dict.fromkeys(names)} for index, names in enumerate(self.fleet.levels())}
        variables = {
            "ansible_user": "root",
            "nix": str(self.stack.path / "packages/aether-sim/src/aether_sim/operator/nix"),
            "repository": str(self.stack.path),
            "ssh_config": str(self.ssh_config),
        }
        return {
            "all": {
                "vars": variables,
                "children": {
                    "nixos": {"hosts": {name: {"address": endpoints[name]["address"]} for name in self.fleet.names}},
                    **levels,
                },
            }
        }

    def _plays(self) -> list[dict[str, Any]]:
        wanted = "{{ hostvars['localhost'].built.stdout_lines[groups['nixos'].index(inventory_hostname)] }}"
        plain = self.style == "plain"
        build = {"name": "Build", "ansible.builtin.import_tasks": str(RIVAL / "build.yml")}
        deploy = {"name": "Deploy", "ansible.builtin.import_tasks": str(RIVAL / f"deploy-{self.style}.yml")}
        return [
            {"name": "Build", "hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [build]},
            *(
                {
                    "name": f"Level {index}",
                    "hosts": f"level_{index}",
                    "gather_facts": plain,
                    "vars": {"wanted": wanted},
                    "tasks": [deploy],
                }
                for index, _ in enumerate(self.fleet.levels())
            ),
        ]


def ssh_config(stack: BenchStack, folder: Path, *, pinned: bool) -> Path:
    """The stack's configuration of SSH, written to FOLDER; any host key is taken where it is not PINNED."""
    text = (stack.path / f".aether/ssh/{STACK}/config").read_text()
    if not pinned:
        text = re.sub(r"StrictHostKeyChecking yes", "StrictHostKeyChecking no", text)
        text = re.sub(r"UserKnownHostsFile \S+", "UserKnownHostsFile /dev/null\n  LogLevel ERROR", text)
    path = folder / "ssh_config"
    path.write_text(text)
    return path
