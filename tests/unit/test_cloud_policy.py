"""The printed policy: what the stack calls is in it, what is in it is called, and a right that lacks is named."""

import json
import re
from pathlib import Path

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from ops.cloud import cloud
from ops.cloud_policy import EC2_RELEASED, IAM_RELEASED, policy, printed, publishing
from ops.stack import Stack

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = sorted((ROOT / "packages/aether-engine/go/aws/service").glob("*.go"))
# Not of this stack: the plugin has them for others. Budgets have rights of their own names, below.
UNUSED = {"iam:AttachRolePolicy", "iam:DetachRolePolicy"}
READ_BY_RELEASED = {f"ec2:{name}" for name in EC2_RELEASED} | {f"iam:{name}" for name in IAM_RELEASED}
NEVER_CALLED = {"iam:PassRole", "route53:GetChange", "route53:ListHostedZonesByName"}


def called() -> set[str]:
    """Every action that the plugin's resources call, in the services whose rights are named after actions."""
    text = "\n".join(path.read_text() for path in SOURCES)
    direct = re.findall(r"\bs\.(ec2|iam|route53|dlm|sts)\.([A-Z]\w+)\(", text)
    paged = re.findall(r"\b(ec2|iam|route53)\.New(\w+?)Paginator", text)
    return {f"{service}:{action}" for service, action in [*direct, *paged]} - UNUSED


def allowed(zone: str | None = None) -> set[str]:
    actions = {action for statement in policy("cloud", "eu-central-1", zone)["Statement"] for action in statement["Action"]}
    return {action for action in actions if not action.startswith("budgets:")}


def test_what_is_called_is_allowed_and_what_is_allowed_is_called() -> None:
    assert called() - allowed() == set()
    assert allowed() - called() - READ_BY_RELEASED - NEVER_CALLED == set()


def test_a_zone_that_exists_is_the_only_one() -> None:
    assert not allowed("Z1") & {"route53:CreateHostedZone", "route53:DeleteHostedZone", "route53:ListHostedZones"}
    (names,) = [one for one in policy("cloud", "eu-central-1", "Z1")["Statement"] if one["Sid"] == "Names"]
    assert names["Resource"] == "arn:aws:route53:::hostedzone/Z1"


def test_roles_are_the_sites_own_and_go_to_machines_and_snapshots_alone() -> None:
    found = {one["Sid"]: one for one in policy("cloud", "eu-central-1")["Statement"]}
    assert found["Roles"]["Resource"] == ["arn:aws:iam::*:role/cloud-*", "arn:aws:iam::*:instance-profile/cloud-*"]
    assert found["RolesOfMachines"]["Condition"]["StringEquals"]["iam:PassedToService"] == [
        "ec2.amazonaws.com",
        "dlm.amazonaws.com",
    ]
    # AWS takes 6,144 characters without white space in a policy of its own.
    assert len(json.dumps(json.loads(printed(policy("cloud", "eu-central-1"))), separators=(",", ":"))) <= 6144


@pytest.mark.parametrize("missing", ["ec2:CreateVpc", "ec2:DescribeVpcs"])
@mock_aws
def test_a_right_that_lacks_is_named(missing: str) -> None:
    document = policy("cloud", "eu-central-1")
    without = [{**one, "Action": [action for action in one["Action"] if action != missing]} for one in document["Statement"]]

    @set_initial_no_auth_action_count(3)
    def use(statements: list[dict[str, object]]) -> None:
        iam = boto3.client("iam", region_name="eu-central-1")
        name = f"deployer-{len(statements[0]['Action'])}"  # type: ignore[arg-type]
        iam.create_user(UserName=name)
        text = json.dumps({**document, "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="aether", PolicyDocument=text)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        ec2 = boto3.client(
            "ec2", region_name="eu-central-1",
            aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"],
        )  # fmt: skip
        made = ec2.create_vpc(CidrBlock="192.168.90.0/24")["Vpc"]["VpcId"]
        assert ec2.describe_vpcs(VpcIds=[made])["Vpcs"]

    use(document["Statement"])
    with pytest.raises(ClientError) as refused:
        use(without)
    assert missing in str(refused.value)


def test_who_publishes_images_touches_no_snapshot_but_its_own() -> None:
    found = {one["Sid"]: one for one in publishing("eu-central-1")["Statement"]}
    for statement in ("Fill", "Clean"):
        assert found[statement]["Condition"] == {"Null": {"aws:ResourceTag/aether:image": "false"}}
        assert found[statement]["Resource"] == "arn:aws:ec2:eu-central-1::snapshot/*"
    for statement in ("Begin", "Tag"):
        assert found[statement]["Condition"] == {"Null": {"aws:RequestTag/aether:image": "false"}}
    # Disks' snapshots have no such tag, and who publishes reads none.
    actions = {action for one in found.values() for action in one["Action"]}
    assert not {"ebs:GetSnapshotBlock", "ebs:ListSnapshotBlocks", "ec2:ModifySnapshotAttribute", "ec2:RunInstances"} & actions


def test_each_policy_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cloud(Stack("cloud"), ["policy", "--images"]) == 0
    assert json.loads(capsys.readouterr().out) == publishing("eu-central-1")
    assert cloud(Stack("cloud"), ["policy"]) == 0
    assert json.loads(capsys.readouterr().out)["Statement"] == policy("cloud", "eu-central-1")["Statement"]
