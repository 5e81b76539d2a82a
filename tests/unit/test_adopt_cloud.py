"""What `aether adopt` shows of an account at AWS: lines that are the inventory's, and nothing that it has already."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from moto import mock_aws

from inventory.load import load
from inventory.models import Cloud
from inventory.problems import InventoryError
from ops import adopt as command
from ops import adopt_cloud
from ops.adopt import adopt
from ops.aws import Account
from ops.stack import Stack

REGION = "eu-central-1"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a client of a service of the account that the command asks."""
    monkeypatch.setattr(Account, "of", lambda stack, region: Account(region, key="k", secret="s"))
    with mock_aws():
        yield lambda service: boto3.client(service, region_name=REGION, aws_access_key_id="k", aws_secret_access_key="s")


def test_the_lines_of_what_the_inventory_lacks_are_printed(account: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ec2, route53 = account("ec2"), account("route53")
    free = ec2.allocate_address(Domain="vpc", TagSpecifications=_tagged(Name="mail"))
    own = ec2.allocate_address(Domain="vpc", TagSpecifications=_tagged(project="aether", stack="cloud"))
    other = ec2.allocate_address(Domain="vpc", TagSpecifications=_tagged(project="aether", stack="old"))
    zone = route53.create_hosted_zone(Name="example.org", CallerReference="1")["HostedZone"]["Id"].rpartition("/")[2]
    route53.create_hosted_zone(Name="example.net", CallerReference="2")
    records = (
        ("example.org", "MX", ["10 mail.example.org"]),
        ("example.org", "A", [free["PublicIp"]]),
        ("_dmarc.example.org", "TXT", ['"v=DMARC1; p=none"']),
        ("sip.example.org", "SPF", ['"v=spf1 -all"']),
    )
    changes = [
        {"Action": "CREATE", "ResourceRecordSet": {"Name": name, "Type": kind, "TTL": 3600, "ResourceRecords": _values(values)}}
        for name, kind, values in records
    ]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    assert adopt(Stack("cloud"), []) == 0
    said = capsys.readouterr().out
    assert f'  allocation_id = "{free["AllocationId"]}"  # {free["PublicIp"]}' in said and own["AllocationId"] not in said
    assert f"{other['AllocationId']} free, of stack old" in " ".join(said.split())
    block = said[said.index("  zone_id") : said.index("  ]") + 3]
    cloud = tomllib.loads(block)
    assert cloud["zone_id"] == zone and cloud["zone_adopted"] is True
    assert {(one["name"], one["type"], *one["values"]) for one in cloud["records"]} == {
        ("_dmarc", "TXT", "v=DMARC1; p=none"),
        ("@", "MX", "10 mail.example.org"),
    }
    assert 'overwrite_records = ["example.org"]' in said, "a machine's name"
    assert "sip.example.org SPF" in said and "not for the inventory" in said
    assert "example.net" not in said
    Cloud.model_validate_json(json.dumps({**tomllib.loads(Path("inventory/cloud.toml").read_text())["cloud"], **cloud}))


def test_what_the_inventory_names_is_not_shown(
    account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = account("ec2").allocate_address(Domain="vpc")
    text = Path("inventory/cloud.toml").read_text().replace("[cloud]\n", '[cloud]\nzone_id = "Z1"\n', 1)
    text = text.replace("[hosts.vps]\n", f'[hosts.vps]\nallocation_id = "{made["AllocationId"]}"\n')
    (tmp_path / "cloud.toml").write_text(text)
    (tmp_path / "homelab.toml").write_text(Path("inventory/homelab.toml").read_text())
    facts = load(tmp_path / "cloud.toml", "secrets")
    for module in (command, adopt_cloud):
        monkeypatch.setattr(module, "inventory_of", lambda stack: facts)
    assert adopt(Stack("cloud"), []) == 0
    said = capsys.readouterr().out
    assert made["AllocationId"] not in said and "Every Elastic IP in eu-central-1 is in" in said
    assert "The zone of example.org is in the inventory: Z1, used, not adopted" in said


SAME = 'allocation_id = "eipalloc-00000001"\n'


@pytest.mark.parametrize(
    ("edits", "code", "place", "fix"),
    [
        (
            {
                "[hosts.vps]\n": 'allocation_id = "eipalloc-00000001"\n',
                "[hosts.public-gateway]\n": 'allocation_id = "eipalloc-00000001"\n',
            },
            "duplicate-allocation-id",
            "hosts.vps.allocation_id",
            "remove it from one of them",
        ),
        (
            {"[hosts.vps]\n": 'allocation_id = "203.0.113.5"\n'},
            "bad-format",
            "hosts.vps.allocation_id",
            "eipalloc-0123456789abcdef0",
        ),
        ({"[cloud]\n": "zone_adopted = true\n"}, "", "cloud", "write its zone_id too"),
    ],
)
def test_lines_that_cannot_be_meant_are_refused(tmp_path: Path, edits: dict[str, str], code: str, place: str, fix: str) -> None:
    text = Path("inventory/cloud.toml").read_text()
    for table, line in edits.items():
        text = text.replace(table, table + line)
    (tmp_path / "cloud.toml").write_text(text)
    (tmp_path / "homelab.toml").write_text(Path("inventory/homelab.toml").read_text())
    with pytest.raises(InventoryError) as raised:
        load(tmp_path / "cloud.toml", "secrets")
    (found,) = raised.value.problems
    assert place in f"{found.where}.{found.field}" and fix in f"{found.message} {found.fix}", str(found)
    assert not code or found.code == code


def _values(values: list[str]) -> list[dict[str, str]]:
    return [{"Value": value} for value in values]


def _tagged(**tags: str) -> list[dict[str, Any]]:
    return [{"ResourceType": "elastic-ip", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
