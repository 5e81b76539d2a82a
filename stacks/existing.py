"""What the account has already and the inventory names: its Elastic IPs, its zone and the zone's records."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from inventory.load import Inventory
from inventory.models import CloudVm
from inventory.problems import InventoryError, Lines, Problem
from stacks.amazon import Amazon, tags
from stacks.recorded import elastic_ips_of, records_of, resources, zones_of
from stacks.settings import Settings
from stacks.zone import look_into

_MISSING = ("InvalidAllocationID.NotFound", "InvalidAllocationID.Malformed", "InvalidAddress.NotFound", "NoSuchHostedZone")
# Table, field, message, fix, code.
_Finding = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Existing:
    """What a deployment takes over of it."""

    records: Mapping[str, str] = field(default_factory=dict)
    """Record resource -> id, of what is in the zone and not in the state."""


def look(
    settings: Settings, inventory: Inventory, region: str, machines: Mapping[str, CloudVm], names: Iterable[str]
) -> Existing:
    """Hold what the inventory names against the account and the state; nothing is asked where it names nothing.

    Raises:
        InventoryError: an Elastic IP, the zone or a record is not what the inventory says; with every problem.
        SettingsError: names are taken, or AWS cannot be asked.
    """
    cloud = inventory.cloud
    assert cloud is not None
    wanted = {name: facts.allocation_id for name, facts in machines.items() if facts.allocation_id}
    if not wanted and cloud.zone_id is None:
        return Existing()
    amazon, state = Amazon(settings, region), resources()
    addresses: dict[str, str] = {}
    findings = list(_elastic_ips(amazon, wanted, elastic_ips_of(state), addresses))
    if cloud.zone_id is not None:
        findings += _zone(amazon, inventory, zones_of(state))
    lines = Lines(inventory.path.read_text())
    problems = [
        Problem(str(inventory.path), table, at, message, fix, code, lines.find(table, at))
        for table, at, message, fix, code in findings
    ]
    if problems:
        raise InventoryError(problems)
    if cloud.zone_id is None:
        return Existing()
    own = amazon.own_addresses() | set(addresses.values())
    return Existing(look_into(settings, inventory, amazon, names, own, records_of(state)))


def _elastic_ips(
    amazon: Amazon, wanted: Mapping[str, str], known: Mapping[str, str], addresses: dict[str, str]
) -> Iterator[_Finding]:
    """What is wrong with those that are WANTED, by host; their ADDRESSES are filled in."""
    for host, allocation in wanted.items():
        table = f"hosts.{host}"
        found = _described(amazon, allocation)
        if found is None:
            message = f"there is no Elastic IP {allocation} in {amazon.region}"
            fix = f"./aether --stack {amazon.settings.stack} adopt shows those there are"
            yield table, "allocation_id", message, fix, "no-such-address"
            continue
        addresses[host] = found["PublicIp"]
        for message, fix in (*_of_others(amazon, host, found), *_released(amazon, host, allocation, known)):
            yield table, "allocation_id", message, fix, "address-of-others"


def _described(amazon: Amazon, allocation: str) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError  # type: ignore[import-untyped]

    with amazon.asking(f"the Elastic IP {allocation} cannot be read", "allocation_id of its host"):
        try:
            found: list[dict[str, Any]] = amazon.client("ec2").describe_addresses(AllocationIds=[allocation])["Addresses"]
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
    return found[0] if found else None


def _of_others(amazon: Amazon, host: str, found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Whose it is, where it is not HOST's of this stack: another stack's of Aether, or another machine's."""
    address, stack = found["PublicIp"], amazon.settings.stack
    said = tags(found)
    if said.get("project") == "aether" and said.get("stack") not in (None, stack):
        yield f"{address} is of stack {said['stack']}, which made it", "write another, or none"
    if not found.get("AssociationId"):
        return
    instance = found.get("InstanceId")
    holder = instance or found.get("NetworkInterfaceId", "")
    if instance:
        with amazon.asking(f"the instance {instance} cannot be read", "allocation_id of its host"):
            described = amazon.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        its = tags(described)
        if its.get("project") == "aether" and its.get("stack") == stack and its.get("aether:host") == host:
            return
        holder = f"{instance} ({its['Name']})" if its.get("Name") else instance
    fix = (
        f"when that may lose it: aws ec2 disassociate-address --region {amazon.region} "
        f"--association-id {found['AssociationId']}; or write another"
    )
    yield f"{address} belongs to another machine, {holder}", fix


def _released(amazon: Amazon, host: str, allocation: str, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    before = known.get(host, allocation)
    if before != allocation and amazon.settings.protect:
        stack = amazon.settings.stack
        fix = f"write another host's, or none; to give it up: pulumi -s {stack} config set aether:protect false, for that run"
        yield f"the machine has {before} by this stack, which would be given up for {allocation}", fix


def _zone(amazon: Amazon, inventory: Inventory, known: Iterable[str]) -> Iterator[_Finding]:
    cloud, domain, stack = inventory.cloud, inventory.site.public_domain, amazon.settings.stack
    assert cloud is not None and cloud.zone_id is not None
    found = _hosted(amazon, cloud.zone_id)
    show = f"./aether --stack {stack} adopt shows those there are"
    if found is None:
        yield "cloud", "zone_id", f"there is no zone {cloud.zone_id} in this account", show, "no-such-zone"
        return
    name = str(found["Name"]).rstrip(".")
    if name != domain:
        message = f"{cloud.zone_id} is the zone of {name}, and public_domain is {domain}"
        yield (
            "cloud",
            "zone_id",
            message,
            f"write the zone of {domain} ({show}), or correct public_domain",
            "zone-of-another-name",
        )
    if found.get("Config", {}).get("PrivateZone"):
        message = f"{cloud.zone_id} is a private zone, which nobody outside its networks sees"
        yield "cloud", "zone_id", message, f"write the public zone of {domain} ({show})", "zone-private"
    if not cloud.zone_adopted:
        return
    for other in set(known) - {cloud.zone_id} if amazon.settings.protect else ():
        message = f"this stack has the zone {other}, which would be given up for {cloud.zone_id}"
        fix = f"remove the line; to give it up: pulumi -s {stack} config set aether:protect false, for that run"
        yield "cloud", "zone_adopted", message, fix, "zone-given-up"
    with amazon.asking(f"the tags of the zone {cloud.zone_id} cannot be read", "zone_id of [cloud]"):
        set_of = amazon.client("route53").list_tags_for_resource(ResourceType="hostedzone", ResourceId=cloud.zone_id)
    said = tags(set_of["ResourceTagSet"])
    if said.get("project") == "aether" and said.get("stack") not in (None, stack):
        message = f"{cloud.zone_id} is of stack {said['stack']}, which made it"
        yield (
            "cloud",
            "zone_adopted",
            message,
            "remove the line: without it the zone is used, and its owner keeps it",
            "zone-of-others",
        )


def _hosted(amazon: Amazon, zone: str) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    with amazon.asking(f"the zone {zone} cannot be looked into", "zone_id of [cloud]"):
        try:
            found: dict[str, Any] = amazon.client("route53").get_hosted_zone(Id=zone)["HostedZone"]
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
    return found
