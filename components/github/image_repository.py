"""The repository that builds, signs and publishes the Fedora Atomic images."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_command as command
import pulumi_github as github
from pydantic import Field

from components.base import PYTHON, Args, Component, Text
from components.registry.lookup import Answer
from inventory.models import ImageBuild

BRANCH = "main"
ENVIRONMENT = "release"
# GitHub's built-in role "admin" (https://docs.github.com/rest/repos/rules: bypass_actors).
_ADMIN_ROLE = 5


class ImageRepositoryArgs(Args):
    build: ImageBuild = Field(description="Owner, repository, image names, visibility.")
    registry: str = Field(default="ghcr.io", description="Registry that the images are published to.")
    files: Mapping[str, str] = Field(description="Path to content of every file of the repository.")
    actions: tuple[str, ...] = Field(
        description="Actions that workflows may use, like blue-build/github-action@*; GitHub's own besides."
    )
    required_checks: tuple[str, ...] = Field(default=(), description="Jobs that a pull request must pass.")
    signing_key: Text = Field(description="cosign private key, encrypted with the password. Secret.")
    signing_password: Text = Field(description="Its password. Secret.")
    public_key_file: str = Field(description="Public half, relative to the repository; published images must be signed by it.")
    adopt: bool = Field(
        default=False, description="The repository exists already: import it instead of creating it. For one run."
    )
    protect: bool = Field(default=False, description="Refuse to destroy the repository.")
    provider: pulumi.ProviderResource = Field(description="The github provider, with the owner's token.")


class ImageRepository(Component):
    """A repository whose tree is ``image/``, and which signs what it publishes.

    Creates:
        - ``github:Repository`` with vulnerability alerts; ``github:RepositoryRuleset`` for the main branch.
        - ``github:ActionsRepositoryPermissions``: named actions alone, each pinned by commit;
          ``github:WorkflowRepositoryPermissions``: a read-only token by default.
        - ``github:RepositoryEnvironment`` that only the protected branch deploys to, and in it the two
          ``github:ActionsEnvironmentSecret`` of the signing key: a pull request's build cannot read them.
        - ``github:RepositoryFile`` for each file: a change is one commit a file.

    GitHub has no API for the visibility of a package: it is private until the owner makes it public once on its page
    (docs/image.md). What is kept of it is the workflow's last job.

    Outputs:
        full_name: OWNER/NAME.  clone_url.  images: image name to ``REGISTRY/OWNER/NAME@sha256:…``, signature verified; an image
        that was never published is not in it.
    """

    repository: github.Repository
    files: dict[str, github.RepositoryFile]

    def __init__(self, name: str, args: ImageRepositoryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:github:ImageRepository", name, opts)
        self.repository = github.Repository(
            name,
            name=args.build.repository,
            description="Fedora Atomic images, built by BlueBuild; kept by Aether",
            topics=["atomic", "bluebuild", "fedora", "image", "kinoite"],
            visibility=args.build.visibility,
            auto_init=True,
            has_issues=True,
            has_projects=False,
            has_wiki=False,
            allow_merge_commit=False,
            allow_rebase_merge=False,
            allow_squash_merge=True,
            delete_branch_on_merge=True,
            vulnerability_alerts=True,
            opts=self.child(
                provider=args.provider,
                protect=args.protect,
                import_=args.build.repository if args.adopt else None,
                # Only read when a repository is made; one that was adopted had another.
                ignore_changes=["autoInit"],
            ),
        )
        options = self._part(args)
        github.ActionsRepositoryPermissions(
            name,
            repository=self.repository.name,
            enabled=True,
            allowed_actions="selected",
            allowed_actions_config=github.ActionsRepositoryPermissionsAllowedActionsConfigArgs(
                github_owned_allowed=True, verified_allowed=False, patterns_alloweds=sorted(args.actions)
            ),
            sha_pinning_required=True,
            opts=options,
        )
        github.WorkflowRepositoryPermissions(
            name,
            repository=self.repository.name,
            default_workflow_permissions="read",
            can_approve_pull_request_reviews=False,
            opts=options,
        )
        self._signing_secrets(name, args)
        self.files = {
            path: github.RepositoryFile(
                f"{name}-{path}",
                repository=self.repository.name,
                branch=BRANCH,
                file=path,
                content=content,
                commit_message=f"Sync {path}",
                commit_author="Aether",
                commit_email="aether@users.noreply.github.com",
                # The one that GitHub made with the repository (README.md), or a former run's.
                overwrite_on_create=True,
                opts=options,
            )
            for path, content in args.files.items()
        }
        self._ruleset(name, args)
        self.full_name = self.repository.full_name
        self.clone_url = self.repository.http_clone_url
        self.images = self._published(args)
        self.done({"full_name": self.full_name, "clone_url": self.clone_url, "images": self.images})

    def _part(self, args: ImageRepositoryArgs, **options: Any) -> pulumi.ResourceOptions:
        """Options of what goes with the repository: no commits that remove its files before it is removed."""
        return self.child(provider=args.provider, deleted_with=self.repository, **options)

    def _signing_secrets(self, name: str, args: ImageRepositoryArgs) -> None:
        environment = github.RepositoryEnvironment(
            name,
            repository=self.repository.name,
            environment=ENVIRONMENT,
            can_admins_bypass=False,
            deployment_branch_policy=github.RepositoryEnvironmentDeploymentBranchPolicyArgs(
                protected_branches=True, custom_branch_policies=False
            ),
            opts=self._part(args),
        )
        for secret, value in (("COSIGN_PRIVATE_KEY", args.signing_key), ("COSIGN_PASSWORD", args.signing_password)):
            github.ActionsEnvironmentSecret(
                f"{name}-{secret.lower().replace('_', '-')}",
                repository=self.repository.name,
                environment=environment.environment,
                secret_name=secret,
                plaintext_value=pulumi.Output.secret(value),
                opts=self._part(args),
            )

    def _ruleset(self, name: str, args: ImageRepositoryArgs) -> None:
        checks = [
            github.RepositoryRulesetRulesRequiredStatusChecksRequiredCheckArgs(context=check) for check in args.required_checks
        ]
        github.RepositoryRuleset(
            name,
            name=BRANCH,
            repository=self.repository.name,
            target="branch",
            enforcement="active",
            conditions=github.RepositoryRulesetConditionsArgs(
                ref_name=github.RepositoryRulesetConditionsRefNameArgs(includes=["~DEFAULT_BRANCH"], excludes=[])
            ),
            # The files above are commits of the owner's on the branch itself.
            bypass_actors=[
                github.RepositoryRulesetBypassActorArgs(actor_type="RepositoryRole", actor_id=_ADMIN_ROLE, bypass_mode="always")
            ],
            rules=github.RepositoryRulesetRulesArgs(
                deletion=True,
                non_fast_forward=True,
                required_linear_history=True,
                pull_request=github.RepositoryRulesetRulesPullRequestArgs(
                    required_approving_review_count=0, required_review_thread_resolution=True
                ),
                required_status_checks=github.RepositoryRulesetRulesRequiredStatusChecksArgs(
                    required_checks=checks, strict_required_status_checks_policy=True
                )
                if checks
                else None,
            ),
            # Rules that hold before the first file is there would refuse it to owners without the role.
            opts=self._part(args, depends_on=list(self.files.values())),
        )

    def _published(self, args: ImageRepositoryArgs) -> pulumi.Output[dict[str, str]]:
        """What the registry has under ``latest``; a digest that the key did not sign ends the run."""
        answer = command.local.run_output(
            command=f"{PYTHON} -m components.registry.digests",
            environment={
                "AETHER_REGISTRY": f"{args.registry}/{args.build.owner}",
                "AETHER_IMAGES": " ".join(args.build.images),
                "AETHER_PUBLIC_KEY": args.public_key_file,
            },
            logging=command.local.Logging.STDERR,
            opts=pulumi.InvokeOutputOptions(parent=self),
        )
        return answer.stdout.apply(_images)


def _images(stdout: Any) -> dict[str, str]:
    found = json.loads(stdout or "{}")
    if "error" in found:
        raise pulumi.RunError(str(found["error"]))
    answer = Answer.model_validate(found)
    for reason in answer.unreadable.values():
        pulumi.log.warn(reason)
    return answer.images
