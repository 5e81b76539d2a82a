"""The image repository with mocks."""

import json
from typing import Any

import pulumi
import pulumi_github as github
import pytest

from components.github.image_repository import ImageRepository, ImageRepositoryArgs
from inventory.load import load
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
        **more,
    }

    def program() -> None:
        made.append(ImageRepository("aether-image", ImageRepositoryArgs(provider=github.Provider("github"), **arguments)))
        made[-1].images.apply(lambda images: seen.update(images=images))

    def outputs(kind: str, name: str) -> dict[str, Any]:
        return {"command:local:run": {"stdout": published}}.get(kind, {})

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


def test_the_signing_key_is_in_the_environment_of_the_protected_branch(recording: Recording) -> None:
    environment = recording.one("RepositoryEnvironment", "aether-image").inputs
    assert environment["deploymentBranchPolicy"] == {"protectedBranches": True, "customBranchPolicies": False}
    secrets = recording.of("ActionsEnvironmentSecret").values()
    assert {secret.inputs["secretName"]: secret.inputs["plaintextValue"] for secret in secrets} == {
        "COSIGN_PRIVATE_KEY": "private",
        "COSIGN_PASSWORD": "password",
    }


def test_each_file_is_a_resource_so_that_a_change_is_one_commit(recording: Recording) -> None:
    before, after = recording.of("RepositoryFile"), repository(files={**FILES, "recipes/a.yml": "name: b\n"}).of("RepositoryFile")
    assert [name for name in before if before[name].inputs != after[name].inputs] == ["aether-image-recipes/a.yml"]
    assert {file.inputs["branch"] for file in before.values()} == {"main"}


def test_rules_hold_after_the_files_are_there(recording: Recording) -> None:
    ruleset = recording.one("RepositoryRuleset", "aether-image")
    assert sum("RepositoryFile" in urn for urn in ruleset.depends_on) == len(FILES)
    assert ruleset.inputs["rules"]["nonFastForward"] is True and ruleset.inputs["rules"]["deletion"] is True
    checks = ruleset.inputs["rules"]["requiredStatusChecks"]["requiredChecks"]
    assert [check["context"] for check in checks] == ["lint", "build aether-kinoite"]


def test_images_are_known_by_digest() -> None:
    reference = f"ghcr.io/example/aether-kinoite@{DIGEST}"
    repository(published=json.dumps({"images": {"aether-kinoite": reference}}))
    assert seen["images"] == {"aether-kinoite": reference}


def test_an_image_without_a_digest_is_a_warning_and_the_rest_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    repository(published=json.dumps({"images": {"a": f"ghcr.io/example/a@{DIGEST}"}, "unreadable": {"b": "b: is private"}}))
    assert list(seen["images"]) == ["a"] and said == ["b: is private"]


def test_an_image_that_the_key_did_not_sign_ends_the_run() -> None:
    with pytest.raises(pulumi.RunError, match="not signed"):
        repository(published=json.dumps({"error": "ghcr.io/example/a is not signed by the key"}))


def test_a_preview_of_something_new_works() -> None:
    assert len(repository(preview=True).of("RepositoryFile")) == len(FILES)


def test_the_repository_is_protected_where_the_stack_wants_it() -> None:
    assert [item.type for item in repository(protect=True).resources if item.protect] == ["github:index/repository:Repository"]
