"""Which NixOS hosts a change touches, by their source closures, without credentials or state: what a pipeline builds."""

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from components.nixos.source_closure import source_hashes
from components.nixos.tool import nix_command
from inventory.os_names import os_of
from inventory.overlay import document, environment_of, overlays
from ops.stack import REPOSITORY, OpsError


def changed_hosts(base: str) -> dict[str, str]:
    """Hosts whose sources differ from those at the git revision BASE, with their attribute of nixosConfigurations.

    Raises:
        OpsError: BASE is no revision of this repository.
    """
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder, "base")
        result = subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", str(before), base],
            cwd=REPOSITORY, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if result.returncode:
            raise OpsError(f"{base} cannot be compared with: {result.stderr.strip()}. Fix: git fetch, or name another revision")
        try:
            old = hashes(before)
            new = hashes(REPOSITORY)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(before)], cwd=REPOSITORY, check=False)
    attributes = nixos_hosts(REPOSITORY)
    return {name: attributes[name] for name, digest in new.items() if old.get(name) != digest}


def nixos_hosts(repository: Path) -> dict[str, str]:
    """NixOS hosts of all inventories: name to attribute of nixosConfigurations."""
    return {name: attribute for file in _files(repository) for name, attribute in _nixos_hosts_of(repository / file).items()}


def hashes(repository: Path) -> dict[str, str]:
    """Source hash of every NixOS host of REPOSITORY."""
    found: dict[str, str] = {}
    for file in _files(repository):
        seen = [path.relative_to(repository) for path in environment_of(repository / file)]
        found |= source_hashes(repository, seen, _nixos_hosts_of(repository / file))
    return found


def _files(repository: Path) -> list[Path]:
    """The inventories that are there, environments last."""
    environments = overlays(repository / "inventory")
    own = [path for path in sorted((repository / "inventory").glob("*.toml")) if path not in environments]
    return [path.relative_to(repository) for path in (*own, *environments)]


def _nixos_hosts_of(file: Path) -> dict[str, str]:
    """As written, unchecked: the revision to compare with may have been one that today's rules refuse."""
    hosts = document(file).get("hosts", {})
    return {
        name: str(facts.get("flake", name))
        for name, facts in hosts.items()
        if (kind := str(facts.get("kind", ""))) != "external" and os_of(kind, facts) == "nixos"
    }


def build(attributes: Iterable[str], nix: str = "nix") -> int:
    """Build the systems of ATTRIBUTES, all in one call, their store paths on standard output; Nix's exit code."""
    wanted = [f'.#nixosConfigurations."{attribute}".config.system.build.toplevel' for attribute in attributes]
    command = [*nix_command(nix), "build", "--no-link", "--print-out-paths", "--print-build-logs", *wanted]
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode
