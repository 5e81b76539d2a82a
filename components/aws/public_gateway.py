"""The public entry in front of the homelab."""

from collections.abc import Callable

import pulumi
import pulumi_aws as aws
from pydantic import Field

from components.aws.existing import kept_as_it_is
from components.aws.least_rights import session_profile
from components.aws.machine import CloudMachine, CloudMachineArgs
from components.aws.network import PublicNetwork, PublicNetworkArgs
from components.aws.records import full_name, resource, taken_over
from components.base import Args, Component, Text
from inventory.models import AwsMachine, Cloud, Opening, Record, Site

Configure = Callable[["Component", str, CloudMachine], pulumi.Output[str]]
"""Configures a machine: parent, host, the machine -> a text that is known once it is healthy."""


class PublicGatewayArgs(Args):
    facts: AwsMachine = Field(description="The gateway's entry in the inventory.")
    cloud: Cloud = Field(description="Availability zone, IPv6, who may log in, zone, budget.")
    site: Site = Field(description="Names: HOST.DOMAIN, HOST.PUBLIC_DOMAIN, and the public domain itself.")
    cidr: str = Field(description="Network of the VPC: the inventory's network of the gateway.")
    public_names: tuple[str, ...] = Field(
        default=(), description="More names under the public domain, like jellyfin.example.org."
    )
    existing_records: dict[str, str] = Field(
        default={}, description="Record resource to its id, of those that the zone has and the state does not: imported."
    )
    host_private_key: Text = Field(description="Private half of the SSH host key. Secret.")
    protect: bool = Field(default=False, description="Refuse to destroy the public address.")
    configure: Configure | None = Field(default=None, description="What configures the machine once it answers.")
    provider: pulumi.ProviderResource


class PublicGateway(Component):
    """Network, machine, names and budget of the public side; then the machine's configuration, which makes the tunnel home.

    Creates:
        - ``aether:aws:PublicNetwork``, which the other machines of the cloud share.
        - ``aws:route53:Zone`` of the public domain; the one that the inventory adopts; none where it names one to use.
        - ``aether:aws:CloudMachine``: the gateway, with records for itself, the public domain and every public name.
        - IAM role, policy and instance profile for Session Manager, if wanted.
        - ``aws:budgets:Budget``: an e-mail at 80 % spent and at 100 % forecast.
        - what ``configure`` makes (``aether:ansible:Playbook``): Caddy, WireGuard or Tailscale home, and its health checks.

    Outputs:
        address: public IPv4.  ipv6_address: or empty.  names: all that lead to it.  name_servers: to enter at the registrar,
        or none when the zone is used alone.  healthy: the host's name, known once its health checks hold.
    """

    network: PublicNetwork
    machine: CloudMachine
    records: list[aws.route53.Record]
    budget: aws.budgets.Budget

    def __init__(self, name: str, args: PublicGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:aws:PublicGateway", name, opts)
        self.network = PublicNetwork(
            args.site.name,
            PublicNetworkArgs(
                cidr=args.cidr,
                availability_zone=args.cloud.availability_zone,
                ipv6=args.cloud.ipv6,
                provider=args.provider,
            ),
            opts=self.child(),
        )
        self.zone_id, self.name_servers = self._zone(args)
        profile = session_profile(self, f"{args.site.name}-machine", args.provider) if args.cloud.ssm else None
        self.profile_name = profile.name if profile else None
        # The homelab's end of the link knows the gateway by the public domain, the one that both inventories have.
        own = (f"{name}.{args.site.domain}", f"{name}.{args.site.public_domain}", args.site.public_domain)
        self.names = tuple(dict.fromkeys((*own, *args.public_names)))
        self.machine = CloudMachine(
            name,
            CloudMachineArgs(
                facts=_with_relays(args),
                vpc_id=self.network.vpc_id,
                subnet_id=self.network.subnet_id,
                ways=self.network.ways,
                authorized_keys=args.site.authorized_keys,
                host_private_key=args.host_private_key,
                ssh_from=args.cloud.ssh_from,
                ipv6=args.cloud.ipv6,
                instance_profile=self.profile_name,
                zone_id=self.zone_id,
                names=self.names,
                overwrite=args.cloud.overwrite_records,
                existing_records=args.existing_records,
                site=args.site.name,
                availability_zone=args.cloud.availability_zone,
                protect=args.protect,
                provider=args.provider,
            ),
            opts=self.child(),
        )
        self.records = [self._record(record, args) for record in args.cloud.records or ()]
        self.budget = self._budget(args)
        self.address = self.machine.address
        self.ipv6_address = self.machine.ipv6_address
        self.healthy = args.configure(self, name, self.machine) if args.configure else self.machine.ready.apply(lambda _: name)
        self.done(
            {
                "address": self.address,
                "ipv6_address": self.ipv6_address,
                "names": list(self.names),
                "name_servers": self.name_servers,
                "healthy": self.healthy,
            }
        )

    def _zone(self, args: PublicGatewayArgs) -> tuple[pulumi.Output[str], pulumi.Output[list[str]]]:
        if args.cloud.zone_id and not args.cloud.zone_adopted:
            return pulumi.Output.from_input(args.cloud.zone_id), pulumi.Output.from_input(list[str]())
        zone = aws.route53.Zone(
            args.site.public_domain,
            name=args.site.public_domain,
            comment="Public names of the homelab",
            # The name servers are at the registrar: a zone made again has others.
            opts=self.child(
                provider=args.provider,
                protect=args.protect,
                **(kept_as_it_is(args.cloud.zone_id) if args.cloud.zone_id else {}),
            ),
        )
        return zone.zone_id, zone.name_servers.apply(list)

    def _record(self, facts: Record, args: PublicGatewayArgs) -> aws.route53.Record:
        fqdn = full_name(facts, args.site.public_domain)
        name = resource(fqdn, facts.type)
        return aws.route53.Record(
            name,
            zone_id=self.zone_id,
            name=fqdn,
            type=facts.type,
            ttl=facts.ttl,
            records=list(facts.values),
            allow_overwrite=True if fqdn in args.cloud.overwrite_records else None,
            opts=self.child(provider=args.provider, **taken_over(name, args.existing_records)),
        )

    def _budget(self, args: PublicGatewayArgs) -> aws.budgets.Budget:
        def alarm(kind: str, percent: int) -> aws.budgets.BudgetNotificationArgs:
            return aws.budgets.BudgetNotificationArgs(
                comparison_operator="GREATER_THAN",
                notification_type=kind,
                threshold=percent,
                threshold_type="PERCENTAGE",
                subscriber_email_addresses=[args.cloud.budget_email],
            )

        return aws.budgets.Budget(
            args.site.name,
            name=f"{args.site.name}-monthly",
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.cloud.budget),
            limit_unit="USD",
            notifications=[alarm("ACTUAL", 80), alarm("FORECASTED", 100)],
            opts=self.child(provider=args.provider),
        )


def _with_relays(args: PublicGatewayArgs) -> AwsMachine:
    """The gateway's facts, its relays open to its own network."""
    relays = (
        Opening(port=relay.listen, purpose=f"{name} of the machines here, home", cidrs=(args.cidr,))
        for name, relay in args.cloud.relays.items()
    )
    return args.facts.model_copy(update={"open": (*args.facts.open, *relays)})
