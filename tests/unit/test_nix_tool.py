"""nix/tools/nix.sh: which settings Nix gets."""

import os
import subprocess
from pathlib import Path

from inventory.files import REPOSITORY


def settings(tmp_path: Path, **environment: str) -> list[str]:
    """Nix's settings in their order; the last word on one counts."""
    program = tmp_path / "nix"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$NIX_CONFIG"\n')
    program.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NIX")}
    return subprocess.run(
        [str(REPOSITORY / "nix/tools/nix.sh")],
        env={**clean, "AETHER_NIX": str(program), **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()


def test_flakes_are_there_whatever_the_caller_has_set(tmp_path: Path) -> None:
    theirs = "experimental-features = ca-derivations\nsubstituters = https://cache.example.org\nwarn-dirty = true"
    found = settings(tmp_path, NIX_CONFIG=theirs)
    assert [line for line in found if line in theirs.splitlines()] == theirs.splitlines()
    assert found.index("extra-experimental-features = nix-command flakes") > found.index(theirs.splitlines()[0])
    assert found.index("warn-dirty = true") > found.index("warn-dirty = false")


def test_local_trees_fetch_nothing_whatever_the_caller_has_set(tmp_path: Path) -> None:
    found = settings(tmp_path, NIX_CONFIG="substituters = https://cache.example.org", NIXTREES=str(tmp_path))
    assert found.index("substituters =") > found.index("substituters = https://cache.example.org")


def test_without_settings_of_the_callers(tmp_path: Path) -> None:
    assert settings(tmp_path) == [
        "accept-flake-config = false",
        "warn-dirty = false",
        "extra-experimental-features = nix-command flakes",
    ]
