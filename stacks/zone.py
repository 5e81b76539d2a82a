"""A zone that is live already: nothing is made over what somebody else wrote into it, and what is right in it is taken over."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import pulumi

from components.aws.records import full_name, resource
from inventory.load import Inventory
from inventory.models import Cloud, Record
from inventory.problems import InventoryError, Lines, Problem
from stacks.amazon import Amazon
from stacks.errors import SettingsError
from stacks.settings import Settings

OURS = "A", "AAAA", "CNAME"


@dataclass(frozen=True)
class Found:
    """A record set of the zone."""

    name: str
    kind: str
    values: tuple[str, ...]
    ttl: int = 0
    """Seconds."""

    plain: bool = True
    """Neither an alias nor one of several that a routing policy chooses from."""

    def __str__(self) -> str:
        return f"{self.name} {self.kind} ({', '.join(self.values)})"

    def holds(self, record: Record) -> bool:
        """Whether it says what RECORD says; a dot at an end, quotes and letters' case mean nothing."""
        return self.kind == record.type and _meant(self.kind, self.values) == _meant(record.type, record.values)


def _meant(kind: str, values: Iterable[str]) -> set[str]:
    if kind == "TXT":
        return {_unquoted(value) for value in values}
    return {value.rstrip(".").lower() for value in values}


def _unquoted(text: str) -> str:
    """A TXT value without the quotes that Route 53 keeps around it."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def look_into(
    settings: Settings, inventory: Inventory, amazon: Amazon, names: Iterable[str], own: Collection[str], known: Collection[str]
) -> dict[str, str]:
    """Look into the zone before anything is made. What the stack's OWN addresses are in is this stack's.

    Args:
        names: names that become records of a machine.
        own: addresses that this stack's machines have, or will have.
        known: record resources that the state has.

    Returns:
        Record resource -> id of what is in the zone and says the same: to be imported.

    Raises:
        SettingsError: NAMES are taken, with the lines to write, or the zone cannot be looked into.
        InventoryError: the zone has other values for records of the inventory.
    """
    cloud = inventory.cloud
    assert cloud is not None and cloud.zone_id is not None
    names = list(names)
    found = live_records(amazon, cloud.zone_id)
    taken = conflicts(found, own, names, cloud.overwrite_records)
    if taken:
        raise SettingsError(taken_message(settings, cloud.zone_id, taken))
    problems = list(_other_values(inventory, cloud, found, known))
    if problems:
        raise InventoryError(problems)
    return dict(_imports(inventory, cloud, found, names, known))


def conflicts(found: Iterable[Found], own: Iterable[str], names: Iterable[str], overwritten: Iterable[str]) -> list[Found]:
    """Records that a machine's name would meet: of another address than the stack's OWN, and not to be OVERWRITTEN."""
    sets = [record for record in found if record.kind in OURS]
    mine = {record.name for record in sets if set(record.values) <= set(own)}
    wanted = set(names) - set(overwritten) - mine
    return [record for record in sets if record.name in wanted]


def _other_values(inventory: Inventory, cloud: Cloud, found: Iterable[Found], known: Collection[str]) -> Iterator[Problem]:
    """Records of the inventory whose name is in the zone with something else."""
    domain, sets = inventory.site.public_domain, list(found)
    line = Lines(inventory.path.read_text()).find("cloud", "records")
    for index, record in enumerate(cloud.records or ()):
        name = full_name(record, domain)
        if resource(name, record.type) in known or name in cloud.overwrite_records:
            continue
        for there in sets:
            # A name with an alias (CNAME) has nothing else.
            meets = there.kind == record.type or "CNAME" in (there.kind, record.type)
            if there.name != name or not meets or there.holds(record):
                continue
            message = f"{cloud.zone_id} already has {there}, not {', '.join(record.values)}"
            mine = f"write {as_line(there, domain)}, which is taken over as it is, or " if there.plain else "write "
            fix = f'{mine}overwrite_records = ["{name}"]'
            yield Problem(str(inventory.path), "cloud", f"records[{index}]", message, fix, "record-taken", line)


def _imports(
    inventory: Inventory, cloud: Cloud, found: Iterable[Found], names: Collection[str], known: Collection[str]
) -> Iterator[tuple[str, str]]:
    """What is in the zone, wanted, the same, and not in the state."""
    kinds = ("A", "AAAA") if cloud.ipv6 else ("A",)
    wanted = {resource(full_name(record, inventory.site.public_domain), record.type): record for record in cloud.records or ()}
    for there in found:
        called = resource(there.name, there.kind)
        machines = there.name in names and there.kind in kinds and there.name not in cloud.overwrite_records
        if called not in known and (machines or (called in wanted and there.holds(wanted[called]))):
            yield called, f"{cloud.zone_id}_{there.name}_{there.kind}"


def as_line(found: Found, domain: str) -> str:
    """The record as the inventory has it."""
    name = "@" if found.name == domain else found.name.removesuffix(f".{domain}")
    plain = (_unquoted(value) if found.kind == "TXT" else value for value in found.values)
    values = ", ".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in plain)
    ttl = f", ttl = {found.ttl}" if found.ttl not in (0, Record.model_fields["ttl"].default) else ""
    return f'{{ name = "{name}", type = "{found.kind}", values = [{values}]{ttl} }}'


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


def live_records(amazon: Amazon, zone: str) -> list[Found]:
    """The zone's record sets.

    Raises:
        SettingsError: AWS does not show them.
    """
    with amazon.asking(f"the zone {zone} cannot be looked into", "zone_id of [cloud]"):
        pages = amazon.client("route53").get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
        return list(record_sets(pages))


def record_sets(pages: Iterable[Mapping[str, object]]) -> Iterator[Found]:
    """Those of the PAGES that Route 53 answers."""
    for page in pages:
        for record in page["ResourceRecordSets"]:  # type: ignore[attr-defined]  # boto3 has no types
            values = tuple(value["Value"] for value in record.get("ResourceRecords", [])) or ("an alias",)
            # One of several that a policy chooses from: none of them is the name's record.
            values = ("by a routing policy",) if "SetIdentifier" in record else values
            plain = "SetIdentifier" not in record and "AliasTarget" not in record
            name = record["Name"].rstrip(".").replace("\\052", "*")
            yield Found(name, record["Type"], values, int(record.get("TTL", 0)), plain)
