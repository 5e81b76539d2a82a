"""`aether update flake` with Nix itself: what an input's repository has since becomes the lock file, or is only named."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from nix.tools import evaluate
from ops.update.flake import LOCK, flake_inputs

AUTHOR = {f"GIT_{who}_{what}": "o@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def commit(repository: Path, text: str, day: str) -> str:
    """TEXT as the flake of REPOSITORY, committed on a DAY; the revision."""
    environment = {**os.environ, **AUTHOR, "GIT_AUTHOR_DATE": f"{day}T12:00:00Z", "GIT_COMMITTER_DATE": f"{day}T12:00:00Z"}
    (repository / "flake.nix").write_text(text)
    for words in (["init", "-q"], ["add", "flake.nix"], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", *words], cwd=repository, env=environment, check=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def fleet(nix: None, tmp_path: Path) -> Path:
    """A repository whose flake's input has a newer revision than its lock file names."""
    upstream, fleet = tmp_path / "upstream", tmp_path / "fleet"
    upstream.mkdir()
    fleet.mkdir()
    commit(upstream, "{ outputs = _: { a = 1; }; }\n", "2026-01-01")
    text = f'{{ inputs.packages.url = "git+file://{upstream}"; outputs = _: {{ }}; }}\n'
    (fleet / "flake.nix").write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=fleet, check=True)
    subprocess.run(["git", "add", "flake.nix"], cwd=fleet, check=True)
    features = ["--extra-experimental-features", "nix-command flakes"]
    subprocess.run([str(evaluate.NIX), *features, "flake", "lock"], cwd=fleet, check=True, capture_output=True)
    return fleet


def revision(fleet: Path) -> str:
    return str(json.loads((fleet / LOCK).read_text())["nodes"]["packages"]["locked"]["rev"])


def test_a_newer_revision_is_written(fleet: Path, tmp_path: Path) -> None:
    before = revision(fleet)
    assert not flake_inputs(fleet, str(evaluate.NIX), write=True).newer, "it is the newest yet"
    after = commit(tmp_path / "upstream", "{ outputs = _: { a = 2; }; }\n", "2026-02-01")
    looked = flake_inputs(fleet, str(evaluate.NIX), write=False)
    assert revision(fleet) == before
    found = flake_inputs(fleet, str(evaluate.NIX), write=True)
    assert found == looked and revision(fleet) == after
    assert [(pin.what, pin.before, pin.after) for pin in found.newer] == [
        ("packages", f"2026-01-01 ({before[:7]})", f"2026-02-01 ({after[:7]})")
    ]


def test_an_input_that_is_gone_changes_nothing(fleet: Path, tmp_path: Path) -> None:
    before = (fleet / LOCK).read_text()
    (tmp_path / "upstream").rename(tmp_path / "elsewhere")
    found = flake_inputs(fleet, str(evaluate.NIX), write=True)
    assert not found.newer and "Nix could not look for newer inputs" in found.left[0]
    assert (fleet / LOCK).read_text() == before
