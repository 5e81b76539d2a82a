"""How many hosts are evaluated after one was touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.lab import REPOSITORY
from bench.measure import BenchError, Report
from components.nixos.desired import desired_closures
from components.nixos.source_closure import entry_file
from inventory.load import load
from inventory.models import CloudVm, NixosHost

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
    for folder in ("nix", "inventory", "secrets"):
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
    if os.environ.get("NIXTREES"):
        _with_nix(report, sorted(hosts))


def _nixos_hosts(file: Path) -> dict[str, tuple[str, str | None]]:
    """Hosts of an inventory whose system is a flake output: its attribute, and the node it is on."""
    hosts = load(REPOSITORY / file).hosts
    return {
        name: (getattr(host, "flake", None) or name, getattr(host, "node", None))
        for name, host in hosts.items()
        if isinstance(host, NixosHost) or (isinstance(host, CloudVm) and host.os == "nixos")
    }


def _with_nix(report: Report, attributes: list[str]) -> None:
    for name, wanted in (("evaluation_nix_one_seconds", attributes[:1]), ("evaluation_nix_all_seconds", attributes)):
        begun = time.monotonic()
        done = subprocess.run(
            ["python3", "-m", "nix.tools.evaluate", *wanted], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        if done.returncode or len(re.findall(r"/nix/store/\S+\.drv", done.stdout)) < len(wanted):
            raise BenchError(f"nix could not evaluate {wanted}: {done.stderr[-2000:]}")
        report.seconds(name, time.monotonic() - begun, f"real Nix, {len(wanted)} of the hosts")
