"""The homelab: NixOS guests on Proxmox, provisioned and configured in one graph."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import pulumi
import pulumi_proxmoxve as proxmox

from components.ansible.playbook import Playbook
from components.base import Operator
from components.nixos.source_closure import image_hash
from components.nixos.system import NixosSystem
from components.proxmox.devices import NodeDevices, NodeDevicesArgs
from components.proxmox.guest import GuestArgs
from components.proxmox.image import NixosImage, NixosImageArgs
from components.proxmox.lxc import NixosLxc, NixosLxcArgs
from components.proxmox.vm import NixosVm, NixosVmArgs
from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.models import Guest, NixosHost
from inventory.models import NixosLxc as NixosLxcFacts
from inventory.models import NixosVm as NixosVmFacts
from stacks.cluster import Cluster, ask, detached_disks, lacking_rights
from stacks.cluster_jobs import cluster_jobs, virtual_networks
from stacks.images import Images
from stacks.leases import warn_of_leases
from stacks.live import drifts
from stacks.machines import Machines, renamed
from stacks.node_files import Stored, stored
from stacks.pools import Pools, look
from stacks.preflight import Preflight
from stacks.proxmox import proxmox_provider
from stacks.recorded import RecordedFile, begin, births_of, export, files_of, guests_of, members_of, outputs_of
from stacks.rollout import activation_order
from stacks.settings import Settings
from stacks.ssh import write_client_config
from stacks.systems import deployed_system, desired_systems
from stacks.waves import Waves


def compose(settings: Settings, inventory: Inventory) -> None:
    """Register every resource of the homelab up to the stack's phase."""
    recorded, cluster = begin(), ask(settings)
    operator = Operator(ssh_config=write_client_config(settings, inventory), secrets=str(settings.secrets), nix=settings.nix)
    drifted = drifts(operator.ssh_config, inventory, settings.phase) if settings.detect_drift else {}
    with Waves(settings, inventory, operator) as waves:
        machines = Machines(settings, inventory, operator, waves)
        systems = _systems(settings, inventory, operator, drifted, cluster, recorded, machines.nodes, waves)
        done: dict[str, pulumi.Resource] = {**systems}
        done |= machines.ansible(done)
        images = Images(settings, inventory, outputs_of(recorded()))
        done |= machines.atomic(drifted, done, images)
        machines.homes(done)
    images.export()
    pulumi.export("addresses", {name: host.address for name, host in inventory.hosts.items()})


def _systems(
    settings: Settings,
    inventory: Inventory,
    operator: Operator,
    drifted: Mapping[str, str],
    cluster: Callable[[], Cluster | None],
    recorded: Callable[[], Mapping[str, Any]],
    set_up: Callable[[], Mapping[str, Playbook]],
    waves: Waves,
) -> dict[str, NixosSystem]:
    """Every NixOS host's system; a guest is born from an image first, on its node once that is SET_UP; a physical machine is
    there already.
    """
    provider = proxmox_provider(settings)
    hosts = inventory.of(NixosHost, settings.phase)
    guests = inventory.guests(settings.phase)
    desired = desired_systems(settings, inventory, hosts)
    there = cluster()
    nodes = {name: facts.node for name, facts in guests.items()}
    disks: dict[str, int] = {}
    births: dict[str, int] = {}
    imported: set[str] = set()
    pools = Pools()
    files: Mapping[str, RecordedFile] | None = None
    if there is not None:
        state = recorded()
        known, files = guests_of(state), files_of(state)
        replaced = [name for name, facts in guests.items() if facts.replace]
        lacking = lacking_rights(settings, inventory.content.model_dump()) if replaced else []
        old = [there[known[name].vmid] for name in replaced if name in known and known[name].vmid in there]
        detached = detached_disks(settings, old) if old else {}
        preflight = Preflight(
            inventory, guests, there, known, settings.stack, settings.protect, lacking, detached, members_of(state)
        )
        preflight.check()
        nodes = {name: preflight.node_of(name) for name in guests}
        disks = {name: preflight.disks_of(name) for name in guests}
        imported = {name for name in guests if preflight.imports(name)}
        births = preflight.births(births_of(state))
        warn_of_leases(settings, guests, there)
        pools = look(settings, inventory.content.model_dump(), guests, there, state)
    export(guests)
    playbooks = set_up()
    images = _images(settings, inventory, guests, operator, provider, playbooks, files)
    devices = {
        name: NodeDevices(name, NodeDevicesArgs(node=node, provider=provider))
        for name, node in inventory.nodes.items()
        if node.usb or node.pci
    }
    networks = virtual_networks(inventory, provider)
    made: dict[str, NixosVm | NixosLxc] = {}
    systems: dict[str, NixosSystem] = {}
    for name, before in activation_order(inventory, hosts).items():
        facts = hosts[name]
        guest = (
            _guest(
                name,
                guests[name],
                nodes[name],
                disks.get(name),
                births.get(name, 1),
                name in imported,
                settings,
                inventory,
                operator,
                provider,
                images,
                playbooks,
                devices,
                networks,
            )
            if name in guests
            else None
        )
        if guest:
            made[name] = guest
        first: list[pulumi.Input[pulumi.Resource]] = [guest] if guest else []
        first += [*(systems[other] for other in before), *waves.before(name)]
        systems[name] = deployed_system(
            name,
            facts,
            desired[name],
            operator=operator,
            instance=guest.instance if guest else "",
            drift=drifted.get(name),
            after=first,
            was=getattr(facts, "was", None),
            aliases=renamed(facts),
        )
        waves.took(name, systems[name])
    cluster_jobs(inventory, made, pools, provider)
    return systems


def _images(
    settings: Settings,
    inventory: Inventory,
    hosts: dict[str, Guest],
    operator: Operator,
    provider: proxmox.Provider,
    after: Mapping[str, Playbook],
    files: Mapping[str, RecordedFile] | None,
) -> dict[str, NixosImage]:
    """The images that the hosts are born from, on the nodes that need them, AFTER the node is set up.

    FILES are those that the state has; None where the cluster cannot be asked, and is not about its own.
    """
    images: dict[str, NixosImage] = {}
    version = image_hash(REPOSITORY)
    kinds: tuple[tuple[Literal["vm", "lxc"], type[Guest]], ...] = (("vm", NixosVmFacts), ("lxc", NixosLxcFacts))
    for kind, facts in kinds:
        nodes = sorted({host.node for host in hosts.values() if isinstance(host, facts)})
        if nodes:
            datastores = {node: inventory.nodes[node].image_datastore for node in nodes}
            there = Stored() if files is None else stored(settings, kind, version, inventory.environment, datastores, files)
            images[kind] = NixosImage(
                f"nixos-{kind}",
                NixosImageArgs(
                    guest=kind,
                    version=version,
                    environment=inventory.environment,
                    datastores=datastores,
                    existing=there.existing,
                    imported=there.imported,
                    after={node: after[node] for node in nodes if node in after},
                    operator=operator,
                    provider=provider,
                ),
            )
    return images


def _guest(
    name: str,
    facts: Guest,
    node: str,
    known_disks: int | None,
    birth: int,
    importing: bool,
    settings: Settings,
    inventory: Inventory,
    operator: Operator,
    provider: proxmox.Provider,
    images: dict[str, NixosImage],
    playbooks: Mapping[str, Playbook],
    devices: dict[str, NodeDevices],
    networks: list[pulumi.Resource],
) -> NixosVm | NixosLxc:
    common = GuestArgs(
        node_name=node,
        node=inventory.nodes.get(node, inventory.nodes[facts.node]),
        networks=dict(inventory.networks),
        domain=inventory.site.domain,
        authorized_keys=inventory.site.authorized_keys,
        image=images["vm" if isinstance(facts, NixosVmFacts) else "lxc"].files[facts.node],
        birth=birth,
        importing=importing,
        protect=settings.protect and not (facts.disposable or facts.replace),
        operator=operator,
        provider=provider,
    )
    shared = {field: getattr(common, field) for field in GuestArgs.model_fields}
    after: list[pulumi.Resource] = [*networks, *([playbooks[node]] if node in playbooks else [])]
    if isinstance(facts, NixosVmFacts) and (facts.usb or facts.pci):
        # Of the node that the inventory names: there the devices are plugged in.
        after.append(devices[facts.node])
    opts = pulumi.ResourceOptions(aliases=renamed(facts), depends_on=after)
    if isinstance(facts, NixosVmFacts):
        return NixosVm(name, NixosVmArgs(facts=facts, known_disks=known_disks, **shared), opts)
    assert isinstance(facts, NixosLxcFacts)
    return NixosLxc(name, NixosLxcArgs(facts=facts, timeout=settings.proxmox_timeout, **shared), opts)
