"""Providers of the public side, from the stack's settings."""

import pulumi_aws as aws

from stacks.errors import SettingsError
from stacks.settings import Settings


def aws_provider(settings: Settings, region: str, site: str) -> aws.Provider:
    """The AWS provider of REGION. Credentials come from the environment or ~/.aws unless the stack says otherwise."""
    simulated = settings.aws_endpoint
    return aws.Provider(
        "aws",
        region=region,
        access_key=settings.aws_access_key,
        secret_key=settings.aws_secret_key,
        default_tags=aws.ProviderDefaultTagsArgs(tags={"project": "aether", "site": site, "stack": settings.stack}),
        endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(("ec2", "iam", "sts", "route53", "budgets", "dlm"), simulated))]
        if simulated
        else None,
        # These look beyond the endpoints that are given.
        skip_metadata_api_check=bool(simulated),
        skip_region_validation=bool(simulated),
        skip_credentials_validation=bool(simulated),
        skip_requesting_account_id=bool(simulated),
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
