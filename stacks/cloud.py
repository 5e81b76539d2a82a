"""The public side: the gateway on AWS, the machines beside it, and the repository that builds the Atomic image."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.ansible.playbook import Playbook, PlaybookArgs
from components.ansible.sources import Playbooks, playbook_content
from components.aws.machine import CloudMachine, CloudMachineArgs
from components.aws.public_gateway import PublicGateway, PublicGatewayArgs
from components.aws.way_home import WayHome, WayHomeArgs
from components.base import Component, Operator
from components.cloud.first_contact import first_contact
from components.health.proof import Healthy, HealthyArgs
from components.nixos.system import NixosSystem
from inventory.ansible import peers, relays
from inventory.files import REPOSITORY
from inventory.load import Inventory, load
from inventory.models import AmazonLinuxVm, Cloud, CloudVm, NixosCloudVm
from stacks import names
from stacks.errors import SettingsError
from stacks.existing import Existing, look
from stacks.images import Images
from stacks.live import drifts
from stacks.machines import Machines, playbook_facts
from stacks.public import aws_provider, one_region
from stacks.recorded import outputs_of, resources
from stacks.rollout import activation_order
from stacks.sdk import export
from stacks.settings import Settings
from stacks.sops import secret
from stacks.ssh import note_address, write_client_config
from stacks.systems import deployed_system, desired_systems
from stacks.waves import Waves
from stacks.zone import warn_of_empty_zone

# The homelab's end of the tunnel (nix/hosts/oracle/gateway/wireproxy.nix).
HOME_GATEWAY = "gateway"
HOST_KEY = "ssh_host_ed25519_key"
EXAMPLE = re.compile(r"ami-0[0-9a-f]\d0{8}")
# EC2 calls an instance running when its first boot begins.
FIRST_BOOT = 300  # seconds


@dataclass(frozen=True)
class Context:
    """What the parts of this composition share."""

    settings: Settings
    inventory: Inventory
    cloud: Cloud
    homelab: Inventory | None
    operator: Operator
    provider: aws.Provider


def compose(settings: Settings, inventory: Inventory) -> None:
    """Register every resource of the public side up to the stack's phase."""
    machines = inventory.of(CloudVm, settings.phase)
    beside = inventory.of(NixosCloudVm, settings.phase)
    facts = machines.get(inventory.cloud.gateway) if inventory.cloud else None
    if inventory.cloud is None or not isinstance(facts, AmazonLinuxVm):
        raise SettingsError(f'{settings.inventory}: has no gateway. Fix: write [cloud] gateway = "NAME", a cloud-vm of it')
    context = Context(
        settings,
        inventory,
        inventory.cloud,
        _homelab(settings, inventory),
        Operator(
            ssh_config=write_client_config(settings, inventory),
            secrets=str(settings.secrets),
            nix=settings.nix,
            wait=FIRST_BOOT,
        ),
        aws_provider(settings, one_region([machine.region for machine in machines.values()]), inventory.site.name),
    )
    _refuse_doubled_names(context, machines)
    _refuse_relays_to_nobody(context)
    if not settings.aws_endpoint:
        _refuse_examples(context, machines)
    existing = look(settings, inventory, facts.region, machines, names.of_all(inventory, context.homelab, machines))
    warn_of_empty_zone(inventory.cloud, inventory.site.public_domain)
    gateway = _gateway(context, inventory.cloud.gateway, facts, existing)
    others = _machines(context, gateway, beside, existing)
    export(
        "gateway",
        {
            "address": gateway.address,
            "ipv6Address": gateway.ipv6_address,
            "names": list(gateway.names),
            "healthy": gateway.healthy,
        },
    )
    export("nameServers", gateway.name_servers)
    export("addresses", {inventory.cloud.gateway: gateway.address, **{name: other.address for name, other in others.items()}})
    if inventory.image:
        Images(settings, inventory, outputs_of(resources())).export()


def _homelab(settings: Settings, inventory: Inventory) -> Inventory | None:
    """The inventory whose Atomic hosts and public services this one serves."""
    if inventory.image is None:
        return None
    return load(Path(settings.inventory).parent / inventory.image.hosts)


def _gateway(context: Context, name: str, facts: AmazonLinuxVm, existing: Existing) -> PublicGateway:
    return PublicGateway(
        name,
        PublicGatewayArgs(
            facts=facts,
            cloud=context.cloud,
            site=context.inventory.site,
            cidr=context.inventory.networks[facts.network].cidr,
            public_names=(
                *names.of_machine(context.inventory.site, name, facts)[1:],
                *names.of_services(context.homelab, context.inventory.site.public_domain),
            ),
            existing_records=dict(existing.records),
            host_private_key=secret(context.settings, f"hosts/{name}.yaml", HOST_KEY),
            protect=context.settings.protect,
            configure=lambda parent, host, machine: _configure(context, parent, host, facts, machine),
            provider=context.provider,
        ),
    )


def _refuse_doubled_names(context: Context, machines: dict[str, CloudVm]) -> None:
    site = context.inventory.site
    own = [label for name, facts in machines.items() for label in names.of_machine(site, name, facts)]
    public = names.of_services(context.homelab, site.public_domain)
    doubled = [name for name, count in Counter((*own, *public)).items() if count > 1]
    if doubled:
        raise SettingsError(
            f"{context.settings.inventory}: {', '.join(doubled)} would lead to two places. "
            "Fix: remove it from public_names, or give the homelab's service another subdomain"
        )


def _refuse_relays_to_nobody(context: Context) -> None:
    """A relay ends at a host of the homelab's inventory."""
    known = context.homelab.hosts if context.homelab else {}
    for name, relay in context.cloud.relays.items():
        if relay.host not in known:
            where = context.homelab.path.name if context.homelab else "any homelab, for there is no [image] hosts"
            raise SettingsError(
                f"{context.settings.inventory}: [cloud] relays.{name}.host: '{relay.host}' is no host of {where}. "
                f"Fix: write one of its hosts, or remove the relay"
            )


def _refuse_examples(context: Context, machines: dict[str, CloudVm]) -> None:
    """The ids in the repository's inventory are nobody's image."""
    examples = [f"hosts.{name}.ami: {facts.ami}" for name, facts in machines.items() if EXAMPLE.match(facts.ami)]
    if examples:
        raise SettingsError(
            f"{context.settings.inventory}: examples, not images: {', '.join(examples)}. "
            f"Fix: ./aether --stack {context.settings.stack} cloud images prints the lines to write"
        )


def _configure(context: Context, parent: Component, name: str, facts: AmazonLinuxVm, machine: CloudMachine) -> pulumi.Output[str]:
    """Run the machine's playbook, then its health checks; the text is known once they hold."""
    settings, playbook = context.settings, facts.playbook
    gateway = context.homelab.hosts.get(HOME_GATEWAY) if context.homelab else None
    home = str(gateway.address) if gateway else ""
    run = Playbook(
        name,
        PlaybookArgs(
            host=name,
            playbook=playbook,
            content=playbook_content(Playbooks(REPOSITORY), playbook, playbook_facts(facts.model_dump()), _tables(context)),
            inventory=str(settings.inventory),
            endpoints_file=settings.endpoints_file,
            # Where home's connections come from.
            variables={"homelab_gateway": home},
            instance=_reached(context, parent, name, machine),
            operator=context.operator,
        ),
        opts=parent.child(),
    )
    checks = HealthyArgs(health=facts.health, after=run.recap, operator=context.operator)
    healthy = Healthy(name, checks, opts=parent.child()).healthy
    service = _way_home(context) if name == context.cloud.gateway else None
    if service is None:
        return healthy
    way = WayHome(
        name,
        WayHomeArgs(
            service=service,
            home=home if settings.prove_way_home else "",
            after=pulumi.Output.concat(run.recap, healthy),
            operator=context.operator,
        ),
        opts=parent.child(),
    )
    return pulumi.Output.all(healthy, way.state).apply(lambda values: str(values[0]))


def _way_home(context: Context) -> str | None:
    """The public name that proves the way home.

    Raises:
        SettingsError: the homelab has no such public service.
    """
    service, homelab = context.cloud.way_home, context.homelab
    if service is None or homelab is None:
        return None
    facts = homelab.services.get(service)
    if facts is None or not facts.public:
        public = ", ".join(name for name, found in homelab.services.items() if found.public) or "none is public"
        raise SettingsError(
            f"{context.settings.inventory}: [cloud] way_home: '{service}' is no public service of {homelab.path.name}. "
            f"Fix: write one of {public}, or public = true below [services.{service}]"
        )
    return f"{facts.subdomain or service}.{context.inventory.site.public_domain}"


def _reached(context: Context, parent: Component, name: str, machine: CloudMachine) -> pulumi.Output[str]:
    """The machine's id, known once names and address lead to it, SSH goes to that address, and meets its own host key."""
    at = machine.ready.apply(lambda address: note_address(context.settings, context.inventory, name, address))
    instance = pulumi.Output.all(machine.instance_id, at).apply(lambda values: str(values[0]))
    return first_contact(parent, name, instance, machine.bootstrap_key, context.operator)


def _tables(context: Context) -> dict[str, object]:
    """What a playbook may read of both inventories beside its host, by variable: as ansible/inventory.py merges them."""
    contents = [inventory.content.model_dump() for inventory in (context.homelab, context.inventory) if inventory]
    merged = {
        f"aether_{table}": {name: facts for content in contents for name, facts in content[table].items()}
        for table in ("networks", "nodes", "hosts", "services")
    }
    merged["aether_hosts"] = {name: playbook_facts(facts) for name, facts in merged["aether_hosts"].items()}
    return {
        "aether_site": contents[-1]["site"],
        **merged,
        "aether_peers": peers(merged["aether_hosts"]),
        "aether_relays": relays([context.inventory]),
    }


def _machines(
    context: Context, gateway: PublicGateway, machines: dict[str, NixosCloudVm], existing: Existing
) -> dict[str, CloudMachine]:
    """The other machines of the cloud, in the gateway's network, each chained to its NixOS system."""
    settings, site = context.settings, context.inventory.site
    desired = desired_systems(settings, context.inventory, machines)
    drifted = drifts(context.operator.ssh_config, context.inventory, settings.phase) if settings.detect_drift else {}
    made: dict[str, CloudMachine] = {}
    systems: dict[str, NixosSystem] = {}
    instances: dict[str, pulumi.Output[str]] = {}
    with Waves(settings, context.inventory, context.operator) as waves:
        for name, before in activation_order(context.inventory, machines).items():
            facts = machines[name]
            made[name] = CloudMachine(
                name,
                CloudMachineArgs(
                    facts=facts,
                    vpc_id=gateway.network.vpc_id,
                    subnet_id=gateway.network.subnet_id,
                    ways=gateway.network.ways,
                    authorized_keys=site.authorized_keys,
                    host_private_key=secret(settings, f"hosts/{name}.yaml", HOST_KEY),
                    ssh_from=context.cloud.ssh_from,
                    ipv6=context.cloud.ipv6,
                    instance_profile=gateway.profile_name,
                    zone_id=gateway.zone_id,
                    names=names.of_machine(site, name, facts),
                    overwrite=context.cloud.overwrite_records,
                    existing_records=dict(existing.records),
                    site=site.name,
                    availability_zone=context.cloud.availability_zone,
                    protect=settings.protect,
                    provider=context.provider,
                ),
            )
            instances[name] = _reached(context, made[name], name, made[name])
            first: list[pulumi.Input[pulumi.Resource]] = [made[name], *(systems[other] for other in before), *waves.before(name)]
            first += [gateway] if context.cloud.gateway in facts.depends_on else []
            systems[name] = deployed_system(
                name,
                facts,
                desired[name],
                operator=context.operator,
                instance=instances[name],
                drift=drifted.get(name),
                after=first,
            )
            waves.took(name, systems[name])
        Machines(settings, context.inventory, context.operator, waves).homes(systems, instances)
    return made
