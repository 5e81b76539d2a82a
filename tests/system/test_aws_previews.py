"""No preview of an unrelated change shows a machine replaced: the components of the cloud under the real engine, against moto."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from tests.system.test_aws_plugin import ENGINE, ROOT, Stack, make_stack

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not ENGINE.is_dir(), reason="the engine is not there: python3 -m engine ensure"),
]

PROGRAM = f"""
import json, os, sys
sys.path.insert(0, {str(ROOT)!r})
import pulumi, pulumi_aws as aws
from components.aws.public_gateway import PublicGateway, PublicGatewayArgs
from inventory.load import load
from inventory.models import DataDisk, Opening
from sim.hosts.firstboot import random_host_key
inventory = load({str(ROOT / "inventory/cloud.toml")!r}, {str(ROOT / "secrets")!r})
change = json.loads(os.environ.get("CHANGE", "{{}}"))
# moto makes no snapshots by policy: tests/system/test_aws_plugin.py has those.
data = DataDisk(size=10, mount="/srv/data", snapshots=0)
facts = inventory.hosts["public-gateway"].model_copy(update={{"os": "nixos", "playbook": None, "data": data}})
if "open" in change:
    facts = facts.model_copy(update={{"open": (*facts.open, Opening(port=change["open"], purpose="new"))}})
facts = facts.model_copy(update=change.get("facts", {{}}))
services = ("ec2", "iam", "sts", "route53", "budgets")
provider = aws.Provider("aws", region="eu-central-1", skip_metadata_api_check=True, skip_region_validation=True,
    skip_credentials_validation=True, skip_requesting_account_id=True, 
    access_key=os.environ.get("KEY", "k"), secret_key=os.environ.get("SECRET", "s"),
    default_tags=aws.ProviderDefaultTagsArgs(tags={{"project": "aether", **change.get("tags", {{}})}}),
    endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(services, os.environ["API"]))])
site = inventory.site
keys = change.get("keys", list(site.authorized_keys))
gateway = PublicGateway("public-gateway", PublicGatewayArgs(
    facts=facts, cloud=inventory.cloud.model_copy(update={{"ipv6": False, **change.get("cloud", {{}})}}),
    site=site.model_copy(update={{"authorized_keys": tuple(keys)}}), cidr="192.168.90.0/24",
    public_names=("jellyfin.example.org", *change.get("names", [])), host_private_key=pulumi.Output.secret(random_host_key()),
    provider=provider))
pulumi.export("machine", gateway.machine.instance_id)
pulumi.export("volume", gateway.machine.data.volume_id)
pulumi.export("ipv6", gateway.ipv6_address)
"""
KEPT = {"Volume", "VolumeAttachment", "Instance", "Eip", "EipAssociation", "Subnet", "Vpc", "Zone"}
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC6oWPJp5O6fQUPFuTmdv2lpuBxMloJlv3N6Lv6FOqxu other"
UNRELATED: dict[str, dict[str, Any]] = {
    "a new route (IPv6 on)": {"cloud": {"ipv6": True}},
    "an open port": {"open": 8443},
    "a public name": {"names": ["books.example.org"]},
    "a budget": {"cloud": {"budget": 99}},
    "a tag": {"tags": {"team": "home"}},
    "another network for SSH": {"cloud": {"ssh_from": {"office": "198.51.100.0/24"}}},
    "another login key": {"keys": [OTHER_KEY]},
    "no Session Manager": {"cloud": {"ssm": False}},
    "another size": {"facts": {"instance_type": "t4g.small"}},
    "a larger disk": {"facts": {"disk": 40}},
}
# What a machine cannot keep: its image, its place, its address.
REPLACING: dict[str, dict[str, Any]] = {
    "another image": {"facts": {"ami": "ami-0c3000000000000c3"}},
    "another architecture": {"facts": {"instance_type": "t3.micro"}},
    "another private address": {"facts": {"address": "192.168.90.20"}},
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with simulated_aws() as url:
        made = make_stack(tmp_path_factory.mktemp("previews"), url, PROGRAM)
        made.up()
        yield made


@contextlib.contextmanager
def simulated_aws() -> Iterator[str]:
    """The simulator's moto, where another machine can have the address of one that is gone; where it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sim.aws.moto_server", "127.0.0.1"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait(20)


def steps(stack: Stack, change: dict[str, Any]) -> dict[str, str]:
    """What a preview would do with each resource that it touches, by type and name."""
    code, said = stack.run("preview", "--json", CHANGE=json.dumps(change))
    assert code == 0, said
    plan: dict[str, Any] = json.loads(said[said.index("{") :])
    found = {}
    for step in plan["steps"]:
        kind, name = step["urn"].split("::")[2:]
        if step["op"] != "same":
            found[f"{kind.rpartition(':')[2]} {name}"] = step["op"]
    return found


def test_nothing_changes_without_a_change(stack: Stack) -> None:
    assert steps(stack, {}) == {}


@pytest.mark.parametrize("what", UNRELATED)
def test_an_unrelated_change_replaces_no_machine(stack: Stack, what: str) -> None:
    found = steps(stack, UNRELATED[what])
    assert found, "the change is seen"
    # A key pair, and the rules and roles that the change names, are nobody's data.
    lost = {name for name, op in found.items() if ("replace" in op or op == "delete") and name.split()[0] in KEPT}
    assert not lost, found


@pytest.mark.parametrize("what", REPLACING)
def test_a_change_that_needs_another_machine_says_so(stack: Stack, what: str) -> None:
    assert "replace" in steps(stack, REPLACING[what])["Instance public-gateway"]


def test_ipv6_is_given_to_the_machine_that_runs(stack: Stack) -> None:
    before = stack.outputs()
    stack.up(CHANGE=json.dumps(UNRELATED["a new route (IPv6 on)"]))
    after = stack.outputs()
    assert after["machine"] == before["machine"]
    assert before["ipv6"] == "" and ":" in after["ipv6"]


def test_the_data_outlive_their_machine(stack: Stack) -> None:
    """Another image is another machine, and finds the disk of the former one."""
    before = stack.outputs()
    found = steps(stack, REPLACING["another image"])
    assert not [name for name in found if name.startswith("Volume ")]
    stack.up(CHANGE=json.dumps(REPLACING["another image"]))
    after = stack.outputs()
    assert after["machine"] != before["machine"] and after["volume"] == before["volume"]
    ec2 = boto3.client(
        "ec2", region_name="eu-central-1", endpoint_url=stack.api, aws_access_key_id="k", aws_secret_access_key="s"
    )
    (volume,) = ec2.describe_volumes(VolumeIds=[after["volume"]])["Volumes"]
    assert [one["InstanceId"] for one in volume["Attachments"]] == [after["machine"]]
    assert volume["Encrypted"] is True
