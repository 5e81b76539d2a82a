"""What can be said of the Nix files without nixpkgs: they parse, are formatted, and nothing in them is dead."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nix.tools import evaluate

from .conftest import CACHE

ROOT = evaluate.ROOT


@pytest.fixture(scope="session")
def nix_programs() -> None:
    """nixfmt and deadnix: any machine with Rust has them, fetched here once, because style is checked everywhere."""
    if not all((CACHE / "checkers" / "bin" / program).exists() for program in ("nixfmt", "deadnix")):
        subprocess.run([ROOT / "nix" / "tools" / "get-checkers.sh", "--nix"], check=False, timeout=1200)


def nix_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.nix"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split("\0")
    return [ROOT / name for name in listed if name and (ROOT / name).exists()]


def parses(file: Path) -> str:
    """Type of the file's value; importing it parses it."""
    expression = f"builtins.typeOf (import {evaluate.path_literal(file)})"
    return str(evaluate.run(["eval", "--json", "--impure", "--expr", expression], json_output=True).value)


@pytest.mark.usefixtures("nix")
def test_every_file_parses() -> None:
    files = nix_files()
    assert len(files) > 20
    listed = " ".join(map(evaluate.path_literal, files))
    expression = f"map (file: builtins.typeOf (import file)) [ {listed} ]"
    types = evaluate.run(["eval", "--json", "--impure", "--expr", expression], json_output=True).value
    assert set(types) <= {"lambda", "set"}


@pytest.mark.usefixtures("nix")
def test_a_file_that_does_not_parse_is_found(tmp_path: Path) -> None:
    file = tmp_path / "broken.nix"
    file.write_text("{ a = 1 }")
    with pytest.raises(evaluate.NixError, match="syntax error"):
        parses(file)


@pytest.mark.usefixtures("nix_programs")
def test_every_file_is_formatted(checker: Callable[[str], str]) -> None:
    result = subprocess.run([checker("nixfmt"), "--check", *map(str, nix_files())], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.usefixtures("nix_programs")
def test_nothing_is_dead(checker: Callable[[str], str]) -> None:
    result = subprocess.run(
        [checker("deadnix"), "--output-format", "json", *map(str, nix_files())],
        capture_output=True,
        text=True,
        check=False,
    )
    dead = [json.loads(line) for line in result.stdout.splitlines() if line.strip()]
    assert [(entry["file"], entry["results"]) for entry in dead if entry["results"]] == []


def test_no_file_is_two_ideas() -> None:
    """Over 8 kB a module is two modules."""
    assert [file.name for file in nix_files() if file.stat().st_size > 8192] == []


def test_shell_is_clean(checker: Callable[[str], str]) -> None:
    scripts = sorted((ROOT / "nix").rglob("*.sh"))
    result = subprocess.run([checker("shellcheck"), *map(str, scripts)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
