"""The repository that builds, signs and publishes the Fedora Atomic images."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_command as command
import pulumi_github as github
from pydantic import Field

from components.base import Args, Component, Text
from components.github.workflow import ignored_paths
from components.registry.lookup import Answer
from components.requests import PublishedRequest, PushRequest, local_command
from inventory.models import ImageBuild

BRANCH = "main"
ENVIRONMENT = "release"
WORKFLOW = "build.yml"
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
    api: str = Field(default="https://api.github.com/", description="URL of the GitHub API.")
    token: Text = Field(description="The owner's token, for the commit and the wait. Secret.")
    timeout: int = Field(default=7200, description="Seconds that a build may take.")
    attempt: int = Field(default=0, description="Another number looks at the registry again: one an earlier run could not read.")
    again: str = Field(default="", description="Another text looks for the newest build, like the weekly one's.")
    adopt: bool = Field(
        default=False, description="The repository exists already: import it instead of creating it. For one run."
    )
    adopt_ruleset: str | None = Field(default=None, description="Id of its ruleset of that name, where it has one.")
    adopt_policy: str | None = Field(default=None, description="Id of its deployment branch policy, where it has one.")
    protect: bool = Field(default=False, description="Refuse to destroy the repository.")
    provider: pulumi.ProviderResource = Field(description="The github provider, with the owner's token.")


class ImageRepository(Component):
    """A repository whose tree is ``image/``, and which signs what it publishes.

    Creates:
        - ``github:Repository`` with vulnerability alerts; ``github:RepositoryRuleset`` for the main branch.
        - ``github:ActionsRepositoryPermissions``: named actions alone, each pinned by commit;
          ``github:WorkflowRepositoryPermissions``: a read-only token by default.
        - ``github:RepositoryEnvironment`` with a ``github:RepositoryEnvironmentDeploymentPolicy``, so that the main branch alone
          deploys to it, and in it the two ``github:ActionsEnvironmentSecret`` of the signing key: another branch's workflow, or a
          pull request's, cannot read them.
        - ``command:local:Command`` that commits the files (components/github/push.py): a change is one commit.
        - ``command:local:Command`` that waits for the workflow run of that commit (components/github/published.py).

    GitHub has no API for the visibility of a package: it is private until the owner makes it public once on its page
    (docs/image.md). What is kept of it is the workflow's last job.

    Outputs:
        full_name: OWNER/NAME.  clone_url.  commit: the branch's.
        images: image name to ``REGISTRY/OWNER/NAME@sha256:…``, signature verified; one that the registry never gave is not in it.
        unreadable: image name to why the registry does not give it.
    """

    repository: github.Repository
    push: command.local.Command
    published: command.local.Command

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
        permissions = github.ActionsRepositoryPermissions(
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
        token = github.WorkflowRepositoryPermissions(
            name,
            repository=self.repository.name,
            default_workflow_permissions="read",
            can_approve_pull_request_reviews=False,
            opts=options,
        )
        self._rules = [permissions, token, self._ruleset(name, args)]
        self.push = self._pushed(name, args, self._signing_secrets(name, args))
        self.published = self._published(name, args)
        answer = self.published.stdout.apply(lambda text: Answer.model_validate_json(text or "{}"))
        self.full_name = self.repository.full_name
        self.clone_url = self.repository.http_clone_url
        self.commit = self.push.stdout.apply(lambda text: str(json.loads(text or "{}").get("commit", "")))
        self.images = answer.apply(lambda known: known.images)
        self.unreadable = answer.apply(_warned)
        outputs = ("full_name", "clone_url", "commit", "images", "unreadable")
        self.done({output: getattr(self, output) for output in outputs})

    def _part(self, args: ImageRepositoryArgs, **options: Any) -> pulumi.ResourceOptions:
        """Options of what goes with the repository: no commits that remove its files before it is removed."""
        return self.child(provider=args.provider, deleted_with=self.repository, **options)

    def _signing_secrets(self, name: str, args: ImageRepositoryArgs) -> list[pulumi.Resource]:
        """What has to be there before the workflow's first run."""
        environment = github.RepositoryEnvironment(
            name,
            repository=self.repository.name,
            environment=ENVIRONMENT,
            can_admins_bypass=False,
            deployment_branch_policy=github.RepositoryEnvironmentDeploymentBranchPolicyArgs(
                # Protected are the branches of branch protection rules; where there are none, that is every branch.
                protected_branches=False,
                custom_branch_policies=True,
            ),
            opts=self._part(args),
        )
        policy = github.RepositoryEnvironmentDeploymentPolicy(
            f"{name}-{BRANCH}",
            repository=self.repository.name,
            environment=environment.environment,
            branch_pattern=BRANCH,
            opts=self._part(
                args, import_=f"{args.build.repository}:{ENVIRONMENT}:{args.adopt_policy}" if args.adopt_policy else None
            ),
        )
        made: list[pulumi.Resource] = [policy]
        for secret, value in (("COSIGN_PRIVATE_KEY", args.signing_key), ("COSIGN_PASSWORD", args.signing_password)):
            held = github.ActionsEnvironmentSecret(
                f"{name}-{secret.lower().replace('_', '-')}",
                repository=self.repository.name,
                environment=environment.environment,
                secret_name=secret,
                plaintext_value=pulumi.Output.secret(value),
                # Nobody reads them before the policy says who may.
                opts=self._part(args, depends_on=[policy]),
            )
            made.append(held)
        return made

    def _ruleset(self, name: str, args: ImageRepositoryArgs) -> github.RepositoryRuleset:
        checks = [
            github.RepositoryRulesetRulesRequiredStatusChecksRequiredCheckArgs(context=check) for check in args.required_checks
        ]
        return github.RepositoryRuleset(
            name,
            name=BRANCH,
            repository=self.repository.name,
            target="branch",
            enforcement="active",
            conditions=github.RepositoryRulesetConditionsArgs(
                ref_name=github.RepositoryRulesetConditionsRefNameArgs(includes=["~DEFAULT_BRANCH"], excludes=[])
            ),
            # The files are commits of the owner's on the branch itself.
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
            opts=self._part(args, import_=f"{args.build.repository}:{args.adopt_ruleset}" if args.adopt_ruleset else None),
        )

    def _pushed(self, name: str, args: ImageRepositoryArgs, first: list[pulumi.Resource]) -> command.local.Command:
        request = PushRequest(**self._access(args), ignored=tuple(ignored_paths(args.files)))
        # A reviewer sees a changed file as a difference of this document.
        files = json.dumps(args.files, indent=1)
        return local_command(f"{name}-commit", request, self.child(depends_on=[*first, *self._rules]), stdin=files)

    def _published(self, name: str, args: ImageRepositoryArgs) -> command.local.Command:
        built = self.push.stdout.apply(lambda text: str(json.loads(text or "{}").get("built", "")))
        request = PublishedRequest(
            **self._access(args),
            commit=built,
            workflow=WORKFLOW,
            timeout=args.timeout,
            registry=f"{args.registry}/{args.build.owner}",
            images=tuple(args.build.images),
            public_key=args.public_key_file,
            attempt=args.attempt,
            again=args.again,
        )
        return local_command(f"{name}-images", request, self.child())

    def _access(self, args: ImageRepositoryArgs) -> dict[str, Any]:
        """What both requests say of the repository."""
        return {
            "github_url": args.api,
            "github_token": pulumi.Output.secret(args.token),
            "repository": self.repository.full_name,
            "branch": BRANCH,
        }


def _warned(answer: Answer) -> dict[str, str]:
    for reason in answer.unreadable.values():
        pulumi.log.warn(reason)
    return answer.unreadable
