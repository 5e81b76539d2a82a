"""What a token has to be allowed for the image repository, and by what of it.

Source: https://docs.github.com/rest/authentication/permissions-required-for-fine-grained-personal-access-tokens
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Permission:
    """One permission of a fine-grained token."""

    shown: str
    level: str
    used_by: tuple[str, ...]


PERMISSIONS: dict[str, Permission] = {
    "administration": Permission(
        "Administration",
        "write",
        (
            "github:Repository",
            "github:RepositoryRuleset",
            "github:ActionsRepositoryPermissions",
            "github:WorkflowRepositoryPermissions",
            "github:RepositoryEnvironment",
            "github:RepositoryEnvironmentDeploymentPolicy",
        ),
    ),
    "contents": Permission("Contents", "write", ("the commit of the files",)),
    "workflows": Permission("Workflows", "write", ("the workflow among the files",)),
    "actions": Permission(
        "Actions", "write", ("waiting for the run, its log, starting one again", "github:RepositoryEnvironment")
    ),
    "environments": Permission("Environments", "write", ("github:ActionsEnvironmentSecret",)),
    "metadata": Permission("Metadata", "read", ("comes with every other",)),
}
# Of a classic token, which are coarser.
CLASSIC_SCOPES = {
    "repo": "the repository and everything in it",
    "workflow": "the workflow among the files",
    "delete_repo": "only to destroy the stack",
}
