"""AWS as the operator's commands ask it: whoever asks, and what its refusals mean."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from components.aws.client import NoLibraryError, client
from ops.stack import OpsError, Stack

_ACTION = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
_CREDENTIALS = re.compile(r"Expired|AuthFailure|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch")
_REFUSED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


@dataclass(frozen=True)
class Account:
    """A region of an account. Keys are AWS's own (``AWS_PROFILE``, ``~/.aws``), or those of the simulated one."""

    region: str
    endpoint: str | None = None
    key: str | None = None
    secret: str | None = None

    @classmethod
    def of(cls, stack: Stack, region: str, endpoint: str | None = None) -> "Account":
        """Where STACK's machines are. Raises OpsError where a simulated stack has no AWS, or it does not run."""
        if not stack.simulated or endpoint:
            return cls(region, endpoint)
        simulated = stack.setting("awsEndpoint")
        if not simulated:
            raise OpsError(f"stack {stack.name} has no simulated AWS. Fix: --stack sim-cloud, after make up STACK=sim-cloud")
        return cls(region, simulated, stack.setting("awsAccessKey"), stack.setting("awsSecretKey"))

    def client(self, service: str, **options: Any) -> Any:
        """boto3's client of SERVICE. Raises OpsError without boto3."""
        try:
            return client(service, self.region, endpoint=self.endpoint, key=self.key, secret=self.secret, **options)
        except NoLibraryError as error:
            raise OpsError(str(error)) from None


@contextmanager
def answering(account: Account, policy: str) -> Iterator[None]:
    """What AWS refuses inside, as an error that says what to do. POLICY prints the rights that are needed.

    Raises:
        OpsError: no credentials, expired ones, a right that lacks, or a request that AWS does not take.
    """
    try:
        from botocore.exceptions import (  # type: ignore[import-untyped]
            BotoCoreError,
            ClientError,
            NoCredentialsError,
            PartialCredentialsError,
            TokenRetrievalError,
            UnauthorizedSSOTokenError,
        )
    except ImportError:
        raise OpsError(str(NoLibraryError())) from None
    login, again = "set AWS_PROFILE, or run aws sso login", "once the cause is gone, run the same command again"
    try:
        yield
    except ClientError as error:
        said, code = _ACTION.search(str(error)), error.response["Error"]["Code"]
        fix = login if _CREDENTIALS.search(code) else again
        if said or code in _REFUSED:
            # What EC2 does not always say is the call's own name.
            action, fix = said[1] if said else error.operation_name, f"{policy} prints the rights it needs"
            raise OpsError(f"AWS in {account.region} refuses {action}: {error}. Fix: {fix}") from None
        raise OpsError(f"AWS in {account.region}: {error}. Fix: {fix}") from None
    except (NoCredentialsError, PartialCredentialsError, TokenRetrievalError, UnauthorizedSSOTokenError) as error:
        raise OpsError(f"AWS in {account.region}: {error}. Fix: {login}") from None
    except BotoCoreError as error:
        raise OpsError(f"AWS in {account.region}: {error}. Fix: {again}") from None
