"""The printed policy under the real engine: its actions suffice to make, read and destroy the cloud; one that lacks is named.

moto decides by action. It knows neither resources nor conditions of a policy: tests/unit/test_cloud_policy.py has those.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

from tests.system.aws_account import Account, printed
from tests.system.aws_stack import ENGINE, PROGRAM, Stack, make_stack, simulated_aws

# A right of RunInstances and CreateLifecyclePolicy, no call of its own; what everybody may; moto has no Data Lifecycle Manager.
NO_CALLS = re.compile(r"iam:PassRole|sts:GetCallerIdentity|dlm:.*")
DENIED = re.compile(r"not authorized to perform: (\w+:\w+)")


@pytest.fixture
def account() -> Iterator[Account]:
    with simulated_aws() as url:
        yield Account(url)


@dataclass
class Deployer:
    """That user's calls, without an engine in between."""

    account: Account
    clients: dict[str, Any] = field(default_factory=dict)

    def refusals(self, action: str) -> list[str]:
        """Actions that AWS says the user may not do, having asked for ACTION (SERVICE:CALL) with made-up arguments."""
        service, call = action.split(":")
        client = self._client(service)
        operation = client.meta.service_model.operation_model(call)
        try:
            client._make_api_call(call, made_up(operation.input_shape))
        except ClientError as error:
            return DENIED.findall(str(error))
        except ResponseParserError:
            # Let through; moto itself failed on the arguments.
            return []
        return []

    def _client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service,
                region_name="eu-central-1",
                endpoint_url=self.account.api,
                aws_access_key_id=self.account.key["KEY"],
                aws_secret_access_key=self.account.key["SECRET"],
                config=Config(retries={"max_attempts": 0}),
            )
        return self.clients[service]


def made_up(shape: Any) -> Any:
    """A value that botocore sends: what has to be there, of the right type and length."""
    if shape is None:
        return {}
    if shape.type_name == "structure":
        return {name: made_up(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [made_up(shape.member)] * int(shape.metadata.get("min", 1))
    if shape.type_name == "map":
        return {}
    if getattr(shape, "enum", None):
        return shape.enum[0]
    simple = {"integer": 1, "long": 1, "boolean": True, "timestamp": 0, "blob": b"x", "double": 1.0, "float": 1.0}
    return simple.get(shape.type_name, "x" * max(1, int(shape.metadata.get("min", 1))))


def step(stack: Stack, account: Account, *words: str, **variables: str) -> tuple[bool, str]:
    more = ("--yes", "--skip-preview", "--suppress-progress", "--continue-on-error")
    words = (*words, *(more if words[0] != "refresh" else more[:3]))
    code, said = stack.run(*words, **account.key, **variables)
    return code == 0, said


@pytest.mark.skipif(not ENGINE.is_dir(), reason="the engine is not there: ./aether engine ensure")
def test_the_printed_policy_is_enough_and_what_lacks_is_named(account: Account, tmp_path: Path) -> None:
    stack = make_stack(tmp_path, account.api, PROGRAM)
    lacking = {"ec2:CreateVpc", "ec2:AllocateAddress", "iam:CreateRole", "route53:CreateHostedZone"}
    account.allow(printed() - lacking)
    good, said = step(stack, account, "up")
    assert not good
    assert set(DENIED.findall(said)) == lacking, said[-4000:]
    assert "give it the permission that the message names" in said
    account.allow(printed())
    for words in (("up",), ("refresh",), ("up",), ("destroy",)):
        good, said = step(stack, account, *words)
        assert good, said[-4000:]


def test_each_action_that_lacks_is_refused_by_its_name(account: Account) -> None:
    """Every action of the policy is a call that AWS has, allowed by it; taken out alone, that call ends with its name."""
    calls = sorted(call for call in printed() if not NO_CALLS.fullmatch(call))
    assert len(calls) > 100
    deployer, wrong = Deployer(account), {}
    account.allow(printed())
    refused = {call: said for call in calls if (said := deployer.refusals(call))}
    assert not refused, "refused though it is in the policy"
    for call in calls:
        account.allow(printed() - {call})
        if (said := deployer.refusals(call)) != [call]:
            wrong[call] = said
    assert not wrong, "taken out, and not missed by that name"
