"""The image repository with mocks."""

import json
from typing import Any

import pulumi
import pulumi_github as github
import pytest
from pydantic import ValidationError

from components.github.image_repository import ImageRepository, ImageRepositoryArgs
from inventory.load import load
from inventory.models import ImageBuild
from tests.unit.recorder import Recording, record

BUILD = load("inventory/cloud.toml").image
FILES = {"README.md": "# images\n", "recipes/a.yml": "name: a\n"}
DIGEST = "sha256:" + "a" * 64
made: list[ImageRepository] = []
seen: dict[str, Any] = {}


def repository(*, files: dict[str, str] = FILES, published: str = "{}", preview: bool = False, **more: Any) -> Recording:
    arguments: dict[str, Any] = {
        "build": BUILD,
        "files": files,
        "actions": ("anchore/scan-action@*",),
        "required_checks": ("lint", "build aether-kinoite"),
        "signing_key": pulumi.Output.secret("private"),
        "signing_password": pulumi.Output.secret("password"),
        "public_key_file": "image/cosign.pub",
        "token": pulumi.Output.secret("ghp_secret"),
        **more,
    }

    def program() -> None:
        made.append(ImageRepository("aether-image", ImageRepositoryArgs(provider=github.Provider("github"), **arguments)))
        made[-1].images.apply(lambda images: seen.update(images=images))

    def outputs(kind: str, name: str) -> dict[str, Any]:
        if kind == "command:local:Command":
            return {"stdout": published if name.endswith("-images") else json.dumps({"commit": "c1", "built": "b1"})}
        return {"github:index/repository:Repository": {"fullName": "example/aether-image"}}.get(kind, {})

    made.clear()
    seen.clear()
    return record(program, preview=preview, outputs=outputs)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return repository()


def test_vulnerability_alerts_are_on_and_only_squash_merges_are_taken(recording: Recording) -> None:
    inputs = recording.one("repository:Repository", "aether-image").inputs
    assert inputs["vulnerabilityAlerts"] is True and inputs["visibility"] == "public"
    assert (inputs["allowSquashMerge"], inputs["allowMergeCommit"], inputs["allowRebaseMerge"]) == (True, False, False)


def test_workflows_use_named_actions_alone_and_pinned(recording: Recording) -> None:
    inputs = recording.one("ActionsRepositoryPermissions", "aether-image").inputs
    assert inputs["allowedActions"] == "selected" and inputs["shaPinningRequired"] is True
    assert inputs["allowedActionsConfig"]["patternsAlloweds"] == ["anchore/scan-action@*"]
    assert inputs["allowedActionsConfig"]["verifiedAllowed"] is False


def test_a_workflows_token_reads_unless_a_job_says_more(recording: Recording) -> None:
    assert recording.one("WorkflowRepositoryPermissions", "aether-image").inputs["defaultWorkflowPermissions"] == "read"


def test_the_signing_key_is_in_an_environment_that_the_main_branch_alone_deploys_to(recording: Recording) -> None:
    environment = recording.one("RepositoryEnvironment", "aether-image").inputs
    assert environment["deploymentBranchPolicy"] == {"protectedBranches": False, "customBranchPolicies": True}
    policy = recording.one("RepositoryEnvironmentDeploymentPolicy", "aether-image-main")
    assert policy.inputs["branchPattern"] == "main"
    secrets = recording.of("ActionsEnvironmentSecret").values()
    assert {secret.inputs["secretName"]: secret.inputs["plaintextValue"] for secret in secrets} == {
        "COSIGN_PRIVATE_KEY": "private",
        "COSIGN_PASSWORD": "password",
    }
    assert all(any("DeploymentPolicy" in urn for urn in secret.depends_on) for secret in secrets), "no secret before its guard"


def test_files_are_committed_once_everything_that_the_workflow_needs_is_there(recording: Recording) -> None:
    commit = recording.one("local:Command", "aether-image-commit")
    assert json.loads(commit.inputs["stdin"]) == FILES
    for kind in ("ActionsEnvironmentSecret", "DeploymentPolicy", "ActionsRepositoryPermissions", "RepositoryRuleset"):
        assert any(kind in urn for urn in commit.depends_on), kind


def test_the_workflow_of_the_commit_is_waited_for(recording: Recording) -> None:
    waits = recording.one("local:Command", "aether-image-images")
    assert waits.environment["AETHER_COMMIT"] == "b1" and waits.environment["AETHER_WORKFLOW"] == "build.yml"


def test_the_token_is_a_secret_of_both_programs(recording: Recording) -> None:
    for name in ("aether-image-commit", "aether-image-images"):
        assert "AETHER_GITHUB_TOKEN" in recording.secrets[name]


def test_a_change_of_a_file_is_a_change_of_the_commit_alone(recording: Recording) -> None:
    before = {item.name: item for item in recording.resources if item.type.startswith(("github:index", "command:"))}
    after = repository(files={**FILES, "recipes/a.yml": "name: b\n"})
    changed = [item.name for item in after.resources if item.name in before and item.type == before[item.name].type]
    assert [name for name in changed if after.one("", name).inputs != before[name].inputs] == ["aether-image-commit"]


def test_the_main_branch_has_rules(recording: Recording) -> None:
    ruleset = recording.one("RepositoryRuleset", "aether-image")
    assert ruleset.inputs["rules"]["nonFastForward"] is True and ruleset.inputs["rules"]["deletion"] is True
    checks = ruleset.inputs["rules"]["requiredStatusChecks"]["requiredChecks"]
    assert [check["context"] for check in checks] == ["lint", "build aether-kinoite"]


@pytest.mark.parametrize(("plan", "refused"), [("free", True), ("pro", False)])
def test_a_private_repository_needs_a_paid_plan(plan: str, refused: bool) -> None:
    assert BUILD is not None
    values = {**BUILD.model_dump(), "visibility": "private", "plan": plan}
    if not refused:
        assert ImageBuild.model_validate(values).visibility == "private"
        return
    with pytest.raises(ValidationError, match='write visibility = "public", or plan = "pro"'):
        ImageBuild.model_validate(values)


def test_images_are_known_by_digest() -> None:
    reference = f"ghcr.io/example/aether-kinoite@{DIGEST}"
    repository(published=json.dumps({"images": {"aether-kinoite": reference}}))
    assert seen["images"] == {"aether-kinoite": reference}


def test_an_image_without_a_digest_is_a_warning_and_the_rest_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    repository(published=json.dumps({"images": {"a": f"ghcr.io/example/a@{DIGEST}"}, "unreadable": {"b": "b: is private"}}))
    assert list(seen["images"]) == ["a"] and said == ["b: is private"]


def test_a_preview_of_something_new_works() -> None:
    assert repository(preview=True).one("local:Command", "aether-image-commit")


def test_the_repository_is_protected_where_the_stack_wants_it() -> None:
    assert [item.type for item in repository(protect=True).resources if item.protect] == ["github:index/repository:Repository"]
