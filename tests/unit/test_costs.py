"""What a review says of cost: only where it changes, and nothing that the price list does not know."""

from datetime import date
from typing import Any

import pytest

from inventory.load import load
from inventory.models import CloudVm
from ops.costs import LIST, Prices, cost_table, prices
from ops.review import render

KNOWN = Prices(
    date(2025, 1, 2),
    100,
    {"address": 0.005, "zone": 0.5},
    {"here": {"instances": {"small": 0.01, "large": 0.04}, "volumes": {"gp3": 0.1}}},
)
INSTANCE, VOLUME, EIP, ZONE = "aws:ec2/instance:Instance", "aws:ebs/volume:Volume", "aws:ec2/eip:Eip", "aws:route53/zone:Zone"


def state(kind: str, name: str, /, **inputs: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:cloud::aether::aether:aws:CloudMachine${kind}::{name}", "inputs": inputs}


def step(op: str, kind: str, name: str, old: dict[str, Any] | None = None, new: dict[str, Any] | None = None) -> dict[str, Any]:
    made = {"op": op, "urn": state(kind, name)["urn"]}
    made |= {} if old is None else {"oldState": state(kind, name, **old)}
    return made | ({} if new is None else {"newState": state(kind, name, **new)})


def machine(size: str, disk: int = 20) -> dict[str, Any]:
    return {"instanceType": size, "rootBlockDevice": {"volumeSize": disk, "volumeType": "gp3"}}


def rows(*steps: dict[str, Any]) -> list[str]:
    return [line for line in cost_table(steps, "here", KNOWN) if line.startswith("| ") and "what" not in line.split("|")[2]]


def test_a_bigger_machine_costs_the_difference() -> None:
    assert rows(step("update", INSTANCE, "vps", machine("small"), machine("large"))) == [
        "| vps | `small` -> `large` | +3.00 |",
        "| **together** | | **+3.00** |",
    ]


def test_a_new_machine_is_itself_its_disk_and_its_address() -> None:
    found = rows(step("create", INSTANCE, "vps", None, machine("small")), step("create", EIP, "vps", None, {"domain": "vpc"}))
    assert found == [
        "| vps | `small` (new) | +1.00 |",
        "| vps | disk of 20 GiB (gp3) (new) | +2.00 |",
        "| vps | public IPv4 address (new) | +0.50 |",
        "| **together** | | **+3.50** |",
    ]


def test_what_goes_is_saved() -> None:
    gone = step("delete", VOLUME, "vps-data", {"size": 30, "type": "gp3"})
    assert rows(gone, step("delete", ZONE, "example.org", {"name": "example.org"})) == [
        "| vps-data | disk of 30 GiB (gp3) (goes) | -3.00 |",
        "| example.org | hosted zone (goes) | -0.50 |",
        "| **together** | | **-3.50** |",
    ]


def test_a_replacement_is_one_change() -> None:
    steps = [
        step("create-replacement", INSTANCE, "vps", machine("small"), machine("small", 40)),
        step("replace", INSTANCE, "vps", machine("small"), machine("small", 40)),
        step("delete-replaced", INSTANCE, "vps", machine("small")),
    ]
    assert rows(*steps)[0] == "| vps | disk of 20 GiB (gp3) -> disk of 40 GiB (gp3) | +2.00 |"
    assert len(rows(*steps)) == 2


def test_what_is_not_in_the_list_is_unknown_and_not_nothing() -> None:
    found = rows(step("update", INSTANCE, "vps", machine("small"), machine("x9.huge")), step("create", EIP, "vps", None, {}))
    assert found[0] == "| vps | `small` -> `x9.huge` | unknown |"
    assert found[-1] == "| **together** | | **+0.50 and what is unknown** |"
    assert "unknown" in "".join(cost_table([step("create", INSTANCE, "vps", None, machine("small"))], "elsewhere", KNOWN))


@pytest.mark.parametrize(
    "change",
    [
        step("update", INSTANCE, "vps", {**machine("small"), "tags": {}}, {**machine("small"), "tags": {"a": "b"}}),
        step("same", EIP, "vps", {}, {}),
        step("import", EIP, "vps", None, {}),
        step("create", "aws:ec2/securityGroup:SecurityGroup", "vps", None, {}),
        step("create", "command:local:Command", "vps", None, {}),
        step("replace", INSTANCE, "vps", machine("small"), machine("small")),
    ],
)
def test_where_nothing_costs_more_or_less_nothing_is_said(change: dict[str, Any]) -> None:
    assert cost_table([change], "here", KNOWN) == []


def test_the_table_says_its_date_and_stands_before_the_hosts() -> None:
    steps = [step("create", EIP, "vps", None, {"domain": "vpc"})]
    text = render(steps, "cloud", None, cost_table(steps, "here", KNOWN))
    assert "List prices of here of 2025-01-02 (`ops/prices.toml` says how to renew them); traffic, snapshots" in text
    assert text.index("### Cost") < text.index("### vps")


def test_the_list_knows_what_the_example_uses() -> None:
    known = prices()
    machines = [host for host in load(LIST.parents[1] / "inventory/cloud.toml").hosts.values() if isinstance(host, CloudVm)]
    assert machines
    for host in machines:
        assert known.instance(host.region, host.instance_type), host
        assert known.volume(host.region, "gp3", host.disk)
    assert known.address == pytest.approx(3.65) and known.zone == 0.5
