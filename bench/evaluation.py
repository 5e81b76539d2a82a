"""How many hosts are evaluated after one was touched."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench.measure import BenchError, Report
from components.nixos.desired import EvaluationError, desired_closures
from components.nixos.source_closure import entry_file
from inventory.files import REPOSITORY
from inventory.load import load
from inventory.models import NixosHost
from nix.tools import evaluate

INVENTORIES = (Path("inventory/homelab.toml"), Path("inventory/cloud.toml"))
# Answers with a made-up derivation for each host that it is asked for, and writes down which those were; its store keeps all.
_RECORDER = """#!{python}
import hashlib, json, re, sys, time
if "path-info" in sys.argv:
    sys.exit(0)
names = re.findall(r'"([^"]+)" = host all\\.', sys.argv[sys.argv.index("--apply") + 1])
with open({log!r}, "a") as log:
    log.write(json.dumps(names) + "\\n")
made = lambda name: hashlib.sha256((name + str(time.time())).encode()).hexdigest()[:32]
print(json.dumps({{name: {{"drv": "/nix/store/" + made(name) + ".drv", "boots": {{}}, "system": {{}}}} for name in names}}))
"""


def recording_nix(path: Path, log: Path) -> Path:
    """A `nix` at PATH that evaluates nothing, and writes the hosts of each evaluation to LOG, a JSON list a line."""
    path.write_text(_RECORDER.format(python=Path(sys.executable).resolve(), log=str(log)))
    path.chmod(0o755)
    return path


def measure(report: Report, work: Path) -> None:
    """Touch each host's own file in turn; count what is evaluated. With NIXTREES, also the seconds that real Nix takes."""
    report.section("Evaluation: hosts evaluated after a change")
    repository = work / "repository"
    for folder in ("nix", "components", "inventory", "secrets"):
        shutil.copytree(REPOSITORY / folder, repository / folder)
    for file in ("flake.nix", "flake.lock"):
        shutil.copy(REPOSITORY / file, repository / file)
    stacks = {file: _nixos_hosts(file) for file in INVENTORIES}
    hosts = {name: node for found in stacks.values() for name, (_, node) in found.items()}
    log = work / "evaluated.log"
    recorder = recording_nix(work / "nix", log)

    def evaluated() -> list[str]:
        log.write_text("")
        for file, found in stacks.items():
            attributes = {name: attribute for name, (attribute, _) in found.items()}
            desired_closures(repository, [file], attributes, evaluator="nix", nix=str(recorder))
        return [name for line in log.read_text().splitlines() for name in json.loads(line)]

    if sorted(first := evaluated()) != sorted(hosts):
        raise BenchError(f"the first run evaluated {first}, not every host")
    report.count("evaluation_hosts", len(hosts), "NixOS hosts of homelab and cloud; the first run evaluates all")
    report.count("evaluation_after_nothing", len(evaluated()), "evaluated when nothing was touched", at_most=0)
    counts = {}
    for name, node in hosts.items():
        entry = entry_file(repository, name, node)
        if entry is None:
            continue
        path = repository / entry
        path.write_text(path.read_text() + f"\n# {time.time()}\n")
        counts[name] = evaluated()
        if name not in counts[name]:
            raise BenchError(f"{entry} was touched, and {name} was not evaluated but {counts[name]}")
    if not counts:
        raise BenchError("no host has a file of its own")
    worst = max(counts, key=lambda name: len(counts[name]))
    text = f"evaluated after touching one host's file, the most of {len(counts)} hosts tried ({worst})"
    report.count("evaluation_after_touching_one", len(counts[worst]), text, at_most=1)
    begun = time.monotonic()
    evaluated()
    report.seconds("evaluation_hash_seconds", time.monotonic() - begun, f"hashing the sources of {len(hosts)} hosts, warm")
    if local := evaluate.trees():
        _with_nix(report, repository, stacks, real_nix(work / "real-nix", local))


def _nixos_hosts(file: Path) -> dict[str, tuple[str, str | None]]:
    """Hosts of an inventory whose system is a flake output: its attribute, and the node it is on."""
    hosts = load(REPOSITORY / file).hosts
    return {
        name: (getattr(host, "flake", None) or name, getattr(host, "node", None))
        for name, host in hosts.items()
        if isinstance(host, NixosHost)
    }


def real_nix(path: Path, local: evaluate.Trees) -> Path:
    """A `nix` at PATH that evaluates with LOCAL trees in place of the flake's inputs."""
    options = shlex.join(local.overrides())
    path.write_text(f'#!/bin/sh\ncase " $* " in *" eval "*) set -- "$@" {options} ;; esac\nexec {evaluate.NIX} "$@"\n')
    path.chmod(0o755)
    return path


def _with_nix(report: Report, repository: Path, stacks: Mapping[Path, Mapping[str, tuple[str, str | None]]], nix: Path) -> None:
    """As a preview asks: the homelab's hosts with nothing known, with one host's file touched, and with nothing touched."""
    file = INVENTORIES[0]
    attributes = {name: attribute for name, (attribute, _) in stacks[file].items()}
    (repository / ".aether/cache/evaluations.json").unlink(missing_ok=True)

    def seconds(name: str, text: str) -> None:
        begun = time.monotonic()
        try:
            desired_closures(repository, [file], attributes, evaluator="nix", nix=str(nix))
        except EvaluationError as error:
            raise BenchError(str(error)[-2000:]) from None
        report.seconds(name, time.monotonic() - begun, text)

    seconds("evaluation_nix_all_seconds", f"real Nix, {len(attributes)} hosts of the homelab, nothing cached")
    path = repository / next(entry for name, (_, node) in stacks[file].items() if (entry := entry_file(repository, name, node)))
    path.write_text(path.read_text() + f"\n# {time.time()}\n")
    seconds("evaluation_nix_one_seconds", f"real Nix, {path.relative_to(repository)} touched")
    seconds("evaluation_nix_none_seconds", "real Nix, nothing touched")
