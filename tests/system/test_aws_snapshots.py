"""Snapshots of a data disk under the real engine. moto has disk and role; a small server has the policies, which moto lacks."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from tests.system.aws_stack import ENGINE, ROOT, make_stack, simulated_aws

pytestmark = pytest.mark.skipif(not ENGINE.is_dir(), reason="the engine is not there: ./aether engine ensure")

PROGRAM = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
import pulumi, pulumi_aws as aws
from components.aws.data_disk import DataDisk, DataDiskArgs
from inventory.models import DataDisk as Facts
services = dict.fromkeys(("ec2", "iam", "sts"), os.environ["API"])
provider = aws.Provider("aws", region="eu-central-1", skip_metadata_api_check=True, skip_region_validation=True,
    skip_credentials_validation=True, skip_requesting_account_id=True, access_key="k", secret_key="s",
    endpoints=[aws.ProviderEndpointArgs(**services, dlm=os.environ["DLM"])])
machine = aws.ec2.Instance("forge", ami="ami-12c6146b", instance_type="t4g.small", availability_zone="eu-central-1a",
    opts=pulumi.ResourceOptions(provider=provider))
facts = Facts(size=10, mount="/var/lib/forgejo", snapshots=int(os.environ.get("KEPT", "7")))
disk = DataDisk("forge", DataDiskArgs(facts=facts, site="cloud", availability_zone="eu-central-1a", instance_id=machine.id,
    provider=provider))
pulumi.export("volume", disk.volume_id)
"""


class Policies(http.server.BaseHTTPRequestHandler):
    """The few requests of Data Lifecycle Manager that a policy takes."""

    kept: dict[str, dict[str, Any]]

    def do_POST(self) -> None:
        name = f"policy-{len(self.kept)}"
        self.kept[name] = self._body()
        self._answer({"PolicyId": name})

    def do_PATCH(self) -> None:
        self.kept[self._name()].update(self._body())
        self._answer({})

    def do_GET(self) -> None:
        name = self._name()
        arn = f"arn:aws:dlm:eu-central-1:123456789012:policy/{name}"
        self._answer({"Policy": {"PolicyId": name, "PolicyArn": arn, **self.kept[name]}})

    def do_DELETE(self) -> None:
        del self.kept[self._name()]
        self._answer({})

    def _name(self) -> str:
        found = re.search(r"policy-\d+", self.path)
        assert found, self.path
        return found[0]

    def _body(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return read

    def _answer(self, document: dict[str, Any]) -> None:
        text = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def policies() -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    kept: dict[str, dict[str, Any]] = {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Policies,), {"kept": kept}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", kept
    server.shutdown()
    server.server_close()


def test_a_data_disk_is_snapshotted_daily(policies: tuple[str, dict[str, dict[str, Any]]], tmp_path: Path) -> None:
    dlm, kept = policies
    with simulated_aws() as api:
        stack = make_stack(tmp_path, api, PROGRAM)
        stack.up(DLM=dlm)
        ((name, policy),) = kept.items()
        details = policy["PolicyDetails"]
        (schedule,) = details["Schedules"]
        assert (policy["State"], details["ResourceTypes"]) == ("ENABLED", ["VOLUME"])
        assert schedule["CreateRule"] == {"Interval": 24, "IntervalUnit": "HOURS", "Times": ["02:30"]}
        assert schedule["RetainRule"] == {"Count": 7} and schedule["CopyTags"] is True
        # It is this disk's tag, so it is this disk that is copied.
        keys = {"region_name": "eu-central-1", "endpoint_url": api, "aws_access_key_id": "k", "aws_secret_access_key": "s"}
        (volume,) = boto3.client("ec2", **keys).describe_volumes(VolumeIds=[stack.outputs()["volume"]])["Volumes"]
        assert all(tag in volume["Tags"] for tag in details["TargetTags"]) and details["TargetTags"]
        # The service may take the role, and the role may make snapshots.
        iam, role = boto3.client("iam", **keys), policy["ExecutionRoleArn"].rpartition("/")[2]
        taken = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        assert taken["Statement"][0]["Principal"]["Service"] == "dlm.amazonaws.com"
        (inline,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        rights = iam.get_role_policy(RoleName=role, PolicyName=inline)["PolicyDocument"]
        assert "ec2:CreateSnapshot" in rights["Statement"][0]["Action"]

        said = stack.up(DLM=dlm, KEPT="14")
        assert "~ 1 updated" in said and kept[name]["PolicyDetails"]["Schedules"][0]["RetainRule"] == {"Count": 14}
        code, said = stack.run("destroy", "--yes", "--skip-preview", "--suppress-progress", DLM=dlm)
        assert code == 0, said
        assert not kept
        # Whoever destroys it has a last snapshot.
        found = boto3.client("ec2", **keys).describe_snapshots(OwnerIds=["self"])["Snapshots"]
        assert [one["VolumeId"] for one in found if one["VolumeId"] == volume["VolumeId"]]
