"""Fixtures: Nix, local trees, one report a host, checkers, and copies of the repository to break."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from inventory.overlay import document
from nix.tools import evaluate

ROOT = evaluate.ROOT
# Checkers that get-checkers.sh cannot build from a registry.
BY_HAND = {"AdGuardHome", "bao", "tempo"}
CACHE = Path(os.environ.get("AETHER_CACHE") or Path.home() / ".cache" / "aether")


def nixos_hosts() -> dict[str, dict[str, Any]]:
    """NixOS hosts of all inventory files: name to facts, read without Nix."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((ROOT / "inventory").glob("*.toml")):
        hosts = document(file)["hosts"]
        found |= {
            name: facts
            for name, facts in hosts.items()
            if facts["kind"].startswith("nixos-") or (facts["kind"] == "cloud-vm" and facts["os"] == "nixos")
        }
    return found


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
    """The host's report, evaluated once a session; a failure is remembered as well. Skips a host that is facts only."""
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


@pytest.fixture
def report(trees: evaluate.Trees) -> Callable[[str], dict[str, Any]]:
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
    """What the flake is made of, copied, to be changed by a test. Evaluate it as ``path:COPY``."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "flake.nix", "flake.lock", "nix", "inventory", "secrets"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout.split("\0")
    target = tmp_path / "copy"
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


def replace(file: Path, old: str, new: str) -> None:
    """Replaces a text that must be there."""
    text = file.read_text()
    assert old in text, f"{file.name} no longer holds {old!r}"
    file.write_text(text.replace(old, new, 1))


def sections(text: str) -> dict[str, str]:
    """What a script printed, by its headings `== NAME`."""
    parts = re.split(r"^== (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def show(derivation: str) -> dict[str, Any]:
    """A derivation as Nix prints it."""
    shown = evaluate.run(["derivation", "show", derivation], json_output=True).value
    shown = shown.get("derivations", shown)
    return next(iter(shown.values()))


def build_text(derivations: list[str], name: str) -> str:
    """The text that a build's input called ``name`` writes: what a generated file will hold, before any build."""
    todo = list(derivations)
    for _ in range(40):
        if not todo:
            break
        shown = show(todo.pop(0))
        attributes = shown["env"] | json.loads(shown["env"].get("__json", "{}"))
        if attributes.get("name") == name and "text" in attributes:
            return str(attributes["text"])
        todo += [path for path in shown["inputDrvs"] if name in path]
    raise AssertionError(f"no text called {name} behind {derivations}")
