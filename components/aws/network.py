"""A small public network on AWS."""

import pulumi
import pulumi_aws as aws
from pydantic import Field

from components.base import Args, Component


class PublicNetworkArgs(Args):
    cidr: str = Field(description="IPv4 network of the VPC; the one subnet takes all of it (at most a /16, at least a /28).")
    availability_zone: str = Field(description="Where the subnet is, like eu-central-1a. Another one replaces the subnet.")
    ipv6: bool = Field(default=False, description="Also a /56 of Amazon's IPv6 addresses; the subnet takes the first /64.")
    provider: pulumi.ProviderResource = Field(description="The aws provider.")


class PublicNetwork(Component):
    """A VPC with one public subnet.

    Creates:
        - ``aws:ec2:Vpc``, ``Subnet``, ``InternetGateway``.
        - ``aws:ec2:RouteTable`` with a default ``Route`` (two with IPv6), and its association with the subnet.

    Outputs:
        vpc_id, subnet_id.

    Attributes:
        ways: what must be there before packets can leave the subnet; machines depend on them. They are no part of the id,
        which a new route would make unknown in a preview, and with it every machine in the subnet a replacement.
    """

    vpc: aws.ec2.Vpc
    subnet: aws.ec2.Subnet
    internet: aws.ec2.InternetGateway
    routes: list[aws.ec2.Route]

    def __init__(self, name: str, args: PublicNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:aws:PublicNetwork", name, opts)
        options = self.child(provider=args.provider)
        tags = {"Name": name}
        self.vpc = aws.ec2.Vpc(
            name,
            cidr_block=args.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            assign_generated_ipv6_cidr_block=args.ipv6,
            tags=tags,
            opts=options,
        )
        self.subnet = aws.ec2.Subnet(
            name,
            vpc_id=self.vpc.id,
            cidr_block=args.cidr,
            ipv6_cidr_block=self.vpc.ipv6_cidr_block.apply(first_64) if args.ipv6 else None,
            availability_zone=args.availability_zone,
            # Machines have an Elastic IP, which stays when one is replaced; no second address that does not.
            map_public_ip_on_launch=False,
            tags=tags,
            # Another zone is another subnet with the same addresses: the old one goes first, with its machines.
            opts=self.child(provider=args.provider, delete_before_replace=True),
        )
        self.internet = aws.ec2.InternetGateway(name, vpc_id=self.vpc.id, tags=tags, opts=options)
        table = aws.ec2.RouteTable(name, vpc_id=self.vpc.id, tags=tags, opts=options)
        self.routes = [
            aws.ec2.Route(
                f"{name}-ipv4",
                route_table_id=table.id,
                destination_cidr_block="0.0.0.0/0",
                gateway_id=self.internet.id,
                opts=options,
            )
        ]
        if args.ipv6:
            self.routes.append(
                aws.ec2.Route(
                    f"{name}-ipv6",
                    route_table_id=table.id,
                    destination_ipv6_cidr_block="::/0",
                    gateway_id=self.internet.id,
                    opts=options,
                )
            )
        association = aws.ec2.RouteTableAssociation(name, route_table_id=table.id, subnet_id=self.subnet.id, opts=options)
        self.vpc_id = self.vpc.id
        self.subnet_id = self.subnet.id
        self.ways: tuple[pulumi.Resource, ...] = (association, *self.routes)
        self.done({"vpc_id": self.vpc_id, "subnet_id": self.subnet_id})


def first_64(block: str | None) -> str:
    """The first /64 of an IPv6 block like ``2a05:d014:1::/56``."""
    if not block:
        return ""
    return block.rsplit("/", 1)[0] + "/64"
