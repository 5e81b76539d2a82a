"""A live zone: its records are not met half-way through a deployment; a new zone's missing ones are spoken of."""

import json
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from inventory.load import Inventory, load
from inventory.models import Record
from inventory.problems import InventoryError
from stacks.amazon import Amazon
from stacks.errors import SettingsError
from stacks.settings import Settings
from stacks.zone import Found, as_line, conflicts, look_into

NAMES = ("public-gateway.cloud.example.org", "example.org", "www.example.org")
LIVE = (
    Found("example.org", "NS", ("ns-1.example.net.",)),
    Found("example.org", "MX", ("10 mail.example.org",)),
    Found("example.org", "A", ("192.0.2.9",)),
    Found("www.example.org", "CNAME", ("example.org.",)),
    Found("blog.example.org", "A", ("192.0.2.9",)),
)


def inventory(**cloud: object) -> Inventory:
    """The repository's, with other facts of its cloud."""
    made = load("inventory/cloud.toml")
    assert made.cloud is not None
    changed = made.cloud.model_copy(update=cloud)
    return replace(made, content=made.content.model_copy(update={"cloud": changed}))


def names_of(found: list[Found]) -> list[str]:
    return [f"{record.name} {record.kind}" for record in found]


def test_names_that_others_have_are_found() -> None:
    assert names_of(conflicts(LIVE, (), NAMES, ())) == ["example.org A", "www.example.org CNAME"]


def test_what_leads_to_the_stacks_own_address_is_its_own() -> None:
    assert names_of(conflicts(LIVE, ("192.0.2.9",), NAMES, ())) == ["www.example.org CNAME"]


def test_what_is_to_be_overwritten_is() -> None:
    assert conflicts(LIVE, (), NAMES, ("example.org", "www.example.org")) == []


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Amazon]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setattr(Settings, "aws_keys", lambda _: {})
    with mock_aws():
        yield Amazon(Settings(stack="cloud", composition="cloud", inventory=Path("inventory/cloud.toml")), "eu-central-1")


def live_zone(amazon: Amazon, *records: dict[str, Any]) -> str:
    """Id of a zone of example.org that holds RECORDS."""
    route53 = amazon.client("route53")
    zone = str(route53.create_hosted_zone(Name="example.org", CallerReference="1")["HostedZone"]["Id"]).rpartition("/")[2]
    changes = [{"Action": "CREATE", "ResourceRecordSet": record} for record in records]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    return zone


def one(name: str, kind: str, *values: str, **more: object) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value} for value in values], **more}


def looked(amazon: Amazon, facts: Inventory, own: Collection[str] = (), known: Collection[str] = ()) -> dict[str, str]:
    return look_into(amazon.settings, facts, amazon, NAMES, own, known)


def test_a_live_zone_is_refused_with_the_lines_to_write(amazon: Amazon) -> None:
    zone = live_zone(amazon, one("www.example.org", "A", "192.0.2.9"))
    with pytest.raises(SettingsError) as raised:
        looked(amazon, inventory(zone_id=zone))
    assert "already has www.example.org A (192.0.2.9). Nothing was changed" in str(raised.value)
    assert 'overwrite_records = ["www.example.org"]' in str(raised.value)
    assert looked(amazon, inventory(zone_id=zone, overwrite_records=("www.example.org",))) == {}


def test_what_is_in_the_zone_as_the_inventory_wants_it_is_imported_once(amazon: Amazon) -> None:
    records = (
        Record(name="@", type="MX", values=("10 mail.example.org",)),
        Record(name="_dmarc", type="TXT", values=("v=DMARC1; p=none",)),
        Record(name="new", type="TXT", values=("x",)),
    )
    zone = live_zone(
        amazon,
        one("www.example.org", "A", "192.0.2.9"),
        one("example.org", "MX", "10 MAIL.example.org."),
        one("_dmarc.example.org", "TXT", '"v=DMARC1; p=none"'),
    )
    facts = inventory(zone_id=zone, records=records)
    wanted = {
        "www.example.org-a": f"{zone}_www.example.org_A",
        "example.org-mx": f"{zone}_example.org_MX",
        "_dmarc.example.org-txt": f"{zone}__dmarc.example.org_TXT",
    }
    assert looked(amazon, facts, own={"192.0.2.9"}) == wanted
    assert looked(amazon, facts, own={"192.0.2.9"}, known=set(wanted)) == {}, "the state has them"


def test_a_record_with_another_value_or_beside_an_alias_name_is_refused(amazon: Amazon) -> None:
    zone = live_zone(amazon, one("example.org", "MX", "5 mx.example.net"), one("docs.example.org", "CNAME", "pages.example.net"))
    records = (
        Record(name="@", type="MX", values=("10 mail.example.org",)),
        Record(name="docs", type="TXT", values=("x",)),
    )
    with pytest.raises(InventoryError) as raised:
        looked(amazon, inventory(zone_id=zone, records=records))
    mail, docs = raised.value.problems
    assert mail.field == "records[0]" and '{ name = "@", type = "MX", values = ["5 mx.example.net"], ttl = 60 }' in mail.fix
    assert 'overwrite_records = ["example.org"]' in mail.fix and mail.line > 0
    assert docs.field == "records[1]" and "already has docs.example.org CNAME (pages.example.net)" in docs.message
    # Those that the state has are the stack's own: a changed line of the inventory changes them.
    assert looked(amazon, inventory(zone_id=zone, records=records[:1]), known={"example.org-mx"}) == {}


def test_one_of_several_that_a_policy_chooses_from_is_nobodys_to_take_over(amazon: Amazon) -> None:
    zone = live_zone(amazon, one("www.example.org", "A", "192.0.2.9", SetIdentifier="blue", Weight=1))
    with pytest.raises(SettingsError, match="by a routing policy"):
        looked(amazon, inventory(zone_id=zone), own={"192.0.2.9"})


def test_a_printed_line_is_what_the_inventory_reads() -> None:
    found = Found("a.example.org", "TXT", ('"say \\"hi\\""', '"two"'), 60)
    line = as_line(found, "example.org")
    read = Record.model_validate_json(json.dumps(tomllib.loads(f"record = {line}")["record"]))
    assert (read.name, read.type, read.ttl, len(read.values)) == ("a", "TXT", 60, 2)
    assert found.holds(read)


@pytest.mark.parametrize("name", ["@", "*", "_dmarc", "mail", "a.b"])
def test_a_record_is_named_below_the_domain(name: str) -> None:
    assert Record(name=name, type="TXT", values=("v=spf1 -all",)).ttl == 3600
