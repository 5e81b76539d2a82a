"""Which NixOS hosts a change touches, by their source closures, without credentials or state: what a pipeline builds."""

import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from components.nixos.source_closure import source_hashes
from components.nixos.tool import nix_command
from inventory.files import REPOSITORY
from inventory.os_names import os_of
from inventory.overlay import document, environment_of, overlays
from ops.stack import OpsError


def changed_hosts(base: str) -> dict[str, str]:
    """Hosts whose sources differ from those at the git revision BASE, with their attribute of nixosConfigurations.

    Raises:
        OpsError: BASE is no revision of this repository.
    """
    with checkout_of(base) as before:
        old = hashes(before)
        new = hashes(REPOSITORY)
    attributes = nixos_hosts(REPOSITORY)
    return {name: attributes[name] for name, digest in new.items() if old.get(name) != digest}


@contextmanager
def checkout_of(revision: str) -> Iterator[Path]:
    """The repository's files as they were at a git REVISION, in a folder that is gone afterwards.

    Raises:
        OpsError: it is no revision of this repository.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "base")
        result = subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", str(place), revision],
            cwd=REPOSITORY, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if result.returncode:
            why = f"{revision} cannot be compared with: {result.stderr.strip()}"
            raise OpsError(f"{why}. Fix: git fetch, or name another revision")
        try:
            yield place
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(place)], cwd=REPOSITORY, check=False)


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


def build(attributes: Iterable[str], nix: str = "nix", repository: Path = REPOSITORY) -> int:
    """Build the systems of ATTRIBUTES, all in one call, their store paths on standard output; Nix's exit code."""
    return subprocess.run(_build(attributes, nix), cwd=repository, check=False).returncode


def built(attributes: Iterable[str], nix: str = "nix", repository: Path = REPOSITORY) -> list[str]:
    """As `build`; the store paths. What Nix says goes to the terminal.

    Raises:
        OpsError: there is no Nix, or it could not build them.
    """
    try:
        done = subprocess.run(_build(attributes, nix), cwd=repository, check=False, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise OpsError(f"{nix} is not installed here. Fix: run this where Nix is") from None
    if done.returncode:
        raise OpsError("Nix could not build them (above)")
    return done.stdout.split()


def _build(attributes: Iterable[str], nix: str) -> list[str]:
    wanted = [f'.#nixosConfigurations."{attribute}".config.system.build.toplevel' for attribute in attributes]
    return [*nix_command(nix), "build", "--no-link", "--print-out-paths", "--print-build-logs", *wanted]
