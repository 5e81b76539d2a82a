"""A simulated AWS that decides what its user may do, by the printed policy."""

import json
import urllib.request
from dataclasses import dataclass, field
from typing import Any

import boto3  # type: ignore[import-untyped]

from ops.cloud_policy import policy

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


def printed(zone: str | None = None) -> set[str]:
    """Every action of the policy, with a ZONE that exists, as moto calls it."""
    listed = [action for statement in policy("cloud", "eu-central-1", zone)["Statement"] for action in statement["Action"]]
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
