"""flake.lock matches flake.nix: Nix accepts it as it is, and every input is pinned."""

import json
from pathlib import Path

import pytest

from nix.tools import evaluate

from .conftest import replace

LOCK = json.loads((evaluate.ROOT / "flake.lock").read_text())


def metadata(flake: Path) -> None:
    """Raises where Nix would write another lock file (or fetch to find out)."""
    evaluate.run(["flake", "metadata", "--json", "--offline", "--no-update-lock-file", f"path:{flake}"])


@pytest.mark.usefixtures("nix")
def test_nix_accepts_the_lock(copy: Path) -> None:
    metadata(copy)


@pytest.mark.usefixtures("nix")
def test_an_input_that_is_not_locked_is_refused(copy: Path) -> None:
    replace(copy / "flake.nix", "inputs = {", 'inputs = {\n    extra.url = "path:/nonexistent";')
    with pytest.raises(evaluate.NixError):
        metadata(copy)


@pytest.mark.usefixtures("nix")
def test_a_follows_that_is_not_in_the_lock_is_refused(copy: Path) -> None:
    replace(copy / "flake.nix", 'inputs.home-manager.follows = "home-manager";', "")
    with pytest.raises(evaluate.NixError):
        metadata(copy)


def test_every_input_is_pinned_by_revision_and_hash() -> None:
    for name, node in LOCK["nodes"].items():
        if name != "root":
            assert len(node["locked"]["rev"]) == 40, name
            assert node["locked"]["narHash"].startswith("sha256-"), name


def test_one_nixpkgs_for_all() -> None:
    assert [name for name in LOCK["nodes"] if name.startswith("nixpkgs")] == ["nixpkgs"]


def test_the_trees_are_what_is_locked(trees: evaluate.Trees) -> None:
    """nixpkgs apart, whose local tree may be a thinned one."""
    for name, node in LOCK["nodes"].items():
        if name not in ("root", "nixpkgs"):
            assert trees.nar_hash(name) == node["locked"]["narHash"], name
