"""No preview of an unrelated change shows a machine replaced: the components of the cloud under the real engine, against moto."""

import json
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from inventory.cloud_effects import TABLES
from inventory.marks import AtAws
from ops.costs import cost_table, prices
from tests.system.aws_stack import ENGINE, PROGRAM, Stack, make_stack, simulated_aws

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not ENGINE.is_dir(), reason="the engine is not there: ./aether engine ensure"),
    pytest.mark.in_order("previews of one stack, which the last tests change"),
]

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


def seen(found: dict[str, str]) -> AtAws:
    """What a preview's steps mean for the machine and its data."""
    ended = {name.split()[0] for name, op in found.items() if "replace" in op or op == "delete"}
    if ended & {"Vpc", "Subnet"}:
        return AtAws.MOVE
    if "Instance" in ended:
        return AtAws.REPLACE
    if "Zone" in ended:
        return AtAws.ZONE
    if "Volume" in ended:
        return AtAws.LOST
    assert "Eip" not in ended
    return AtAws.UPDATE if found else AtAws.NOTHING


def test_nothing_changes_without_a_change(stack: Stack) -> None:
    assert steps(stack, {}) == {}


def test_a_tag_of_everything_is_in_place(stack: Stack) -> None:
    assert seen(steps(stack, {"tags": {"team": "home"}})) == AtAws.UPDATE


@pytest.mark.parametrize(("table", "field"), CHANGES, ids=lambda word: str(word).replace(" ", "-"))
def test_a_change_does_what_the_table_says(stack: Stack, table: str, field: str) -> None:
    said = TABLES[table][field.partition(",")[0]]
    if said == AtAws.REPLACE_ARM:
        said = AtAws.REPLACE if "," in field else AtAws.UPDATE
    if said == AtAws.WORD:
        said = AtAws.NOTHING
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
