"""A zone that is live already: nothing is made over what somebody else wrote into it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pulumi

from inventory.models import Cloud
from stacks.settings import Settings, SettingsError

OURS = "A", "AAAA", "CNAME"


@dataclass(frozen=True)
class Found:
    """A record set of the zone."""

    name: str
    kind: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.kind} ({', '.join(self.values)})"


def refuse_taken_names(settings: Settings, cloud: Cloud, region: str, names: Iterable[str]) -> None:
    """Look into the zone before anything is made. What this stack's own addresses are in is this stack's.

    Raises:
        SettingsError: NAMES are taken, with the lines to write.
    """
    if cloud.zone_id is None:
        return
    found, own = live_records(settings, cloud.zone_id, region)
    taken = conflicts(found, own, names, cloud.overwrite_records)
    if taken:
        raise SettingsError(taken_message(settings, cloud.zone_id, taken))


def conflicts(found: Iterable[Found], own: Iterable[str], names: Iterable[str], overwritten: Iterable[str]) -> list[Found]:
    """Records that a machine's name would meet: of another address than the stack's OWN, and not to be OVERWRITTEN."""
    sets = [record for record in found if record.kind in OURS]
    mine = {record.name for record in sets if set(record.values) <= set(own)}
    wanted = set(names) - set(overwritten) - mine
    return [record for record in sets if record.name in wanted]


def taken_message(settings: Settings, zone: str, taken: Iterable[Found]) -> str:
    """What is there, and the two ways out."""
    taken = list(taken)
    quoted = ", ".join(f'"{name}"' for name in dict.fromkeys(record.name for record in taken))
    return (
        f"{settings.inventory}: cloud.zone_id: {zone} already has {'; '.join(map(str, taken))}. Nothing was changed. "
        f"Fix: write overwrite_records = [{quoted}] into [cloud] to let them lead here from now on, "
        "or give the names up there (public_names, public = true of services), or elsewhere"
    )


def warn_of_empty_zone(cloud: Cloud, domain: str) -> None:
    """A zone made here holds none of the records that the domain has today; who says what goes in has thought of it."""
    if cloud.zone_id is None and cloud.records is None:
        pulumi.log.warn(
            f"the zone of {domain} is new and has the machines' names alone: once the registrar has its name servers, mail "
            "(MX), TXT and other records of today are gone. Write them into [cloud], "
            'records = [{ name = "@", type = "MX", values = ["10 mail.example.org"] }], or records = [] if there are none'
        )


def live_records(settings: Settings, zone: str, region: str) -> tuple[list[Found], set[str]]:
    """The zone's record sets, and the addresses that this stack's machines have.

    Raises:
        SettingsError: AWS does not show them.
    """
    import boto3  # type: ignore[import-untyped]
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    keys = settings.aws_keys()
    client: Mapping[str, object] = {"region_name": region, "endpoint_url": settings.aws_endpoint or None, **keys}
    try:
        pages = boto3.client("route53", **client).get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
        found = [
            Found(
                record["Name"].rstrip(".").replace("\\052", "*"),
                record["Type"],
                tuple(value["Value"] for value in record.get("ResourceRecords", [])) or ("an alias",),
            )
            for page in pages
            for record in page["ResourceRecordSets"]
        ]
        ec2 = boto3.client("ec2", **client)
        mine = [{"Name": "tag:project", "Values": ["aether"]}, {"Name": "tag:stack", "Values": [settings.stack]}]
        own = {address["PublicIp"] for address in ec2.describe_addresses(Filters=mine)["Addresses"]}
        for reservation in ec2.describe_instances(Filters=mine)["Reservations"]:
            for instance in reservation["Instances"]:
                for face in instance.get("NetworkInterfaces", []):
                    own |= {address["Ipv6Address"] for address in face.get("Ipv6Addresses", [])}
    except (BotoCoreError, ClientError) as error:
        raise SettingsError(
            f"the zone {zone} cannot be looked into: {error}. Fix: zone_id of [cloud], or the credentials (docs/aws.md)"
        ) from None
    return found, own
