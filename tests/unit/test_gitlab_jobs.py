"""GitLab's jobs by a runner that reads GitLab's language (gitlab-ci-local): which run when, and each line in its order.

What the lines start (make, nix, aether) are fakes that write down how they were called; the shell, the rules, the
variables are the runner's.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from inventory.files import REPOSITORY

CACHE = Path(os.environ.get("AETHER_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aether")
STAND_IN = """#!/bin/sh
echo "${0##*/} $*" >>"$CALLS"
[ "${0##*/} $*" != "$FAILS" ] || exit 7
"""
REQUEST = {
    "CI_PIPELINE_SOURCE": "merge_request_event",
    "CI_MERGE_REQUEST_DIFF_BASE_SHA": "0123abc",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "3",
    "CI_PROJECT_ID": "3",
}
FORK = {**REQUEST, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "4"}


@dataclass(frozen=True)
class Clone:
    """A clone as a runner has it, whose commands are fakes."""

    path: Path

    def run(self, *arguments: str, fails: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(CACHE / "checkers/gitlab/node_modules/.bin/gitlab-ci-local"), *arguments]
        command += [word for name, value in variables.items() for word in ("--variable", f"{name}={value}")]
        environment = {
            "PATH": f"{self.path / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.path.parent),
            "CALLS": str(self.path.parent / "calls"),
            "FAILS": fails,
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        return subprocess.run(command, cwd=self.path, env=environment, capture_output=True, text=True, check=False, timeout=300)

    def calls(self) -> list[str]:
        file = self.path.parent / "calls"
        found = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return found

    def jobs(self, **variables: str) -> dict[str, str]:
        """Jobs of a pipeline that are in it: name to when."""
        told = self.run("--list-json", **variables)
        assert told.returncode == 0, told.stderr
        # Warnings before it name variables in brackets.
        listed = json.JSONDecoder().raw_decode(told.stdout[re.search(r"\[\s*\{", told.stdout).start() :])[0]  # type: ignore[union-attr]
        return {job["name"]: job["when"] for job in listed if job["when"] != "never"}


def git(*arguments: str | Path, at: Path) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *map(str, arguments)]
    subprocess.run(command, cwd=at, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    there = all((CACHE / "checkers/gitlab" / part).exists() for part in ("node_modules/gitlab-ci-local", "run"))
    if not shutil.which("node") or not there:
        pytest.skip("gitlab-ci-local is not there: run nix/tools/get-checkers.sh --more, with Node")
    origin = tmp_path / "origin"
    (origin / "nix").mkdir(parents=True)
    (origin / "bin").mkdir()
    shutil.copy(REPOSITORY / ".gitlab-ci.yml", origin)
    (origin / "nix/host.nix").write_text("{ }\n")
    for name in ("bin/make", "bin/nix", "aether"):
        (origin / name).write_text(STAND_IN)
        (origin / name).chmod(0o755)
    git("init", "-q", "-b", "main", at=origin)
    git("add", "-A", at=origin)
    git("commit", "-qm", "base", at=origin)
    git("clone", "-q", origin, tmp_path / "clone", at=tmp_path)
    made = Clone(tmp_path / "clone")
    rsync = made.path / "bin/rsync"
    rsync.write_text(f'#!/bin/sh\nexec {CACHE / "checkers/gitlab/run"} usr/bin/rsync "$@"\n')
    rsync.chmod(0o755)
    with (made.path / ".git/info/exclude").open("a") as exclude:
        exclude.write("/bin/rsync\n/.gitlab-ci-local\n")
    # What GitLab's variables are made of.
    git("remote", "set-url", "origin", "git@gitlab.example.org:owner/aether.git", at=made.path)
    return made


def change(clone: Clone, file: str, branch: str = "change") -> None:
    git("checkout", "-q", "-B", branch, at=clone.path)
    (clone.path / file).write_text("changed\n")
    git("add", "-A", at=clone.path)
    git("commit", "-qm", "change", at=clone.path)


def test_a_request_that_touches_hosts_is_checked_built_and_reviewed(clone: Clone) -> None:
    change(clone, "nix/host.nix")
    assert set(clone.jobs(**REQUEST)) == {"test", "hosts", "review"}
    assert set(clone.jobs(**FORK)) == {"test", "hosts", "review-fork"}, "a fork's has no secrets"


def test_one_that_touches_none_is_checked_alone(clone: Clone) -> None:
    change(clone, "notes.txt")
    assert set(clone.jobs(**REQUEST)) == {"test"}


def test_main_is_deployed_by_hand_alone(clone: Clone) -> None:
    change(clone, "nix/host.nix", "main")
    jobs = clone.jobs(CI_PIPELINE_SOURCE="push")
    assert {name for name, when in jobs.items() if when == "manual"} == {"deploy-staging", "deploy-homelab", "deploy-cloud"}
    assert {name for name, when in jobs.items() if when == "on_success"} == {"test", "hosts"}


def test_jobs_of_a_request_run_their_lines_in_order(clone: Clone) -> None:
    change(clone, "nix/host.nix")
    done = clone.run("hosts", **REQUEST)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = ["make setup", "aether inventory check", "nix flake check --no-build", "aether changed --base 0123abc --build"]
    assert clone.calls() == expected
    for job, variables, words in (("review", REQUEST, "--post"), ("review-fork", FORK, "--evaluation --base 0123abc")):
        done = clone.run(job, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        stacks = [f"aether --stack {stack} review {words}" for stack in ("homelab", "cloud")]
        assert clone.calls() == ["make setup", *stacks]


def test_a_line_that_fails_ends_its_job(clone: Clone) -> None:
    change(clone, "nix/host.nix")
    done = clone.run("hosts", fails="aether inventory check", **REQUEST)
    assert done.returncode != 0
    assert clone.calls() == ["make setup", "aether inventory check"]


def test_a_deployment_does_what_was_previewed(clone: Clone) -> None:
    done = clone.run("deploy-staging", CI_PIPELINE_SOURCE="push", LOSSES="--replace web")
    assert done.returncode == 0, done.stdout + done.stderr
    assert clone.calls() == [
        "make preview STACK=staging ARGS=--save-plan .aether/plan.json",
        "aether --stack staging up --yes --plan .aether/plan.json --replace web",
        "make status STACK=staging",
    ]
