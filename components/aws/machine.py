"""A machine on AWS with a public address that outlives it."""

from collections.abc import Iterator
from typing import Literal

import pulumi
import pulumi_aws as aws
from pydantic import Field

from components.aws.data_disk import DataDisk, DataDiskArgs
from components.aws.existing import kept_as_it_is
from components.aws.records import resource, taken_over
from components.base import Args, Component, Text
from components.cloud import user_data
from components.cloud.bootstrap import bootstrap_key
from inventory.models import AwsMachine, NixosCloudVm, Opening

EVERYONE, EVERYONE_IPV6 = "0.0.0.0/0", "::/0"


class CloudMachineArgs(Args):
    facts: AwsMachine = Field(description="The host's entry in the inventory: image, size, disk, openings.")
    vpc_id: Text
    subnet_id: Text
    ways: tuple[pulumi.Resource, ...] = Field(default=(), description="Routes that must be there before the first boot.")
    authorized_keys: tuple[str, ...] = Field(min_length=1, description="The first becomes the key pair, all go in by user data.")
    host_private_key: Text = Field(
        description="Private half of the SSH host key. Secret; what the machine is born with follows from it."
    )
    ssh_from: dict[str, str] = Field(default={}, description="Named networks that may reach SSH; empty: nobody, use SSM.")
    ipv6: bool = False
    instance_profile: Text | None = Field(default=None, description="Name of the IAM instance profile.")
    zone_id: Text = Field(description="Route 53 zone of the names.")
    overwrite: tuple[str, ...] = Field(default=(), description="Names that are taken over where the zone has them already.")
    existing_records: dict[str, str] = Field(
        default={}, description="Record resource to its id, of those that the zone has and the state does not: imported."
    )
    names: tuple[str, ...] = Field(min_length=1, description="Fully qualified names; the first is the machine's own.")
    site: str = Field(default="", description="Prefix of the data disk's role.")
    availability_zone: str = Field(default="", description="Of the subnet; a data disk is in the same.")
    protect: bool = Field(
        default=False,
        description="Refuse to destroy Elastic IP and data disk, and to end the machine by anything but this program.",
    )
    provider: pulumi.ProviderResource


class CloudMachine(Component):
    """An instance that is born with a known SSH host key, a security group, an Elastic IP and its names.

    Creates:
        - ``aws:ec2:SecurityGroup`` and a rule resource for each opening, network and address family, so that one rule
          changes in place without touching the others; ``aws:ec2:KeyPair``.
        - ``aws:ec2:Instance``: pinned image, IMDSv2 only (one hop), encrypted gp3 root disk.
        - ``aether:aws:DataDisk``, if the inventory has one for it.
        - ``aws:ec2:Eip``, or the one that the inventory names, and ``EipAssociation``; ``aws:route53:Record`` A (and AAAA) for
          each name.

    Outputs:
        instance_id: new for each machine.  address: public IPv4.  ipv6_address: or empty.  name: its own name.
        ready: the address, known once name and address lead to the machine.
        bootstrap_key: public line of the host key that it was born with.
    """

    group: aws.ec2.SecurityGroup
    instance: aws.ec2.Instance
    elastic_ip: aws.ec2.Eip
    association: aws.ec2.EipAssociation
    records: list[aws.route53.Record]

    def __init__(self, name: str, args: CloudMachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:aws:CloudMachine", name, opts)
        options = self.child(provider=args.provider)
        self.group = self._security_group(name, args)
        key = aws.ec2.KeyPair(
            name,
            key_name=name,
            public_key=args.authorized_keys[0],
            # AWS takes one key pair of a name.
            opts=self.child(provider=args.provider, delete_before_replace=True),
        )
        self.instance = self._instance(name, args, key)
        self.data = self._data(name, args)
        self.elastic_ip = self._elastic_ip(name, args)
        self.association = aws.ec2.EipAssociation(
            name,
            allocation_id=self.elastic_ip.id,
            instance_id=self.instance.id,
            # A run that was cut off between AWS's answer and the state: what it made is taken over.
            allow_reassociation=True,
            opts=options,
        )
        self.ipv6_address: pulumi.Output[str] = (
            self.instance.ipv6_addresses.apply(lambda addresses: addresses[0] if addresses else "")
            if args.ipv6
            else pulumi.Output.from_input("")
        )
        self.records = [record for fqdn in args.names for record in self._records(fqdn, args)]
        self.name = args.names[0]
        self.instance_id = self.instance.id
        self.address = self.elastic_ip.public_ip
        # From the machine, not from the secret: a host key that was rotated since makes no other user data.
        self.bootstrap_key = pulumi.Output.unsecret(self.instance.user_data.apply(user_data.public_key))
        attached = [self.data.attachment.id] if self.data else []
        self.ready = pulumi.Output.all(
            self.address, self.association.id, *attached, *(record.id for record in self.records)
        ).apply(lambda values: str(values[0]))
        self.done(
            {
                "instance_id": self.instance_id,
                "address": self.address,
                "ipv6_address": self.ipv6_address,
                "name": self.name,
                "ready": self.ready,
            }
        )

    def _security_group(self, name: str, args: CloudMachineArgs) -> aws.ec2.SecurityGroup:
        group = aws.ec2.SecurityGroup(
            name,
            name=name,
            # Another description would be another group, and AWS takes one of a name.
            description=f"What may reach {name}",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=self.child(provider=args.provider),
        )
        for label, opening, cidr in _ways_in(args):
            aws.vpc.SecurityGroupIngressRule(
                f"{name}-{label}",
                security_group_id=group.id,
                ip_protocol=opening.protocol,
                from_port=opening.port,
                to_port=opening.port,
                cidr_ipv4=None if ":" in cidr else cidr,
                cidr_ipv6=cidr if ":" in cidr else None,
                description=opening.purpose,
                opts=self.child(provider=args.provider),
            )
        for label, cidr in {"out": EVERYONE, **({"out-ipv6": EVERYONE_IPV6} if args.ipv6 else {})}.items():
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-{label}",
                security_group_id=group.id,
                ip_protocol="-1",
                cidr_ipv4=None if ":" in cidr else cidr,
                cidr_ipv6=cidr if ":" in cidr else None,
                description="Anything out",
                opts=self.child(provider=args.provider),
            )
        return group

    def _instance(self, name: str, args: CloudMachineArgs, key: aws.ec2.KeyPair) -> aws.ec2.Instance:
        facts = args.facts
        return aws.ec2.Instance(
            name,
            ami=facts.ami,
            instance_type=facts.instance_type,
            subnet_id=args.subnet_id,
            private_ip=facts.address,
            # Nobody ends it by a slip in the console; the program, whose preview says so, may.
            disable_api_termination=args.protect,
            force_destroy=True,
            ipv6_address_count=1 if args.ipv6 else None,
            vpc_security_group_ids=[self.group.id],
            # Not the key's output: a machine is born with its key, another key makes no other machine.
            key_name=name,
            iam_instance_profile=args.instance_profile,
            user_data=_born_with(name, facts.os, args),
            metadata_options=aws.ec2.InstanceMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                # One hop: containers on the machine do not reach its credentials.
                http_put_response_hop_limit=1,
            ),
            root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(
                volume_size=facts.disk, volume_type="gp3", encrypted=True, delete_on_termination=True
            ),
            credit_specification=aws.ec2.InstanceCreditSpecificationArgs(cpu_credits="standard")
            if facts.instance_type.startswith("t")
            else None,
            tags={"Name": name, "aether:host": name},
            opts=self.child(
                provider=args.provider,
                depends_on=[key, *args.ways],
                # Its private address is the inventory's: the old machine must have left it.
                delete_before_replace=True,
                additional_secret_outputs=["userData"],
                # What a machine is born from: another text later would stop it and change nothing on its disk.
                ignore_changes=["userData"],
            ),
        )

    def _elastic_ip(self, name: str, args: CloudMachineArgs) -> aws.ec2.Eip:
        allocation = args.facts.allocation_id
        options = kept_as_it_is(allocation) if allocation else {}
        return aws.ec2.Eip(
            name,
            domain="vpc",
            tags={"Name": name},
            opts=self.child(provider=args.provider, protect=args.protect, **options),
        )

    def _data(self, name: str, args: CloudMachineArgs) -> DataDisk | None:
        data = args.facts.data if isinstance(args.facts, NixosCloudVm) else None
        if data is None:
            return None
        return DataDisk(
            name,
            DataDiskArgs(
                facts=data,
                site=args.site,
                availability_zone=args.availability_zone,
                instance_id=self.instance.id,
                protect=args.protect,
                provider=args.provider,
            ),
            opts=self.child(),
        )

    def _records(self, fqdn: str, args: CloudMachineArgs) -> list[aws.route53.Record]:
        kinds: list[tuple[Literal["A", "AAAA"], pulumi.Output[str]]] = [("A", self.elastic_ip.public_ip)]
        if args.ipv6:
            kinds.append(("AAAA", self.ipv6_address))
        return [
            aws.route53.Record(
                resource(fqdn, kind),
                zone_id=args.zone_id,
                name=fqdn,
                type=kind,
                # Seconds. Short: an IPv6 address goes with its machine.
                ttl=300,
                records=[address],
                allow_overwrite=True if fqdn in args.overwrite else None,
                opts=self.child(provider=args.provider, **taken_over(resource(fqdn, kind), args.existing_records)),
            )
            for kind, address in kinds
        ]


def _born_with(name: str, system: str, args: CloudMachineArgs) -> pulumi.Output[str]:
    def text(own_key: str) -> str:
        private, public = bootstrap_key(name, own_key)
        if system == "nixos":
            return user_data.nixos(private, public)
        return user_data.cloud_init(name, private, public, args.authorized_keys)

    return pulumi.Output.secret(pulumi.Output.from_input(args.host_private_key).apply(text))


def _ways_in(args: CloudMachineArgs) -> Iterator[tuple[str, Opening, str]]:
    """Each rule's label, opening and network. Labels say what for, not from where: another network changes a rule in place."""
    for opening in args.facts.open:
        label = f"{opening.protocol}-{opening.port}"
        for index, cidr in enumerate(opening.cidrs):
            yield (f"{label}-{index + 1}" if index else label), opening, cidr
        if args.ipv6 and EVERYONE in opening.cidrs:
            yield f"{label}-ipv6", opening, EVERYONE_IPV6
    for network, cidr in sorted(args.ssh_from.items()):
        yield f"ssh-{network}", Opening(port=args.facts.ssh_port, purpose=f"SSH from {network}", cidrs=(cidr,)), cidr
