"""AWS asked directly: before a program registers anything, and by the operator's commands."""

from typing import Any


class NoLibraryError(Exception):
    """boto3 is not installed; what to do about it."""

    def __init__(self) -> None:
        super().__init__("boto3 is not installed. Fix: python3 ops/setup.py --stack cloud")


def client(
    service: str,
    region: str,
    *,
    endpoint: str | None = None,
    key: str | None = None,
    secret: str | None = None,
    profile: str | None = None,
    attempts: int = 10,
    **options: Any,
) -> Any:
    """boto3's client of SERVICE in REGION; throttling and server errors are tried again, ATTEMPTS times in all.

    Without KEY and SECRET the credentials are those of PROFILE, or found as the AWS tools find them. OPTIONS
    are botocore's ``Config``.

    Raises:
        NoLibraryError: it is not installed.
    """
    # Imported here: most commands and stacks ask nothing of AWS.
    try:
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]
    except ImportError:
        raise NoLibraryError from None
    session = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, profile_name=profile)
    config = Config(retries={"mode": "standard", "max_attempts": attempts}, **options)
    return session.client(service, region_name=region, endpoint_url=endpoint, config=config)
