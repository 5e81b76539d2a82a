"""Repositories as `aether init` makes them: a clone of Aether to be run in, and fleets beside it."""

import os
import subprocess
from pathlib import Path

import pytest

from inventory.files import REPOSITORY
from inventory.keys import new_ssh_key
from tests.system.checkout import Checkout, Result

WHO = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def clone(path: Path, home: Path) -> Checkout:
    """Aether as it is checked out here, committed, for a person whose home HOME is: with an SSH key, and nothing else."""
    if not (REPOSITORY / ".aether/engine/bin/sops").exists():
        pytest.skip("the engine is not there; make it with: ./aether engine ensure")
    (home / ".ssh").mkdir(parents=True)
    private, public = new_ssh_key("ada")
    (home / ".ssh/id_ed25519").write_text(private)
    (home / ".ssh/id_ed25519.pub").write_text(f"{public} ada\n")
    caches = {
        "AETHER_CACHE": os.environ.get("AETHER_CACHE") or str(Path.home() / ".cache/aether"),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache/uv"),
    }
    checkout = Checkout.make(path)
    checkout.environment.update({"HOME": str(home), **WHO, **caches})
    commit(checkout.path, "Aether")
    return checkout


def init(aether: Checkout, target: Path, answers: str = "") -> Result:
    """`aether init TARGET` with the answers of this text."""
    file = target.parent / f"{target.name}.toml"
    file.write_text(answers)
    return aether.run("./aether", "init", str(target), "--answers", str(file))


def commit(path: Path, message: str) -> str:
    """Everything in the repository at PATH, committed; the commit."""
    environment = {**os.environ, **WHO}
    for command in (["add", "--all"], ["commit", "--quiet", "--message", message]):
        subprocess.run(["git", *command], cwd=path, env=environment, check=True)
    return git(path, "rev-parse", "HEAD")


def git(path: Path, *arguments: str) -> str:
    """What git prints."""
    return subprocess.run(["git", *arguments], cwd=path, capture_output=True, text=True, check=True).stdout.strip()
