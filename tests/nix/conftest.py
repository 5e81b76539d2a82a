"""Fixtures: Nix, local trees, one report a host, checkers, and copies of the repository to break."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nix.tools import evaluate

from . import changes, golden
from .golden import nixos_hosts

__all__ = ["nixos_hosts"]
ROOT = evaluate.ROOT
# Checkers that get-checkers.sh cannot build from a registry.
BY_HAND = {"AdGuardHome", "tempo", "wireproxy"}
CACHE = Path(os.environ.get("AETHER_CACHE") or Path.home() / ".cache" / "aether")


@cache
def unwritten_hosts() -> frozenset[str]:
    """Hosts of the inventory that nobody has configured yet."""
    return frozenset(evaluate.host_names(written=False))


@cache
def _report_or_error(name: str) -> evaluate.Result | evaluate.NixError:
    try:
        return evaluate.report(name)
    except evaluate.NixError as error:
        return error


def host_report(name: str) -> evaluate.Result:
    """The host's report: evaluated once a session (a failure is remembered as well), or its golden text.

    Skips a host that is facts only, or that has no golden text.
    """
    if not golden.available():
        try:
            return evaluate.Result(golden.report(name), seconds=0, processor_seconds=0, mebibytes=0, messages="")
        except golden.NotRecorded as error:
            pytest.skip(str(error))
    if name in unwritten_hosts():
        pytest.skip(f"{name} is in the inventory, but has no configuration yet")
    found = _report_or_error(name)
    if isinstance(found, evaluate.NixError):
        raise found
    return found


@pytest.fixture(scope="session")
def nix() -> None:
    """Nix itself, or a skip that says why not."""
    try:
        evaluate.run(["--version"])
    except (evaluate.NixError, OSError) as error:
        pytest.skip(f"no Nix here: {error}")


@pytest.fixture(scope="session")
def trees(nix: None) -> evaluate.Trees:
    """Local trees of the inputs, or a skip."""
    found = evaluate.trees()
    if found is None:
        pytest.skip("NIXTREES is not set: hosts cannot be evaluated without the trees of the flake's inputs")
    return found


def ask(attribute: str, apply: str | None = None) -> Any:
    """Value of an attribute of the flake, evaluated or as recorded; skips where it was not recorded."""
    try:
        return golden.ask(attribute, apply)
    except golden.NotRecorded as error:
        pytest.skip(str(error))


@pytest.fixture
def report() -> Callable[[str], dict[str, Any]]:
    """Function from a host's name to what nix/lib/report.nix says of it."""
    return lambda name: host_report(name).value


def find_checker(program: str) -> str:
    """Path of a checker; skips where it is not installed."""
    places = [
        os.environ.get("AETHER_CHECKERS", ""),
        str(CACHE / "checkers" / "bin"),
        str(Path(sys.executable).parent),
        os.environ["PATH"],
    ]
    path = shutil.which(program, path=os.pathsep.join(place for place in places if place))
    if path is None:
        fix = "install it yourself" if program in BY_HAND else "run nix/tools/get-checkers.sh"
        pytest.skip(f"{program} is not installed: {fix}")
    return path


@pytest.fixture
def checker() -> Callable[[str], str]:
    """Function from a program's name to its path."""
    return find_checker


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the flake is made of, to be changed by a test; ``evaluated`` asks Nix about it."""
    return changes.copied(tmp_path / "copy")


def evaluated(copy: Path, attribute: str, apply: str | None = None) -> Any:
    """What a changed copy evaluates to, or did when it was recorded; skips where it was not.

    Raises:
        evaluate.NixError: Nix refuses the change.
    """
    try:
        return changes.evaluated(copy, attribute, apply=apply)
    except golden.NotRecorded as error:
        pytest.skip(str(error))


def replace(file: Path, old: str, new: str) -> None:
    """Replaces a text that must be there."""
    text = file.read_text()
    assert old in text, f"{file.name} no longer holds {old!r}"
    file.write_text(text.replace(old, new, 1))


def sections(text: str) -> dict[str, str]:
    """What a script printed, by its headings `== NAME`."""
    parts = re.split(r"^== (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
