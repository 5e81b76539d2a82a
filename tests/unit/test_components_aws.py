"""The public gateway with mocks: what is made, what it may do, what stays when a machine is replaced."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
import yaml

from aether_sim.hosts.firstboot import public_line, random_host_key
from components.aws.machine import CloudMachine
from components.aws.network import first_64
from components.aws.public_gateway import PublicGateway, PublicGatewayArgs
from components.cloud import user_data
from components.cloud.bootstrap import bootstrap_key
from inventory.load import load
from inventory.models import Cloud, CloudVm
from tests.unit.recorder import Recording, Registered, record

INVENTORY = load("inventory/cloud.toml")
PRIVATE = random_host_key()
made: list[PublicGateway] = []


def gateway(
    *, cloud: dict[str, Any] | None = None, facts: dict[str, Any] | None = None, preview: bool = False, **more: Any
) -> Recording:
    host = INVENTORY.hosts["public-gateway"]
    assert isinstance(host, CloudVm) and INVENTORY.cloud is not None
    arguments: dict[str, Any] = {
        "facts": host.model_copy(update=facts or {}),
        "cloud": INVENTORY.cloud.model_copy(update=cloud or {}),
        "site": INVENTORY.site,
        "cidr": "192.168.90.0/24",
        "host_private_key": pulumi.Output.secret(PRIVATE),
        **more,
    }

    def program() -> None:
        made.append(
            PublicGateway("public-gateway", PublicGatewayArgs(provider=aws.Provider("aws", region="eu-central-1"), **arguments))
        )

    def outputs(kind: str, name: str) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {
            "aws:ec2/vpc:Vpc": {"ipv6CidrBlock": "2a05:d014:1::/56"},
            "aws:ec2/eip:Eip": {"publicIp": "198.51.100.7"},
            "aws:ec2/instance:Instance": {"ipv6Addresses": ["2a05:d014:1::a"]},
            "aws:route53/zone:Zone": {"zoneId": "Z1", "nameServers": ["ns-1.example.net"]},
        }
        return found.get(kind, {})

    made.clear()
    return record(program, preview=preview, outputs=outputs)


def instance(recording: Recording) -> Registered:
    return recording.one("ec2/instance:Instance", "public-gateway")


def ways_in(recording: Recording) -> dict[str, dict[str, Any]]:
    return {name: rule.inputs for name, rule in recording.of("SecurityGroupIngressRule").items()}


@pytest.fixture(scope="module")
def recording() -> Recording:
    return gateway()


class TestNetwork:
    def test_the_only_subnet_leads_out_both_ways(self, recording: Recording) -> None:
        assert {
            rule.inputs.get("destinationCidrBlock") or rule.inputs["destinationIpv6CidrBlock"]
            for rule in recording.of("Route").values()
        } == {"0.0.0.0/0", "::/0"}
        assert len(recording.of("ec2/subnet:Subnet")) == len(recording.of("RouteTableAssociation")) == 1

    def test_without_ipv6_nothing_of_it_is_made(self) -> None:
        recording = gateway(cloud={"ipv6": False})
        assert list(recording.of("ec2/route:Route")) == ["cloud-ipv4"]
        assert not [name for name in ways_in(recording) if name.endswith("ipv6")]
        assert {record.inputs["type"] for record in recording.of("route53/record:Record").values()} == {"A"}

    def test_the_subnet_takes_the_first_64(self, recording: Recording) -> None:
        assert recording.one("ec2/subnet:Subnet", "cloud").inputs["ipv6CidrBlock"] == "2a05:d014:1::/64"
        assert first_64("2a05:d014:1:ff00::/56") == "2a05:d014:1:ff00::/64"

    def test_the_machine_waits_until_packets_can_leave(self, recording: Recording) -> None:
        waits = " ".join(instance(recording).depends_on) + json.dumps(instance(recording).inputs)
        assert "cloud-id" in waits


class TestMachine:
    def test_it_is_born_from_the_pinned_image_at_the_inventorys_address(self, recording: Recording) -> None:
        inputs = instance(recording).inputs
        host = INVENTORY.hosts["public-gateway"]
        assert isinstance(host, CloudVm)
        assert inputs["ami"] == host.ami
        assert inputs["privateIp"] == host.address
        assert inputs["instanceType"] == host.instance_type

    def test_its_metadata_wants_a_token_and_is_one_hop_away(self, recording: Recording) -> None:
        options = instance(recording).inputs["metadataOptions"]
        assert (options["httpTokens"], options["httpPutResponseHopLimit"]) == ("required", 1)

    def test_its_disk_is_encrypted(self, recording: Recording) -> None:
        assert instance(recording).inputs["rootBlockDevice"]["encrypted"] is True

    def test_it_has_no_public_address_but_the_elastic_one(self, recording: Recording) -> None:
        assert recording.one("ec2/subnet:Subnet", "cloud").inputs["mapPublicIpOnLaunch"] is False
        association = recording.one("EipAssociation", "public-gateway").inputs
        assert association["allocationId"] == "public-gateway-id" and association["allowReassociation"] is True

    def test_the_elastic_address_does_not_depend_on_the_machine(self, recording: Recording) -> None:
        elastic = recording.one("ec2/eip:Eip", "public-gateway")
        assert "instance" not in elastic.inputs, "an address bound to its instance would go with it"
        assert not [urn for urn in elastic.depends_on if "Instance" in urn]

    def test_what_it_was_born_with_changes_nothing_later(self, recording: Recording) -> None:
        assert "userData" in instance(recording).ignore_changes

    def test_another_login_key_makes_no_other_machine(self, recording: Recording) -> None:
        key = f"ssh-ed25519 {'A' * 68} somebody"
        other = gateway(site=INVENTORY.site.model_copy(update={"authorized_keys": (key,)}))
        assert other.one("KeyPair", "public-gateway").inputs["publicKey"] == key
        before, after = ({**instance(each).inputs, "userData": ""} for each in (recording, other))
        assert before == after
        assert instance(other).inputs["keyName"] == other.one("KeyPair", "public-gateway").inputs["keyName"]

    def test_another_description_makes_no_other_group(self, recording: Recording) -> None:
        other = gateway(facts={"description": "Something else"})
        groups = [each.one("securityGroup:SecurityGroup", "public-gateway").inputs for each in (recording, other)]
        assert groups[0] == groups[1]

    def test_the_key_that_it_is_born_with_is_a_secret(self, recording: Recording) -> None:
        machine = made[-1].machine if made else None
        assert isinstance(machine, CloudMachine)
        text = instance(recording).inputs["userData"]
        assert "PRIVATE KEY" in text
        assert "PRIVATE KEY" not in json.dumps({**instance(recording).inputs, "userData": ""})

    def test_a_preview_of_something_new_works(self) -> None:
        assert instance(gateway(preview=True)).inputs["ami"].startswith("ami-")


class TestSecurityGroup:
    def test_every_opening_is_a_rule_of_its_own_for_each_family(self, recording: Recording) -> None:
        assert set(ways_in(recording)) == {
            "public-gateway-ssh-home",
            *(
                f"public-gateway-{port}{family}"
                for port in ("tcp-80", "tcp-443", "udp-443", "udp-51820", "udp-41641")
                for family in ("", "-ipv6")
            ),
            *("public-gateway-tcp-2222", "public-gateway-tcp-4317"),
        }

    def test_the_group_itself_has_no_rules(self, recording: Recording) -> None:
        inputs = recording.one("securityGroup:SecurityGroup", "public-gateway").inputs
        assert "ingress" not in inputs and "egress" not in inputs

    def test_ssh_is_for_named_networks_alone(self, recording: Recording) -> None:
        rules = [rule for rule in ways_in(recording).values() if rule["fromPort"] == 22]
        assert [rule["cidrIpv4"] for rule in rules] == ["203.0.113.0/24"]

    def test_without_named_networks_nobody_reaches_ssh(self) -> None:
        assert not [rule for rule in ways_in(gateway(cloud={"ssh_from": {}})).values() if rule["fromPort"] == 22]

    def test_another_network_changes_its_rule_in_place(self) -> None:
        before, after = (ways_in(gateway(cloud={"ssh_from": {"home": cidr}})) for cidr in ("203.0.113.0/24", "198.51.100.0/24"))
        assert before.keys() == after.keys()
        assert [name for name in before if before[name] != after[name]] == ["public-gateway-ssh-home"]


class TestRights:
    def test_the_machine_may_keep_sessions_open_and_nothing_else(self, recording: Recording) -> None:
        (policy,) = recording.of("rolePolicy:RolePolicy").values()
        (statement,) = json.loads(policy.inputs["policy"])["Statement"]
        assert all(action.startswith(("ssmmessages:", "ssm:UpdateInstanceInformation")) for action in statement["Action"])
        assert not recording.of("RolePolicyAttachment")

    def test_without_session_manager_it_has_no_role(self) -> None:
        recording = gateway(cloud={"ssm": False})
        assert not recording.of("iam/role:Role")
        assert "iamInstanceProfile" not in instance(recording).inputs


class TestNames:
    def test_its_own_the_public_domain_and_every_public_service_lead_to_it(self) -> None:
        recording = gateway(public_names=("jellyfin.example.org",))
        records = recording.of("route53/record:Record")
        assert {record.inputs["name"] for record in records.values()} == {
            "public-gateway.cloud.example.org",
            "public-gateway.example.org",
            "example.org",
            "jellyfin.example.org",
        }
        assert {tuple(record.inputs["records"]) for record in records.values() if record.inputs["type"] == "A"} == {
            ("198.51.100.7",)
        }

    def test_a_zone_of_the_inventory_is_used_as_it_is(self) -> None:
        recording = gateway(cloud={"zone_id": "ZGIVEN"})
        assert not recording.of("route53/zone:Zone")
        assert {record.inputs["zoneId"] for record in recording.of("route53/record:Record").values()} == {"ZGIVEN"}

    def test_what_the_account_had_is_imported_kept_and_its_tags_the_owners(self) -> None:
        records = {"example.org-a": "Z1_example.org_A"}
        recording = gateway(
            cloud={"zone_id": "Z1", "zone_adopted": True}, facts={"allocation_id": "eipalloc-1"}, existing_records=records
        )
        imported = {item.type.rpartition(":")[2]: item for item in recording.resources if item.import_id}
        assert {kind: item.import_id for kind, item in imported.items()} == {
            "Eip": "eipalloc-1",
            "Zone": "Z1",
            "Record": "Z1_example.org_A",
        }
        for kind in ("Eip", "Zone"):
            assert imported[kind].retained and {"tags", "tagsAll"} <= set(imported[kind].ignore_changes)
        assert not imported["Record"].retained, "the stack's from now on"

    def test_address_and_zone_are_protected_where_the_stack_wants_it(self) -> None:
        recording = gateway(protect=True)
        assert [item.type for item in recording.resources if item.protect] == ["aws:route53/zone:Zone", "aws:ec2/eip:Eip"]


class TestBudget:
    def test_the_owner_hears_at_80_percent_and_of_a_forecast(self, recording: Recording) -> None:
        (budget,) = recording.of("Budget").values()
        assert budget.inputs["limitAmount"] == "60"
        alarms = [
            (alarm["notificationType"], alarm["threshold"], alarm["subscriberEmailAddresses"])
            for alarm in budget.inputs["notifications"]
        ]
        assert alarms == [("ACTUAL", 80, ["mitso@example.org"]), ("FORECASTED", 100, ["mitso@example.org"])]


def test_it_is_configured_after_its_name_leads_to_it() -> None:
    seen: dict[str, Any] = {}

    def configure(parent: Any, host: str, machine: CloudMachine) -> pulumi.Output[str]:
        def note(values: list[str]) -> str:
            seen.update(host=host, instance=values[0], address=values[1])
            return "healthy"

        return pulumi.Output.all(machine.instance_id, machine.ready).apply(note)

    gateway(configure=configure)
    assert seen == {"host": "public-gateway", "instance": "public-gateway-id", "address": "198.51.100.7"}


class TestUserData:
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC6oWPJp5O6fQUPFuTmdv2lpuBxMloJlv3N6Lv6FOqxu host"

    def test_cloud_init_gets_exactly_this_key(self) -> None:
        text = user_data.cloud_init("public-gateway", PRIVATE, self.public, ["ssh-ed25519 AAAA mitso"])
        assert text.startswith("#cloud-config\n")
        document = yaml.safe_load(text)
        assert document["ssh_keys"] == {"ed25519_private": PRIVATE, "ed25519_public": " ".join(self.public.split()[:2])}
        assert document["ssh_deletekeys"] is True and document["ssh_genkeytypes"] == []
        assert document["ssh_authorized_keys"] == ["ssh-ed25519 AAAA mitso"]

    def test_nixos_gets_the_two_lines_that_its_module_greps_for(self) -> None:
        private, public = user_data.nixos(PRIVATE, self.public).splitlines()
        assert private.removeprefix("SSH_HOST_ED25519_KEY:").replace("|", "\n") == PRIVATE
        assert public.removeprefix("SSH_HOST_ED25519_KEY_PUB:") == " ".join(self.public.split()[:2])


class TestInventory:
    @pytest.mark.parametrize("ami", ["latest", "resolve:ssm:/aws/service/ami", "ami-xyz"])
    def test_an_image_that_moves_is_refused(self, ami: str) -> None:
        facts = INVENTORY.hosts["public-gateway"].model_dump(mode="json") | {"ami": ami}
        with pytest.raises(ValueError, match="is not an AMI id"):
            CloudVm.model_validate_json(json.dumps(facts))

    def test_a_budget_is_wanted(self) -> None:
        with pytest.raises(ValueError, match="budget"):
            Cloud.model_validate({"gateway": "g", "availability_zone": "eu-central-1a", "budget_email": "a@b"})


class TestBirthKey:
    def test_it_is_not_the_hosts_own_and_always_the_same(self) -> None:
        private, public = bootstrap_key("vps", PRIVATE)
        assert public_line(private) == public == bootstrap_key("vps", PRIVATE)[1]
        assert public != public_line(PRIVATE) and public != bootstrap_key("other", PRIVATE)[1]

    def test_user_data_hold_it_and_nothing_of_the_own_key(self, recording: Recording) -> None:
        text = instance(recording).inputs["userData"]
        text = text if isinstance(text, str) else str(text)
        assert PRIVATE.splitlines()[-2] not in text
        assert bootstrap_key("public-gateway", PRIVATE)[1] in text

    @pytest.mark.parametrize("system", ["nixos", "amazon-linux"])
    def test_its_public_half_is_read_from_what_the_machine_was_born_with(self, system: str) -> None:
        private, public = bootstrap_key("vps", PRIVATE)
        text = user_data.nixos(private, public) if system == "nixos" else user_data.cloud_init("vps", private, public, ["k"])
        assert user_data.public_key(text) == public
        assert user_data.public_key("") == ""
