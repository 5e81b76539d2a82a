"""Which NixOS hosts a change touches, by their source closures, without credentials or state: what a pipeline builds."""

import subprocess
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from components.nixos.source_closure import source_hash
from ops.stack import REPOSITORY, OpsError

INVENTORIES = (Path("inventory/homelab.toml"), Path("inventory/cloud.toml"))


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
    """NixOS hosts of all inventories: name to attribute of nixosConfigurations.

    As written, unchecked: the revision to compare with may have been one that today's rules refuse.
    """
    found: dict[str, str] = {}
    for file in INVENTORIES:
        hosts = tomllib.loads((repository / file).read_text()).get("hosts", {}) if (repository / file).exists() else {}
        for name, facts in hosts.items():
            if str(facts.get("kind", "")).startswith("nixos-") or facts.get("os") == "nixos":
                found[name] = str(facts.get("flake", name))
    return found


def hashes(repository: Path) -> dict[str, str]:
    """Source hash of every NixOS host of REPOSITORY."""
    files = [file for file in INVENTORIES if (repository / file).exists()]
    return {name: source_hash(repository, files, name) for name in nixos_hosts(repository)}


def build(attributes: Iterable[str], nix: str = "nix") -> int:
    """Build the systems of ATTRIBUTES, all in one call; Nix's exit code."""
    wanted = [f'.#nixosConfigurations."{attribute}".config.system.build.toplevel' for attribute in attributes]
    command = [nix, "--extra-experimental-features", "nix-command flakes", "build", "--no-link", "--print-build-logs", *wanted]
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode
