"""The printed policy under the real engine: its actions suffice to make, read and destroy the cloud; one that lacks is named.

moto decides by action. It knows neither resources nor conditions of a policy: tests/unit/test_cloud_policy.py has those.
"""

import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from ops.cloud_policy import policy
from tests.system.test_aws_plugin import ENGINE, Stack, make_stack
from tests.system.test_aws_previews import PROGRAM, simulated_aws

pytestmark = pytest.mark.skipif(not ENGINE.is_dir(), reason="the engine is not there: python3 -m engine ensure")

# The rights of AWS Budgets are not named after its calls, as moto takes them to be.
BUDGETS = {
    "budgets:ModifyBudget": tuple(
        f"budgets:{verb}{what}" for verb in ("Create", "Update", "Delete") for what in ("Budget", "Notification", "Subscriber")
    ),
    "budgets:ViewBudget": (
        "budgets:DescribeBudget",
        "budgets:DescribeNotificationsForBudget",
        "budgets:DescribeSubscribersForNotification",
    ),
}
DENIED = re.compile(r"not authorized to perform: (\w+:\w+)")


def printed() -> set[str]:
    """Every action of the policy, as moto calls it."""
    listed = [action for statement in policy("cloud", "eu-central-1")["Statement"] for action in statement["Action"]]
    return {call for action in listed for call in BUDGETS.get(action, (action,))}


@dataclass
class Account:
    """A user of a simulated AWS that decides."""

    api: str
    key: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        iam = self._iam()
        iam.create_user(UserName="deployer")
        made = iam.create_access_key(UserName="deployer")["AccessKey"]
        self.key = {"KEY": made["AccessKeyId"], "SECRET": made["SecretAccessKey"]}

    def allow(self, actions: set[str]) -> None:
        """From now on the user may do ACTIONS and nothing else."""
        self._decide("inf")
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}],
        }
        self._iam().put_user_policy(UserName="deployer", PolicyName="aether", PolicyDocument=json.dumps(document))
        self._decide("0")

    def _decide(self, after: str) -> None:
        request = urllib.request.Request(
            f"{self.api}/moto-api/reset-auth", method="POST", data=after.encode(), headers={"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request, timeout=60).close()

    def _iam(self) -> Any:
        return boto3.client(
            "iam", region_name="eu-central-1", endpoint_url=self.api, aws_access_key_id="k", aws_secret_access_key="s"
        )


@pytest.fixture
def account() -> Iterator[Account]:
    with simulated_aws() as url:
        yield Account(url)


def step(stack: Stack, account: Account, *words: str, **variables: str) -> tuple[bool, str]:
    more = ("--yes", "--skip-preview", "--suppress-progress", "--continue-on-error")
    words = (*words, *(more if words[0] != "refresh" else more[:3]))
    code, said = stack.run(*words, **account.key, **variables)
    return code == 0, said


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
