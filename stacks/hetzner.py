"""Machines at Hetzner Cloud: NixOS servers, each chained to its system. Says what a new provider takes: docs/extending.md."""

import pulumi
import pulumi_hcloud as hcloud

from components.base import Operator
from components.cloud.first_contact import first_contact
from components.hcloud.server import HcloudServer, HcloudServerArgs
from components.nixos.system import NixosSystem
from inventory.load import Inventory
from inventory.models import HcloudVm
from stacks.errors import SettingsError
from stacks.live import drifts
from stacks.machines import Machines
from stacks.sdk import export
from stacks.settings import Settings
from stacks.sops import secret
from stacks.ssh import note_address, write_client_config
from stacks.systems import deployed_system, desired_systems
from stacks.waves import Waves

HOST_KEY = "ssh_host_ed25519_key"
# Seconds: the API calls a server running when its first boot begins.
FIRST_BOOT = 300


def compose(settings: Settings, inventory: Inventory) -> None:
    """Register every resource of the inventory's Hetzner servers up to the stack's phase."""
    machines = inventory.of(HcloudVm, settings.phase)
    operator = Operator(
        ssh_config=write_client_config(settings, inventory), secrets=str(settings.secrets), nix=settings.nix, wait=FIRST_BOOT
    )
    provider = _provider(settings)
    desired = desired_systems(settings, inventory, machines)
    drifted = drifts(operator.ssh_config, inventory, settings.phase) if settings.detect_drift else {}
    keys = _ssh_keys(inventory, provider)
    servers: dict[str, HcloudServer] = {}
    systems: dict[str, NixosSystem] = {}
    instances: dict[str, pulumi.Output[str]] = {}
    with Waves(settings, inventory, operator) as waves:
        for name, facts in machines.items():
            servers[name] = server = HcloudServer(
                name,
                HcloudServerArgs(
                    facts=facts,
                    ssh_keys=keys,
                    host_private_key=secret(settings, f"hosts/{name}.yaml", HOST_KEY),
                    protect=settings.protect and facts.protect,
                    provider=provider,
                ),
            )
            instances[name] = _reached(settings, inventory, operator, name, server)
            systems[name] = deployed_system(
                name,
                facts,
                desired[name],
                operator=operator,
                instance=instances[name],
                drift=drifted.get(name),
                after=[server, *(systems[other] for other in facts.depends_on if other in systems), *waves.before(name)],
            )
            waves.took(name, systems[name])
        Machines(settings, inventory, operator, waves).homes(systems, instances)
    export("addresses", {name: server.address for name, server in servers.items()})


def _provider(settings: Settings) -> hcloud.Provider:
    if settings.hcloud_token is None:
        raise SettingsError(
            f"Pulumi.{settings.stack}.yaml: aether:hcloudToken: is missing. "
            f"Fix: pulumi -s {settings.stack} config set --secret aether:hcloudToken TOKEN (read and write, of one project)"
        )
    return hcloud.Provider(
        "hcloud",
        token=settings.hcloud_token,
        endpoint=settings.hcloud_endpoint or None,
        # How often an action is asked for; an own server answers at once.
        poll_interval="100ms" if settings.hcloud_endpoint else None,
    )


def _ssh_keys(inventory: Inventory, provider: hcloud.Provider) -> tuple[pulumi.Output[str], ...]:
    """The owner's keys in the project, which a new server's root account takes."""
    site = inventory.site
    return tuple(
        hcloud.SshKey(
            f"{site.name}-{number}",
            name=f"{site.name}-{number}",
            public_key=key,
            opts=pulumi.ResourceOptions(provider=provider, delete_before_replace=True),
        ).id
        for number, key in enumerate(site.authorized_keys, 1)
    )


def _reached(settings: Settings, inventory: Inventory, operator: Operator, name: str, server: HcloudServer) -> pulumi.Output[str]:
    """The server's id, known once SSH goes to its address and meets its own host key."""
    at = server.ready.apply(lambda address: note_address(settings, inventory, name, address))
    instance = pulumi.Output.all(server.server_id, at).apply(lambda values: str(values[0]))
    return first_contact(server, name, instance, server.bootstrap_key, operator)
