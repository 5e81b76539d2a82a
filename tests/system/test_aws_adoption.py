"""An account that has an Elastic IP, a zone and its records already: the real engine imports them as they are, against moto."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from aether_sim.paths import SOURCES
from tests.system.aws_account import Account as Decided
from tests.system.aws_account import printed
from tests.system.aws_stack import ENGINE, ROOT, Stack, make_stack, simulated_aws

pytestmark = pytest.mark.skipif(not ENGINE.is_dir(), reason="the engine is not there: ./aether engine ensure")

# The cloud's composition without what it does on the machines: looked at, then made.
PROGRAM = f"""
import os, sys
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(SOURCES)!r}]
import pulumi
from components.aws.public_gateway import PublicGateway, PublicGatewayArgs
from inventory.load import load
from inventory.problems import InventoryError
from aether_sim.hosts.firstboot import random_host_key
from stacks.existing import look
from stacks.public import aws_provider
from stacks.errors import SettingsError
from stacks.settings import Settings
path = Path(os.environ["INVENTORY"])
inventory = load(path, {str(ROOT / "secrets")!r})
settings = Settings(stack=pulumi.get_stack(), composition="cloud", inventory=path, aws_endpoint=os.environ["API"],
    aws_access_key=pulumi.Output.secret(os.environ["KEY"]), aws_secret_key=pulumi.Output.secret(os.environ["SECRET"]),
    protect=os.environ.get("PROTECT", "yes") == "yes")
Settings.aws_keys = lambda _: {{"key": os.environ["KEY"], "secret": os.environ["SECRET"]}}
facts = inventory.hosts["public-gateway"]
names = ("public-gateway.cloud.example.org", "public-gateway.example.org", "example.org")
try:
    existing = look(settings, inventory, "eu-central-1", {{"public-gateway": facts}}, names)
except (InventoryError, SettingsError) as error:
    sys.exit(f"REFUSED {{error}}")
gateway = PublicGateway("public-gateway", PublicGatewayArgs(
    facts=facts, cloud=inventory.cloud, protect=settings.protect, site=inventory.site, cidr="192.168.90.0/24",
    host_private_key=pulumi.Output.secret(random_host_key()), existing_records=dict(existing.records),
    provider=aws_provider(settings, "eu-central-1", "cloud")))
pulumi.export("address", gateway.address)
pulumi.export("servers", gateway.name_servers)
"""
MAIL = {"Name": "example.org", "Type": "MX", "TTL": 600, "ResourceRecords": [{"Value": "10 mail.example.org."}]}
MAIL_LINE = '{ name = "@", type = "MX", values = ["10 mail.example.org"] }'
TAGS = [{"Key": "Name", "Value": "mail and vpn"}, {"Key": "cost-centre", "Value": "7"}]


@dataclass
class Owner:
    """An account with a past, and the stack that comes to it."""

    api: str
    folder: Path
    key: str = "k"
    secret: str = "s"
    allocation: str = ""
    address: str = ""
    zone: str = ""

    def __post_init__(self) -> None:
        self.stack: Stack = make_stack(self.folder, self.api, PROGRAM)
        made = self.ec2.allocate_address(Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": TAGS}])
        self.allocation, self.address = made["AllocationId"], made["PublicIp"]
        self.zone = self.new_zone("example.org")
        self.write_record({"Name": "example.org", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": self.address}]})
        self.write_record(MAIL)
        self.write_record({"Name": "blog.example.org", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.9"}]})

    @property
    def ec2(self) -> Any:
        return self._client("ec2")

    @property
    def route53(self) -> Any:
        return self._client("route53")

    def _client(self, service: str) -> Any:
        return boto3.client(
            service, region_name="eu-central-1", endpoint_url=self.api, aws_access_key_id="k", aws_secret_access_key="s"
        )

    def new_zone(self, name: str) -> str:
        config = {"Comment": "since 2009", "PrivateZone": False}
        made = self.route53.create_hosted_zone(Name=name, CallerReference=name, HostedZoneConfig=config)
        zone = str(made["HostedZone"]["Id"]).rpartition("/")[2]
        self.route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=TAGS)
        return zone

    def write_record(self, record: dict[str, Any]) -> None:
        changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        self.route53.change_resource_record_sets(HostedZoneId=self.zone, ChangeBatch=changes)

    def inventory(self, cloud: str = "", host: str = "") -> None:
        """The repository's, with lines in `[cloud]` and in the gateway's entry."""
        text = (ROOT / "inventory/cloud.toml").read_text().replace("ipv6 = true\n", "")
        text = text.replace("[cloud]\n", f"[cloud]\n{cloud}\n").replace(
            "[hosts.public-gateway]\n", f"[hosts.public-gateway]\n{host}\n"
        )
        (self.folder / "cloud.toml").write_text(text)
        (self.folder / "homelab.toml").write_text((ROOT / "inventory/homelab.toml").read_text())

    def adopted(self) -> None:
        zone = f'zone_id = "{self.zone}"\nzone_adopted = true\nrecords = [{MAIL_LINE}]'
        self.inventory(zone, f'allocation_id = "{self.allocation}"')

    def run(self, *words: str, **variables: str) -> tuple[int, str]:
        keys = {"KEY": self.key, "SECRET": self.secret, "INVENTORY": str(self.folder / "cloud.toml")}
        return self.stack.run(*words, **{**keys, **variables})

    def up(self, **variables: str) -> str:
        code, said = self.run("up", "--yes", "--skip-preview", "--suppress-progress", **variables)
        assert code == 0, said
        return said

    def steps(self, **variables: str) -> dict[str, str]:
        """What a preview would do, by type and name; what stays the same is left out."""
        code, said = self.run("preview", "--json", **variables)
        assert code == 0, said
        found = {}
        for step in json.loads(said[said.index("{") :])["steps"]:
            kind, name = step["urn"].split("::")[2:]
            if step["op"] != "same":
                found[f"{kind.rpartition(':')[2]} {name}"] = step["op"]
        return found

    def refused(self, **variables: str) -> str:
        code, said = self.run("preview", **variables)
        assert code != 0 and "REFUSED" in said, said
        return said

    def theirs(self) -> tuple[Any, Any, Any, Any]:
        """What nobody may change: the address and its tags, the zone with its tags, every record but the machines' new ones."""
        (address,) = self.ec2.describe_addresses(AllocationIds=[self.allocation])["Addresses"]
        zone = self.route53.get_hosted_zone(Id=self.zone)["HostedZone"]
        tags = self.route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=self.zone)["ResourceTagSet"]["Tags"]
        return (address["PublicIp"], _sorted(address["Tags"])), zone["Config"], _sorted(tags), self.records()

    def records(self) -> dict[str, Any]:
        found = self.route53.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]
        return {f"{one['Name']} {one['Type']}": one for one in found if "public-gateway" not in one["Name"]}


def _sorted(tags: list[dict[str, str]]) -> list[tuple[str, str]]:
    return sorted((tag["Key"], tag["Value"]) for tag in tags)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    with simulated_aws() as url:
        yield Owner(url, tmp_path)


def test_address_zone_and_records_are_imported_as_they_are_and_outlive_the_stack(owner: Owner) -> None:
    before = owner.theirs()
    owner.adopted()
    steps = owner.steps()
    imported = {name for name, op in steps.items() if op == "import"}
    assert imported == {
        *("Eip public-gateway", "Zone example.org", "Record example.org-a", "Record example.org-mx"),
    }, steps
    owner.up()
    assert owner.theirs() == before
    assert owner.stack.outputs()["address"] == owner.address and len(owner.stack.outputs()["servers"]) == 4
    (address,) = owner.ec2.describe_addresses(AllocationIds=[owner.allocation])["Addresses"]
    assert address["InstanceId"], "it leads to the machine now"

    # Nothing is imported twice. What the inventory says of records comes now, what is the owner's stays.
    assert owner.steps() == {"Record example.org-a": "update", "Record example.org-mx": "update"}
    owner.up()
    after = owner.theirs()
    assert after[:3] == before[:3]
    assert (after[3]["example.org. A"]["TTL"], after[3]["example.org. MX"]["TTL"]) == (300, 3600)
    assert after[3]["blog.example.org. A"] == before[3]["blog.example.org. A"]
    assert owner.steps() == {}
    code, said = owner.run("refresh", "--yes", "--suppress-progress")
    assert code == 0, said
    assert not [name for name in owner.steps() if name.startswith(("Eip ", "Zone ", "Record "))]

    # Protected, and kept also by who lifts the protection.
    code, said = owner.run("destroy", "--preview-only")
    assert code != 0 and "Eip" in said and "Zone" in said and "protected" in said, said
    owner.up(PROTECT="no")
    code, said = owner.run("destroy", "--yes", "--skip-preview", "--suppress-progress", PROTECT="no")
    assert code == 0, said
    assert owner.theirs()[:3] == before[:3]
    assert set(owner.records()) == {"example.org. NS", "example.org. SOA", "blog.example.org. A"}, "what was not the stack's"


def test_what_is_not_as_the_inventory_says_is_refused_in_the_preview(owner: Owner) -> None:
    other = owner.new_zone("example.net")
    machine = owner.ec2.run_instances(ImageId="ami-0a1000000000000a1", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    owner.ec2.create_tags(Resources=[machine], Tags=[{"Key": "Name", "Value": "mail"}])
    owner.ec2.associate_address(AllocationId=owner.allocation, InstanceId=machine)
    owner.inventory(f'zone_id = "{other}"\nzone_adopted = true', f'allocation_id = "{owner.allocation}"')
    said = owner.refused()
    assert re.search(r"cloud.toml:\d+: cloud.zone_id: ", said), said
    assert f"cloud.zone_id: {other} is the zone of example.net, and public_domain is example.org" in said, said
    assert f"hosts.public-gateway.allocation_id: {owner.address} belongs to another machine, {machine} (mail)." in said, said
    assert "aws ec2 disassociate-address --region eu-central-1 --association-id eipassoc-" in said, said
    owner.inventory('zone_id = "Z0NOBODY"', 'allocation_id = "eipalloc-00000000000000000"')
    said = owner.refused()
    assert "cloud.zone_id: there is no zone Z0NOBODY in this account. Fix: ./aether --stack test adopt" in said, said
    assert "allocation_id: there is no Elastic IP eipalloc-00000000000000000 in eu-central-1. Fix:" in said, said
    assert not owner.ec2.describe_vpcs(Filters=[{"Name": "tag:project", "Values": ["aether"]}])["Vpcs"]

    # Another stack's are its own.
    owner.ec2.disassociate_address(PublicIp=owner.address)
    marked = [{"Key": "project", "Value": "aether"}, {"Key": "stack", "Value": "other"}]
    owner.ec2.create_tags(Resources=[owner.allocation], Tags=marked)
    owner.route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=owner.zone, AddTags=marked)
    owner.adopted()
    said = owner.refused()
    assert f"allocation_id: {owner.address} is of stack other, which made it" in said, said
    assert f"cloud.zone_adopted: {owner.zone} is of stack other, which made it. Fix: remove the line" in said, said


def test_records_that_say_something_else_are_refused_with_the_line_to_write(owner: Owner) -> None:
    owner.write_record({**MAIL, "ResourceRecords": [{"Value": "5 mx.example.net"}, {"Value": "9 mx2.example.net"}]})
    owner.write_record({"Name": "example.org", "Type": "TXT", "TTL": 3600, "ResourceRecords": [{"Value": '"v=spf1 -all"'}]})
    spf = '{ name = "@", type = "TXT", values = ["v=spf1 mx -all"] }'
    owner.inventory(f'zone_id = "{owner.zone}"\nrecords = [{MAIL_LINE}, {spf}]', f'allocation_id = "{owner.allocation}"')
    said = owner.refused()
    mail = '{ name = "@", type = "MX", values = ["5 mx.example.net", "9 mx2.example.net"], ttl = 600 }'
    text = '{ name = "@", type = "TXT", values = ["v=spf1 -all"] }'
    assert f"cloud.records[0]: {owner.zone} already has example.org MX" in said and mail in said, said
    assert f"cloud.records[1]: {owner.zone} already has example.org TXT" in said and text in said, said
    # The lines as they were printed are taken over without a change.
    before = owner.records()
    owner.inventory(f'zone_id = "{owner.zone}"\nrecords = [{mail}, {text}]', f'allocation_id = "{owner.allocation}"')
    owner.up()
    assert owner.records() == before
    assert owner.steps() == {"Record example.org-a": "update"}


def test_an_address_that_the_stack_made_is_not_given_up_for_another(owner: Owner) -> None:
    owner.inventory("records = []")
    owner.up()
    made = owner.stack.outputs()["address"]
    owner.adopted()
    said = owner.refused()
    assert "allocation_id: the machine has eipalloc-" in said and f"given up for {owner.allocation}" in said, said
    assert "cloud.zone_adopted: this stack has the zone " in said and f"given up for {owner.zone}" in said, said
    assert "config set aether:protect false" in said
    # Its own, named, are what they were.
    (address,) = owner.ec2.describe_addresses(PublicIps=[made])["Addresses"]
    owner.inventory("records = []", f'allocation_id = "{address["AllocationId"]}"')
    owner.up()
    assert owner.stack.outputs()["address"] == made
    assert owner.steps() == {}


def test_the_printed_policy_is_enough_to_adopt(tmp_path: Path) -> None:
    with simulated_aws() as url:
        owner = Owner(url, tmp_path)
        deployer = Decided(url)
        owner.key, owner.secret = deployer.key["KEY"], deployer.key["SECRET"]
        owner.adopted()
        deployer.allow(printed(owner.zone))
        owner.up()
        for right in ("ec2:DescribeAddresses", "route53:GetHostedZone", "route53:ListTagsForResource", "ec2:DescribeInstances"):
            deployer.allow(printed(owner.zone) - {right})
            said = owner.refused()
            assert right in said, said
