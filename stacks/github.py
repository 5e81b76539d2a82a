"""The GitHub provider, from the stack's settings."""

import pulumi_github as github

from stacks.errors import SettingsError
from stacks.settings import Settings


def github_provider(settings: Settings, owner: str) -> github.Provider:
    """The GitHub provider of OWNER.

    Raises:
        SettingsError: the stack has no token.
    """
    if settings.github_token is None:
        raise SettingsError(
            f"Pulumi.{settings.stack}.yaml: aether:githubToken: is missing. "
            f"Fix: pulumi -s {settings.stack} config set --secret aether:githubToken TOKEN (rights: ./aether github token)"
        )
    return github.Provider(
        "github",
        owner=owner,
        token=settings.github_token,
        base_url=settings.github_base_url,
        # Milliseconds after a write. GitHub's secondary rate limit asks for a second; an own server does not.
        write_delay_ms=None if settings.github_base_url == "https://api.github.com/" else 1,
    )
