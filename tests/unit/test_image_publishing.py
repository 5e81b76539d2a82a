"""Commit and wait, against the simulated GitHub; whose branches get the signing key; what the token has to be allowed."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aether_sim.github.actions import may_deploy
from aether_sim.github.permissions import GRANTED
from components.github.api import Api, Failed
from components.github.permissions import PERMISSIONS
from components.github.published import wait
from components.github.push import blob_id, push
from ops.github import github as command
from ops.stack import Stack
from tests.unit.github_server import FILES, TOKEN, Served, served

IGNORED = ["**.md"]


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    real = time.sleep
    monkeypatch.setattr("components.github.published.time.sleep", lambda seconds: real(0.02))
    with served(tmp_path) as running:
        yield running


@pytest.fixture
def api(github: Served) -> Api:
    return github.client()


def waited(api: Api, commit: str, *, timeout: float = 60, appear: float = 60) -> list[str]:
    said: list[str] = []
    wait(api, commit, "build.yml", "main", timeout, appear, said.append)
    return said


class TestPush:
    def test_every_file_comes_in_one_commit(self, github: Served, api: Api) -> None:
        answer = push(api, "main", FILES, {}, IGNORED)
        git = github.api.store.git(github.repository)
        assert git.run("rev-list", "--count", "main") == "2"
        assert git.files(git.tree("main")) == {path: blob_id(text) for path, text in FILES.items()}
        assert answer["commit"] == answer["built"] == git.head()

    def test_nothing_new_is_no_commit(self, api: Api) -> None:
        first = push(api, "main", FILES, {}, IGNORED)
        assert push(api, "main", FILES, first, IGNORED) == first

    def test_what_it_pushed_and_is_not_wanted_goes_and_what_others_put_there_stays(self, github: Served, api: Api) -> None:
        first = push(api, "main", {**FILES, "old.yml": "old\n"}, {}, IGNORED)
        push(api, "main", {"theirs.txt": "somebody's\n"}, {}, IGNORED)
        push(api, "main", FILES, first, IGNORED)
        git = github.api.store.git(github.repository)
        assert set(git.files(git.tree("main"))) == {*FILES, "theirs.txt"}

    def test_what_nothing_is_built_for_leaves_the_build_before(self, api: Api) -> None:
        first = push(api, "main", FILES, {}, IGNORED)
        second = push(api, "main", {**FILES, "README.md": "# other\n"}, first, IGNORED)
        assert second["commit"] != first["commit"] and second["built"] == first["built"]


class TestWait:
    def test_a_run_is_waited_for_and_its_jobs_are_told(self, github: Served, api: Api) -> None:
        commit = push(api, "main", FILES, {}, IGNORED)["built"]
        said = waited(api, commit)
        assert said[-1].endswith("ended well") and "https://github.com/example/aether-image/actions/runs/" in said[-1]
        assert github.published == [("one", commit), ("two", commit)]

    def test_a_failed_run_is_told_with_its_log_and_started_again_by_the_next(self, github: Served, api: Api) -> None:
        github.faults["workflow-fails"] = 1
        github.actions.step = 0.5
        commit = push(api, "main", FILES, {}, IGNORED)["built"]
        with pytest.raises(Failed) as error:
            waited(api, commit)
        for words in (
            "ended with failure",
            "job build one:",
            "package 'no-such-package' was not found",
            "/actions/runs/",
            "Fix: ",
        ):
            assert words in str(error.value)
        github.actions.step = 0.01
        assert any("starts its failed jobs again" in line for line in waited(api, commit))
        assert len(github.published) == 2

    def test_a_run_that_takes_too_long_is_told_with_its_page(self, github: Served, api: Api) -> None:
        github.faults["workflow-slow"] = 1
        commit = push(api, "main", FILES, {}, IGNORED)["built"]
        with pytest.raises(Failed, match=r"actions/runs/\d+: not done after 0 s.*aether:imageTimeout"):
            waited(api, commit, timeout=0.3)

    def test_a_commit_without_a_run_gets_one(self, github: Served, api: Api) -> None:
        commit = push(api, "main", FILES, {}, IGNORED)["built"]
        waited(api, commit)
        github.repository.runs.clear()
        said = waited(api, commit, appear=0)
        assert any("starts one" in line for line in said) and github.repository.runs[0]["event"] == "workflow_dispatch"


class TestSigningKey:
    @pytest.mark.parametrize(
        ("policy", "policies", "other"),
        [
            (None, {}, True),
            # A ruleset is no branch protection rule: as if there were no policy.
            ({"protected_branches": True, "custom_branch_policies": False}, {}, True),
            ({"protected_branches": False, "custom_branch_policies": True}, {"1": {"name": "main"}}, False),
        ],
    )
    def test_which_branches_a_policy_lets_deploy(self, github: Served, policy: Any, policies: Any, other: bool) -> None:
        repository = github.repository
        repository.rulesets = {"1": {"name": "main"}}
        repository.environments["release"] = {"id": 1, "deployment_branch_policy": policy, "policies": policies}
        assert may_deploy(repository, "release", "main")
        assert may_deploy(repository, "release", "other") is other

    def test_another_branchs_workflow_gets_no_secret(self, github: Served, api: Api) -> None:
        custom = {"protected_branches": False, "custom_branch_policies": True}
        github.repository.environments["release"] = {
            "id": 1, "deployment_branch_policy": custom, "policies": {"1": {"name": "main"}}
        }  # fmt: skip
        waited(api, push(api, "main", FILES, {}, IGNORED)["built"])
        api.send("POST", "git/refs", {"ref": "refs/heads/other", "sha": api.get("git/ref/heads/main")["object"]["sha"]})
        commit = push(api, "other", {**FILES, "recipes/one.yml": "name: evil\n"}, {}, IGNORED)["built"]
        github.published.clear()
        with pytest.raises(Failed, match='Branch "other" is not allowed to deploy to release'):
            waited(api, commit)
        assert github.published == []


# What the provider asks for each resource of the component, beside what the component's own programs do.
REPOSITORY = "repos/example/aether-image"
REQUESTS = [
    ("POST", "user/repos"),
    ("GET", REPOSITORY),
    ("PUT", f"{REPOSITORY}/topics"),
    ("PUT", f"{REPOSITORY}/vulnerability-alerts"),
    ("PUT", f"{REPOSITORY}/actions/permissions"),
    ("PUT", f"{REPOSITORY}/actions/permissions/workflow"),
    ("POST", f"{REPOSITORY}/rulesets"),
    ("PUT", f"{REPOSITORY}/environments/release"),
    ("GET", f"{REPOSITORY}/environments/release"),
    ("POST", f"{REPOSITORY}/environments/release/deployment-branch-policies"),
    ("PUT", "repositories/1001/environments/release/secrets/COSIGN_PASSWORD"),
    ("POST", f"{REPOSITORY}/git/trees"),
    ("GET", f"{REPOSITORY}/actions/runs"),
    ("POST", f"{REPOSITORY}/actions/runs/1/rerun-failed-jobs"),
]


class TestToken:
    def refused(self, github: Served) -> set[str]:
        """What the answers to REQUESTS say is missing."""
        found = set()
        for method, path in REQUESTS:
            request = urllib.request.Request(
                f"{github.url}/api/v3/{path}", method=method, data=None if method == "GET" else b"{}"
            )
            request.add_header("Authorization", f"Bearer {TOKEN}")
            try:
                urllib.request.urlopen(request, timeout=30).close()
            except urllib.error.HTTPError as error:
                if error.code == 403:
                    found.add(error.headers["X-Accepted-GitHub-Permissions"].partition("=")[0])
        return found

    def test_it_is_printed_with_what_it_is_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert command(Stack("cloud"), ["token"]) == 0
        text = capsys.readouterr().out
        assert all(permission.shown in text for permission in PERMISSIONS.values())
        assert "cannot create one" in text and "pulumi -s cloud config set --secret aether:githubToken" in text

    def test_what_is_printed_is_what_the_simulated_token_has(self) -> None:
        assert {name: permission.level for name, permission in PERMISSIONS.items() if name != "metadata"} == GRANTED

    @pytest.mark.parametrize("permission", sorted(GRANTED.keys() - {"workflows"}))
    def test_each_permission_is_needed_and_named(self, github: Served, permission: str) -> None:
        github.api.granted = {name: level for name, level in GRANTED.items() if name != permission}
        assert self.refused(github) == {permission}

    @pytest.mark.parametrize("permission", ["administration", "contents", "environments"])
    def test_reading_is_not_enough(self, github: Served, permission: str) -> None:
        github.api.granted = {**GRANTED, permission: "read"}
        assert self.refused(github) == {permission}

    def test_a_workflow_file_needs_a_permission_of_its_own(self, github: Served, api: Api) -> None:
        github.api.granted = {name: level for name, level in GRANTED.items() if name != "workflows"}
        with pytest.raises(Failed, match=r"403.*workflows.*./aether github token"):
            push(api, "main", FILES, {}, IGNORED)

    def test_together_they_suffice(self, github: Served, api: Api) -> None:
        github.api.granted = GRANTED
        assert self.refused(github) == set()
        waited(api, push(api, "main", FILES, {}, IGNORED)["built"])
