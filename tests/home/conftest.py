"""A temporary home, and the real programs."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
BIN = REPO / "home" / "bin"
# What a reboot leaves of what the bootstrap made; tests/nix/test_personal.py holds the machines to it.
KEPT = (".config/chezmoi", ".config/git", ".local/share/aether", ".ssh", "SharedHome")
_WHERE = {
    "chezmoi": "`make setup` builds it",
    "age": "`make setup` builds it",
    "age-keygen": "`make setup` builds it",
    "stow": "it is in the distribution's package stow (apt-get install stow)",
}


def search_path() -> str:
    """PATH with the engine's programs first."""
    return os.pathsep.join([str(REPO / ".aether" / "engine" / "bin"), os.environ["PATH"]])


def program(name: str) -> str:
    """Path of a program; skips the test with where to get it otherwise."""
    found = shutil.which(name, path=search_path())
    if found is None:
        pytest.skip(f"{name} is not installed; {_WHERE[name]}")
    return found


@dataclass(frozen=True)
class Home:
    """A home directory and a copy of the repository's part for homes, as the bootstrap lays them out."""

    path: Path
    source: Path

    def run(self, *argv: str | Path, check: bool = True, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command as the owner of the home, who answers what it asks."""
        environment = {
            "HOME": str(self.path),
            "PATH": search_path(),
            "LC_ALL": "C.UTF-8",
            # Nothing of the developer's own configuration, and no repository above the temporary directory.
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CEILING_DIRECTORIES": str(self.path.parent),
        }
        done = subprocess.run(
            [str(word) for word in argv],
            check=False,
            env=environment,
            cwd=self.path,
            text=True,
            capture_output=True,
            input=typed,
        )
        if check:
            assert done.returncode == 0, f"{argv} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home with the repository's `home/` and `inventory/` below ~/.local/share/aether/source."""
    path = tmp_path / "home"
    source = path / ".local" / "share" / "aether" / "source"
    for part in ("home", "inventory"):
        shutil.copytree(REPO / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    return Home(path, source)
