"""No preview of an unrelated change shows a machine replaced: the components of the cloud under the real engine, against moto."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from aether_sim.paths import SOURCES
from inventory.cloud_effects import TABLES, Effect
from ops.costs import cost_table, prices
from tests.system.test_aws_plugin import ENGINE, ROOT, Stack, make_stack

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not ENGINE.is_dir(), reason="the engine is not there: ./aether engine ensure"),
]

PROGRAM = f"""
import json, os, sys
sys.path[:0] = [{str(ROOT)!r}, {str(SOURCES)!r}]
import pulumi, pulumi_aws as aws
from components.aws.public_gateway import PublicGateway, PublicGatewayArgs
from inventory.load import load
from inventory.models import DataDisk, NixosCloudVm, Opening, Record, Relay
from aether_sim.hosts.firstboot import random_host_key
inventory = load({str(ROOT / "inventory/cloud.toml")!r}, {str(ROOT / "secrets")!r})
change = json.loads(os.environ.get("CHANGE", "{{}}"))
# moto makes no snapshots by policy: tests/system/test_aws_snapshots.py has those.
data = DataDisk(size=10, mount="/srv/data", snapshots=0)
gateway = inventory.hosts["public-gateway"].model_dump(mode="json", exclude={{"playbook"}})
facts = NixosCloudVm.model_validate_json(json.dumps(gateway | {{"os": "nixos"}})).model_copy(update={{"data": data}})
if "open" in change:
    facts = facts.model_copy(update={{"open": (*facts.open, Opening(port=change["open"], purpose="new"))}})
facts = facts.model_copy(update=change.get("facts", {{}}))
if "data" in change:
    facts = facts.model_copy(update={{"data": data.model_copy(update=change["data"]) if change["data"] else None}})
cloud = inventory.cloud.model_copy(update={{"ipv6": False, **change.get("cloud", {{}})}})
if "records" in change:
    cloud = cloud.model_copy(update={{"records": [Record.model_validate_json(json.dumps(one)) for one in change["records"]]}})
if "relays" in change:
    relays = {{name: Relay.model_validate(one) for name, one in change["relays"].items()}}
    cloud = cloud.model_copy(update={{"relays": relays}})
services = ("ec2", "iam", "sts", "route53", "budgets", "dlm")
provider = aws.Provider("aws", region="eu-central-1", skip_metadata_api_check=True, skip_region_validation=True,
    skip_credentials_validation=True, skip_requesting_account_id=True, 
    access_key=os.environ.get("KEY", "k"), secret_key=os.environ.get("SECRET", "s"),
    default_tags=aws.ProviderDefaultTagsArgs(tags={{"project": "aether", **change.get("tags", {{}})}}),
    endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(services, os.environ["API"]))])
site = inventory.site
keys = change.get("keys", list(site.authorized_keys))
gateway = PublicGateway("public-gateway", PublicGatewayArgs(
    facts=facts, cloud=cloud, protect=change.get("protect", False),
    site=site.model_copy(update={{"authorized_keys": tuple(keys), **change.get("site", {{}})}}),
    cidr=change.get("cidr", "192.168.90.0/24"),
    public_names=("jellyfin.example.org", *change.get("names", [])), host_private_key=pulumi.Output.secret(random_host_key()),
    provider=provider))
pulumi.export("machine", gateway.machine.instance_id)
pulumi.export("volume", gateway.machine.data.volume_id if gateway.machine.data else "")
pulumi.export("ipv6", gateway.ipv6_address)
"""
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC6oWPJp5O6fQUPFuTmdv2lpuBxMloJlv3N6Lv6FOqxu other"
# A change of each field that reaches AWS, by table and field of inventory/cloud_effects.py.
CHANGES: dict[tuple[str, str], dict[str, Any]] = {
    ("hosts", "ami"): {"facts": {"ami": "ami-0c3000000000000c3"}},
    ("hosts", "instance_type"): {"facts": {"instance_type": "t4g.small"}},
    ("hosts", "instance_type, of another architecture"): {"facts": {"instance_type": "t3.micro"}},
    ("hosts", "address"): {"facts": {"address": "192.168.90.20"}},
    ("hosts", "network"): {"cidr": "192.168.91.0/24", "facts": {"address": "192.168.91.10"}},
    ("hosts", "open"): {"open": 8443},
    ("hosts", "public_names"): {"names": ["books.example.org"]},
    ("hosts", "disk"): {"facts": {"disk": 40}},
    ("hosts", "data"): {"data": None},
    ("hosts", "ssh_port"): {"facts": {"ssh_port": 2223}},
    ("hosts", "description"): {"facts": {"description": "other words"}},
    ("hosts", "tags"): {"facts": {"tags": ["web"]}},
    ("hosts (data)", "size"): {"data": {"size": 20}},
    ("hosts (data)", "mount"): {"data": {"mount": "/srv/other"}},
    ("hosts (data)", "snapshots"): {"data": {"snapshots": 7}},
    ("cloud", "availability_zone"): {"cloud": {"availability_zone": "eu-central-1b"}},
    ("cloud", "ipv6"): {"cloud": {"ipv6": True}},
    ("cloud", "ssh_from"): {"cloud": {"ssh_from": {"office": "198.51.100.0/24"}}},
    ("cloud", "ssm"): {"cloud": {"ssm": False}},
    ("cloud", "zone_id"): {"cloud": {"zone_id": "Z0OTHER"}},
    ("cloud", "zone_adopted"): {},
    ("cloud", "overwrite_records"): {},
    ("cloud", "records"): {"records": [{"name": "@", "type": "MX", "values": ["10 mail.example.org"]}]},
    ("cloud", "relays"): {"relays": {"logs": {"host": "monitoring", "port": 3100, "listen": 3100}}},
    ("cloud", "budget"): {"cloud": {"budget": 99}},
    ("cloud", "budget_email"): {"cloud": {"budget_email": "other@example.org"}},
    ("site", "authorized_keys"): {"keys": [OTHER_KEY]},
    ("site", "domain"): {"site": {"domain": "sky.example.org"}},
    ("site", "public_domain"): {"site": {"public_domain": "example.net"}},
}
ANOTHER_IMAGE = CHANGES["hosts", "ami"]


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
        [sys.executable, "-m", "aether_sim.aws.moto_server", "127.0.0.1"], stdout=subprocess.PIPE, text=True, cwd=SOURCES
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait(20)


def steps(stack: Stack, change: dict[str, Any]) -> dict[str, str]:
    """What a preview would do with each resource that it touches, by type and name."""
    found = {}
    for step in planned(stack, change):
        kind, name = step["urn"].split("::")[2:]
        if step["op"] != "same":
            found[f"{kind.rpartition(':')[2]} {name}"] = step["op"]
    return found


def planned(stack: Stack, change: dict[str, Any], *arguments: str) -> list[dict[str, Any]]:
    """The steps of a preview."""
    code, said = stack.run("preview", "--json", *arguments, CHANGE=json.dumps(change))
    assert code == 0, said
    return list(json.loads(said[said.index("{") :])["steps"])


def seen(found: dict[str, str]) -> Effect:
    """What a preview's steps mean for the machine and its data."""
    ended = {name.split()[0] for name, op in found.items() if "replace" in op or op == "delete"}
    if ended & {"Vpc", "Subnet"}:
        return Effect.MOVE
    if "Instance" in ended:
        return Effect.REPLACE
    if "Zone" in ended:
        return Effect.ZONE
    if "Volume" in ended:
        return Effect.LOST
    assert "Eip" not in ended
    return Effect.UPDATE if found else Effect.NOTHING


def test_nothing_changes_without_a_change(stack: Stack) -> None:
    assert steps(stack, {}) == {}


def test_a_tag_of_everything_is_in_place(stack: Stack) -> None:
    assert seen(steps(stack, {"tags": {"team": "home"}})) == Effect.UPDATE


@pytest.mark.parametrize(("table", "field"), CHANGES, ids=lambda word: str(word).replace(" ", "-"))
def test_a_change_does_what_the_table_says(stack: Stack, table: str, field: str) -> None:
    said = TABLES[table][field.partition(",")[0]]
    if said == Effect.REPLACE_ARM:
        said = Effect.REPLACE if "," in field else Effect.UPDATE
    if said == Effect.WORD:
        said = Effect.NOTHING
    found = steps(stack, CHANGES[table, field])
    assert seen(found) == said, found


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        (CHANGES["hosts", "instance_type"], ["| public-gateway | `t4g.micro` -> `t4g.small` | +7.01 |"]),
        # Another machine of the same kind: a replacement is several steps.
        (ANOTHER_IMAGE, []),
        (CHANGES["hosts", "disk"], ["| public-gateway | disk of 20 GiB (gp3) -> disk of 40 GiB (gp3) | +1.90 |"]),
        (CHANGES["hosts (data)", "size"], ["| public-gateway-data | disk of 10 GiB (gp3) -> disk of 20 GiB (gp3) | +0.95 |"]),
        (CHANGES["hosts", "data"], ["| public-gateway-data | disk of 10 GiB (gp3) (goes) | -0.95 |"]),
        (CHANGES["hosts", "open"], []),
    ],
)
def test_a_review_says_what_a_change_costs(stack: Stack, change: dict[str, Any], rows: list[str]) -> None:
    """By the engine's own steps, as `aether review` asks for them."""
    found = planned(stack, change, "--show-replacement-steps", "--show-sames")
    table = cost_table(found, "eu-central-1", prices())
    assert [line for line in table if line.startswith("| public-gateway")] == rows
    assert bool(table) == bool(rows)


def test_what_no_preview_shows_is_few() -> None:
    """The region is the provider's, the gateway another host; `os`, `playbook` and the rest are not AWS's."""
    untried = {(table, field) for table, fields in TABLES.items() for field in fields} - CHANGES.keys()
    assert untried == {
        ("hosts", "ami_name"), ("hosts", "os"), ("hosts", "region"), ("hosts", "kind"), ("hosts", "playbook"),
        ("hosts (data)", "size, smaller"), ("cloud", "gateway"), ("cloud", "way_home"),
        # tests/system/test_aws_adoption.py has it.
        ("hosts", "allocation_id"),
    }  # fmt: skip


def test_ipv6_is_given_to_the_machine_that_runs(stack: Stack) -> None:
    before = stack.outputs()
    stack.up(CHANGE=json.dumps(CHANGES["cloud", "ipv6"]))
    after = stack.outputs()
    assert after["machine"] == before["machine"]
    assert before["ipv6"] == "" and ":" in after["ipv6"]


def test_the_data_outlive_their_machine(stack: Stack) -> None:
    """Another image is another machine, and finds the disk of the former one; under protect nothing else ends either."""
    protected = {"protect": True}
    stack.up(CHANGE=json.dumps(protected))
    before = stack.outputs()
    ec2 = boto3.client(
        "ec2", region_name="eu-central-1", endpoint_url=stack.api, aws_access_key_id="k", aws_secret_access_key="s"
    )
    locked = ec2.describe_instance_attribute(InstanceId=before["machine"], Attribute="disableApiTermination")
    assert locked["DisableApiTermination"]["Value"] is True
    for lost in ({"data": None}, CHANGES["cloud", "availability_zone"]):
        code, said = stack.run("preview", CHANGE=json.dumps({**protected, **lost}))
        assert code != 0 and "public-gateway-data" in said and "protect" in said, said
    found = steps(stack, {**protected, **ANOTHER_IMAGE})
    assert not [name for name in found if name.startswith(("Volume ", "Eip "))]
    stack.up(CHANGE=json.dumps({**protected, **ANOTHER_IMAGE}))
    after = stack.outputs()
    assert after["machine"] != before["machine"] and after["volume"] == before["volume"]
    (volume,) = ec2.describe_volumes(VolumeIds=[after["volume"]])["Volumes"]
    assert [one["InstanceId"] for one in volume["Attachments"]] == [after["machine"]]
    assert volume["Encrypted"] is True
