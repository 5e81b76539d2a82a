"""Providers of the public side, from the stack's settings."""

import pulumi
import pulumi_aws as aws
import pulumi_github as github

from stacks.settings import Settings, SettingsError


def aws_provider(settings: Settings, region: str, site: str) -> aws.Provider:
    """The AWS provider of REGION. Credentials come from the environment or ~/.aws unless the stack says otherwise."""
    simulated = settings.aws_endpoint
    return aws.Provider(
        "aws",
        region=region,
        access_key=settings.aws_access_key,
        secret_key=settings.aws_secret_key,
        default_tags=aws.ProviderDefaultTagsArgs(tags={"project": "aether", "site": site, "stack": settings.stack}),
        endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(("ec2", "iam", "sts", "route53", "budgets"), simulated))]
        if simulated
        else None,
        # These look beyond the endpoints that are given.
        skip_metadata_api_check=bool(simulated),
        skip_region_validation=bool(simulated),
        skip_credentials_validation=bool(simulated),
        skip_requesting_account_id=bool(simulated),
    )


def github_provider(settings: Settings, owner: str) -> github.Provider:
    """The GitHub provider of OWNER.

    Raises:
        SettingsError: the stack has no token.
    """
    if settings.github_token is None:
        raise SettingsError(
            f"Pulumi.{settings.stack}.yaml: aether:githubToken: is missing. "
            f"Fix: pulumi -s {settings.stack} config set --secret aether:githubToken TOKEN (rights: docs/image.md)"
        )
    return github.Provider(
        "github",
        owner=owner,
        token=settings.github_token,
        base_url=settings.github_base_url,
        # Milliseconds after a write. GitHub's secondary rate limit asks for a second; an own server does not.
        write_delay_ms=None if settings.github_base_url == "https://api.github.com/" else 1,
    )


def one_region(regions: list[str]) -> str:
    """The region that all machines are in.

    Raises:
        SettingsError: there are several; one VPC is in one region.
    """
    found = sorted(set(regions))
    if len(found) != 1:
        raise SettingsError(f"cloud-vm hosts are in {', '.join(found) or 'no region'}. Fix: write the same region for all")
    return found[0]


def homelab_addresses(settings: Settings) -> pulumi.Output[dict[str, str]]:
    """Addresses that the homelab's stack exports; none where it is not deployed, or the stack names none."""
    if not settings.homelab_stack:
        return pulumi.Output.from_input(dict[str, str]())
    reference = pulumi.StackReference(settings.homelab_stack)
    return reference.get_output("addresses").apply(lambda addresses: dict(addresses or {}))


def published_images(settings: Settings) -> pulumi.Output[dict[str, str]] | None:
    """Images that the cloud's stack published: name to ``REGISTRY/OWNER/NAME@sha256:…``; None where the stack names no other."""
    if not settings.cloud_stack:
        return None
    return pulumi.StackReference(settings.cloud_stack).get_output("images").apply(lambda images: dict(images or {}))


def published_digest(published: pulumi.Output[dict[str, str]], image: str) -> pulumi.Output[str]:
    """The digest of IMAGE (``REGISTRY/OWNER/NAME``) among PUBLISHED."""

    def find(images: dict[str, str]) -> str:
        name = image.rsplit("/", 1)[1]
        if name not in images:
            raise SettingsError(
                f"{image}: not published yet ({', '.join(images) or 'nothing'} is). Fix: pin digest in the inventory"
            )
        return images[name].rsplit("@", 1)[1]

    return published.apply(find)
