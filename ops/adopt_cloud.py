"""Elastic IPs and zones that stand at AWS and not in the inventory: shown, with the lines that take them over."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from inventory.load import Inventory, load
from inventory.models import CloudVm, Record
from ops.arguments import parser
from ops.aws import Account, answering
from ops.fleet import inventory_of
from ops.stack import OpsError, Stack
from stacks.amazon import tags
from stacks.zone import OURS, Found, as_line, record_sets

_KINDS = set(Record.model_fields["type"].annotation.__args__)  # type: ignore[union-attr]


def adopt_cloud(stack: Stack, arguments: list[str]) -> int:
    """Show the account's Elastic IPs, and its zone of the public domain, that the inventory lacks, with the lines to write.

    With the lines in the inventory the next `up` imports them as they are. Nothing is changed by this command.
    """
    parser("adopt", adopt_cloud).parse_args(arguments)
    inventory = inventory_of(stack)
    machines = {name: host for name, host in inventory.hosts.items() if isinstance(host, CloudVm)}
    regions = {host.region for host in machines.values()}
    if inventory.cloud is None or len(regions) != 1:
        raise OpsError(f"stack {stack.name} has no machines in one region of AWS. Fix: --stack cloud")
    account = Account.of(stack, regions.pop())
    with answering(account, f"./aether --stack {stack.name} cloud policy"):
        print("\n".join([*_addresses(account, inventory, machines, stack.name), "", *_zones(account, inventory, machines)]))
    print(f"\nWith the lines in {inventory.path}: make preview STACK={stack.name}, which shows them as imports.")
    return 0


def _addresses(account: Account, inventory: Inventory, machines: Mapping[str, CloudVm], stack: str) -> Iterator[str]:
    named = {host.allocation_id for host in machines.values()}
    found = [each for each in account.client("ec2").describe_addresses()["Addresses"] if each.get("AllocationId") not in named]
    lacking = [(each, tags(each)) for each in found if not _made_here(tags(each), stack)]
    if not lacking:
        yield f"Every Elastic IP in {account.region} is in {inventory.path}, or of this stack."
        return
    yield f"Elastic IPs in {account.region}, and not in {inventory.path}:"
    holders = _machines_named(account, [each["InstanceId"] for each, _ in lacking if each.get("InstanceId")])
    for each, said in lacking:
        holder = holders.get(each.get("InstanceId", "")) or each.get("NetworkInterfaceId") or "free"
        of = f", of stack {said['stack']}" if said.get("project") == "aether" and "stack" in said else ""
        yield f"  {each['PublicIp']:15}  {each.get('AllocationId', '-'):26}  {holder}{of}  {said.get('Name', '')}".rstrip()
    free = [name for name, host in machines.items() if host.allocation_id is None]
    yield f"Write below the machine that one shall lead to ({', '.join(free) or 'each has one'}):"
    for each, _ in lacking:
        yield f'  allocation_id = "{each.get("AllocationId", "-")}"  # {each["PublicIp"]}'


def _machines_named(account: Account, instances: list[str]) -> dict[str, str]:
    """Id and name of INSTANCES, by id."""
    if not instances:
        return {}
    pages = account.client("ec2").get_paginator("describe_instances").paginate(InstanceIds=instances)
    described = [each for page in pages for group in page["Reservations"] for each in group["Instances"]]
    return {each["InstanceId"]: f"{each['InstanceId']} ({tags(each).get('Name', 'no name')})" for each in described}


def _zones(account: Account, inventory: Inventory, machines: Mapping[str, CloudVm]) -> Iterator[str]:
    cloud, domain = inventory.cloud, inventory.site.public_domain
    assert cloud is not None
    if cloud.zone_id is not None:
        adopted = "and adopted" if cloud.zone_adopted else "used, not adopted (zone_adopted = true would)"
        yield f"The zone of {domain} is in the inventory: {cloud.zone_id}, {adopted}."
        return
    route53 = account.client("route53")
    listed = route53.list_hosted_zones_by_name(DNSName=domain)["HostedZones"]
    zones = [each for each in listed if each["Name"].rstrip(".") == domain and not each["Config"].get("PrivateZone")]
    if not zones:
        yield f"The account has no public zone of {domain}."
    for zone in zones:
        identity = zone["Id"].rpartition("/")[2]
        yield f"Zone of {domain}, with {zone['ResourceRecordSetCount']} record sets; in [cloud]:"
        yield f'  zone_id = "{identity}"'
        yield "  zone_adopted = true"
        pages = route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=identity)
        yield from _records(record_sets(pages), _names(inventory, machines), domain)


def _names(inventory: Inventory, machines: Mapping[str, CloudVm]) -> list[str]:
    from stacks import names

    homelab = load(Path(inventory.path).parent / inventory.image.hosts) if inventory.image else None
    return names.of_all(inventory, homelab, machines)


def _records(found: Iterable[Found], names: list[str], domain: str) -> Iterator[str]:
    """Lines of the records that the inventory can hold; what is left to say of the others."""
    held = [each for each in found if not (each.name == domain and each.kind in ("NS", "SOA"))]
    machines = [each for each in held if each.name in names and each.kind in OURS]
    others = [each for each in held if each not in machines]
    plain = [each for each in others if each.kind in _KINDS and each.plain]
    yield "  # Those that the stack shall manage; it leaves alone what is not listed."
    yield "  records = ["
    yield from (f"    {as_line(each, domain)}," for each in plain)
    yield "  ]"
    yield from (f"  # {each}: not for the inventory, and left alone" for each in others if each not in plain)
    if machines:
        quoted = ", ".join(f'"{name}"' for name in dict.fromkeys(each.name for each in machines))
        yield f"  # Names of machines: {'; '.join(map(str, machines))}. Those that lead elsewhere are refused, without"
        yield f"  # overwrite_records = [{quoted}]"


def _made_here(said: Mapping[str, str], stack: str) -> bool:
    return said.get("project") == "aether" and said.get("stack") == stack
