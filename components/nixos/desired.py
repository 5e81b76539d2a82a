"""Desired closures: what each NixOS host should run, known at preview."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from components.nixos.source_closure import source_hashes

Evaluator = Literal["auto", "nix", "source"]


class EvaluationError(Exception):
    """Nix could not evaluate the hosts; the message is Nix's own."""


def desired_closures(
    repository: Path,
    inventory_files: list[Path],
    attributes: Mapping[str, str],
    *,
    evaluator: Evaluator = "auto",
    nix: str = "nix",
) -> dict[str, str]:
    """The desired closure of each host: a drvPath, or ``source:HASH`` where there is no Nix.

    Args:
        attributes: host name to its attribute of nixosConfigurations.
        evaluator: "auto" takes Nix where the executable exists.

    Raises:
        EvaluationError: with Nix's message and the hosts that were asked for.
    """
    hashes = source_hashes(repository, inventory_files, attributes)
    if evaluator == "source" or (evaluator == "auto" and shutil.which(nix) is None):
        return {host: f"source:{digest}" for host, digest in hashes.items()}
    cache = EvaluationCache(repository / ".aether/cache/evaluations.json")
    missing = {host: attributes[host] for host, digest in hashes.items() if digest not in cache}
    if missing:
        for host, drv in _evaluate(repository, nix, missing).items():
            cache[hashes[host]] = drv
        cache.save()
    return {host: cache[digest] for host, digest in hashes.items()}


class EvaluationCache:
    """drvPath by source hash, in a file that may be deleted at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._entries: dict[str, str] = json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            self._entries = {}

    def __contains__(self, digest: str) -> bool:
        return digest in self._entries

    def __getitem__(self, digest: str) -> str:
        return self._entries[digest]

    def __setitem__(self, digest: str, drv: str) -> None:
        self._entries[digest] = drv

    def save(self) -> None:
        """Replace the file in one step, so that an interrupted run leaves the old one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as handle:
            json.dump(self._entries, handle, indent=1)
        os.replace(handle.name, self.path)  # noqa: PTH105


def _evaluate(repository: Path, nix: str, attributes: Mapping[str, str]) -> dict[str, str]:
    wanted = " ".join(
        f"{json.dumps(host)} = all.{json.dumps(attribute)}.config.system.build.toplevel.drvPath;"
        for host, attribute in attributes.items()
    )
    command = [
        nix,
        "--extra-experimental-features",
        "nix-command flakes",
        "eval",
        "--json",
        f"{repository}#nixosConfigurations",
    ]
    result = subprocess.run(
        [*command, "--apply", f"all: {{ {wanted} }}"], capture_output=True, text=True, check=False, cwd=repository
    )
    if result.returncode:
        raise EvaluationError(f"nix could not evaluate {', '.join(attributes)}:\n{result.stderr.strip()}")
    drvs: dict[str, str] = json.loads(result.stdout)
    return drvs
