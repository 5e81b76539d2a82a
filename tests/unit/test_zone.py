"""A live zone: its records are not met half-way through a deployment; a new zone's missing ones are spoken of."""

from pathlib import Path

import boto3  # type: ignore[import-untyped]
import pytest
from moto import mock_aws

from inventory.load import load
from inventory.models import Cloud, Record
from stacks.settings import Settings, SettingsError
from stacks.zone import Found, conflicts, refuse_taken_names

NAMES = ("public-gateway.cloud.example.org", "example.org", "www.example.org")
LIVE = (
    Found("example.org", "NS", ("ns-1.example.net.",)),
    Found("example.org", "MX", ("10 mail.example.org",)),
    Found("example.org", "A", ("192.0.2.9",)),
    Found("www.example.org", "CNAME", ("example.org.",)),
    Found("blog.example.org", "A", ("192.0.2.9",)),
)


def cloud(**more: object) -> Cloud:
    made = load("inventory/cloud.toml").cloud
    assert made is not None
    return made.model_copy(update=more)


def names_of(found: list[Found]) -> list[str]:
    return [f"{record.name} {record.kind}" for record in found]


def test_names_that_others_have_are_found() -> None:
    assert names_of(conflicts(LIVE, (), NAMES, ())) == ["example.org A", "www.example.org CNAME"]


def test_what_leads_to_the_stacks_own_address_is_its_own() -> None:
    assert names_of(conflicts(LIVE, ("192.0.2.9",), NAMES, ())) == ["www.example.org CNAME"]


def test_what_is_to_be_overwritten_is() -> None:
    assert conflicts(LIVE, (), NAMES, ("example.org", "www.example.org")) == []


@mock_aws
def test_a_live_zone_is_refused_with_the_lines_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setattr(Settings, "aws_keys", lambda _: {})
    route53 = boto3.client("route53", region_name="eu-central-1")
    zone = route53.create_hosted_zone(Name="example.org", CallerReference="1")["HostedZone"]["Id"].rpartition("/")[2]
    records = {"Name": "www.example.org", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.9"}]}
    route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": records}]}
    )
    settings = Settings(stack="cloud", composition="cloud", inventory=Path("inventory/cloud.toml"))
    with pytest.raises(SettingsError) as raised:
        refuse_taken_names(settings, cloud(zone_id=zone), "eu-central-1", NAMES)
    assert "already has www.example.org A (192.0.2.9). Nothing was changed" in str(raised.value)
    assert 'overwrite_records = ["www.example.org"]' in str(raised.value)
    refuse_taken_names(settings, cloud(zone_id=zone, overwrite_records=("www.example.org",)), "eu-central-1", NAMES)


@pytest.mark.parametrize("name", ["@", "*", "_dmarc", "mail", "a.b"])
def test_a_record_is_named_below_the_domain(name: str) -> None:
    assert Record(name=name, type="TXT", values=("v=spf1 -all",)).ttl == 3600
