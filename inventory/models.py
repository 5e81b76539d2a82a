"""What an inventory file may hold: frozen pydantic models, one for each table.

The kinds of host are in ``hosts.py`` and ``cloud.py``, their checks in ``health.py``; all are had from here. Units: memory MiB,
disk GiB, times seconds, addresses IPv4. Rules between entries (duplicates, capacity…) are in ``rules/``; these models know one
entry at a time.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from inventory.base import Facts
from inventory.building import Builder, Cache
from inventory.cloud import AmazonLinuxVm, AwsMachine, Cloud, CloudVm, DataDisk, HcloudVm, NixosCloudVm, Record, Relay
from inventory.health import CHECKS, CommandCheck, HealthCheck, HttpCheck, TcpCheck, UnitCheck
from inventory.hosts import (
    DEPLOY_USER,
    AnsibleHost,
    AtomicHost,
    Disk,
    External,
    Guest,
    Home,
    HostFacts,
    Interface,
    ManagedHost,
    NixosHost,
    NixosLxc,
    NixosMetal,
    NixosVm,
    Opening,
    OwnCard,
    Portable,
    takes_orders,
)
from inventory.marks import AtAws, AtGuest, ByKind, ReadBy
from inventory.proxmox import Availability, Backup, Zone
from inventory.rollout import Rollout
from inventory.types import (
    AgeRecipient,
    Cidr,
    Cidr6,
    Fqdn,
    HostName,
    Ipv4,
    Ipv6,
    Mebibytes,
    PciId,
    Port,
    SshPublicKey,
    Timezone,
    UsbId,
)

__all__ = [
    "CHECKS",
    "DEPLOY_USER",
    "HOSTS",
    "AmazonLinuxVm",
    "AnsibleHost",
    "AtomicHost",
    "AwsMachine",
    "Cloud",
    "CloudVm",
    "CommandCheck",
    "DataDisk",
    "Deployers",
    "Disk",
    "External",
    "Guest",
    "HcloudVm",
    "HealthCheck",
    "Home",
    "Host",
    "HostFacts",
    "HttpCheck",
    "ImageBuild",
    "Interface",
    "InventoryFile",
    "ManagedHost",
    "Network",
    "NixosCloudVm",
    "NixosHost",
    "NixosLxc",
    "NixosMetal",
    "NixosVm",
    "Node",
    "Opening",
    "Overlay",
    "OwnCard",
    "PciDevice",
    "PolicyFacts",
    "Portable",
    "Record",
    "Relay",
    "Rollout",
    "Service",
    "Site",
    "TcpCheck",
    "UnitCheck",
    "UsbDevice",
    "takes_orders",
]


class Site(Facts):
    """What holds for the whole inventory file."""

    name: Annotated[HostName, ReadBy.ALL] = Field(description="Short name of the site; prefixes resource names in the cloud.")
    domain: Annotated[Fqdn, AtGuest.NOTHING, AtAws.UPDATE] = Field(
        description="Internal domain: NAME.DOMAIN is a host, SUBDOMAIN.DOMAIN a service."
    )
    public_domain: Annotated[Fqdn, AtAws.ZONE] = Field(description="Domain that the world sees.")
    timezone: Annotated[Timezone, ReadBy.ALL] = Field(description="IANA time zone of every host, like Europe/Berlin.")
    user: Annotated[HostName, ReadBy.ALL] = Field(description="Login name of the person who owns the machines.")
    authorized_keys: Annotated[tuple[SshPublicKey, ...], AtGuest.NOTHING, AtAws.UPDATE] = Field(
        min_length=1, description="SSH keys that may log in."
    )
    age_recipients: Annotated[tuple[AgeRecipient, ...], ReadBy.ALL] = Field(
        min_length=1, description="age recipients of the owners: they can read every file in secrets/."
    )


class Network(Facts):
    cidr: Annotated[Cidr, AtGuest.UPDATE] = Field(description="The network's addresses.")
    gateway: Annotated[Ipv4, AtGuest.UPDATE] = Field(description="Default route.")
    nameservers: Annotated[tuple[Ipv4, ...], AtGuest.NOTHING] = Field(default=(), description="Resolvers that guests are given.")
    cidr6: Annotated[Cidr6 | None, AtGuest.UPDATE] = Field(default=None, description="Its IPv6 prefix, where it has one.")
    gateway6: Annotated[Ipv6 | None, AtGuest.UPDATE] = Field(
        default=None, description="Default route of static IPv6 addresses; without: router advertisements."
    )
    bridge: Annotated[str, AtGuest.UPDATE] = Field(
        default="vmbr0", description="Proxmox bridge, or VNet of the zone, that guests attach to."
    )
    vlan: Annotated[int, AtGuest.UPDATE] = Field(default=0, ge=0, le=4094, description="VLAN tag; 0 is untagged.")
    mtu: Annotated[int | None, AtGuest.UPDATE] = Field(default=None, ge=1280, le=65520, description="Bytes; default: 1500.")
    zone: Annotated[HostName | None, AtGuest.UPDATE] = Field(
        default=None, description="Name of a [zones.…] table: the bridge is a VNet that is made in it."
    )
    dhcp: Annotated[bool, ReadBy.ALL] = Field(
        default=False, description="Machines ask the router for their address: hosts in it need a mac."
    )


class UsbDevice(Facts):
    name: HostName = Field(description="What the device is, like zigbee.")
    id: UsbId = Field(description="vendor:product.")


class PciDevice(Facts):
    """A PCI device as `pvesh get /nodes/NODE/hardware/pci` shows it; Proxmox compares all of it when a guest starts."""

    name: HostName = Field(description="What the device is, like gpu.")
    id: PciId = Field(description="vendor:device, like 8086:46d1.")
    path: str = Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}(\.[0-7])?$", description="Its slot, like 0000:00:02.0.")
    subsystem_id: PciId | None = Field(default=None, description="subsystem_vendor:subsystem_device, where it has one.")
    iommu_group: int | None = Field(default=None, ge=0)


class Node(Facts):
    """A Proxmox host. It stays Debian; Ansible runs ``playbook`` on it."""

    address: Annotated[Ipv4, ReadBy.ALL]
    cpu: Annotated[int, ReadBy.ALL] = Field(ge=1, description="Threads.")
    memory: Annotated[Mebibytes, ReadBy.ALL]
    reserve: Annotated[Mebibytes, ReadBy.ALL] = Field(
        default=4096, description="Memory that guests may not take (host, ZFS cache)."
    )
    cpu_type: Annotated[str, ByKind(vm=AtGuest.PENDING)] = Field(
        default="host", description="CPU model of its VMs; those that HA or you move need the same on all nodes."
    )
    disk_datastore: Annotated[str, ByKind(vm=AtGuest.REFUSED, lxc=AtGuest.REPLACE)] = Field(
        default="local-zfs", description="Datastore of guest disks."
    )
    image_datastore: Annotated[str, ReadBy.ALL] = Field(
        default="local", description="Datastore of images, templates and snippets."
    )
    host_key: Annotated[SshPublicKey, ReadBy.ALL]
    playbook: Annotated[str, ReadBy.ALL] = Field(default="proxmox.yml", description="Playbook under ansible/.")
    shared: Annotated[bool, ReadBy.ALL] = Field(
        default=False, description="Another environment sets it up; this one only has guests on it."
    )
    usb: Annotated[tuple[UsbDevice, ...], ReadBy.ALL] = Field(default=(), description="USB devices that are plugged into it.")
    pci: Annotated[tuple[PciDevice, ...], ReadBy.ALL] = Field(default=(), description="PCI devices that guests may take.")
    pve_exporter: Annotated[bool, ReadBy.ALL] = Field(
        default=False, description="Offer the cluster's state to Prometheus; needs the secret pve-exporter-token of this node."
    )
    ssh_user: Annotated[Literal["root"], ReadBy.ALL] = Field(default="root", description="pct and qm are root's.")


Host = Annotated[
    NixosVm | NixosLxc | NixosMetal | AtomicHost | AnsibleHost | AwsMachine | HcloudVm | External,
    Field(discriminator="kind"),
]


def _models(union: Any) -> Iterator[type[Facts]]:
    """The models of a discriminated UNION, and of those within it."""
    for member in get_args(get_args(union)[0]):
        if isinstance(member, type):
            yield member
        else:
            yield from _models(member)


HOSTS = tuple(_models(Host))
"""Every class of a host."""


class Service(Facts):
    """A web service: gets a name, a certificate and a place in the gateway's reverse proxy."""

    host: str
    port: Port
    subdomain: HostName | None = Field(default=None, description="Default: the service's name.")
    scheme: Literal["http", "https"] = "http"
    login: Literal["oidc", "proxy", "own", "none"] = Field(
        default="proxy",
        description="oidc: the service is a Keycloak client; proxy: the gateway asks first; own; none.",
    )
    public: bool = Field(default=False, description="Reachable through the public gateway.")
    probe: str = Field(
        default="/",
        pattern=r"^/[A-Za-z0-9._~/-]*$",
        description="Path that monitoring asks to see whether the service lives; the gateway lets it through, login or not.",
    )
    description: str = ""


class ImageBuild(Facts):
    """The repository that builds the Fedora Atomic images."""

    owner: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="GitHub account, in lower case as the registry wants it.")
    repository: HostName = Field(description="Name of the repository.")
    images: tuple[HostName, ...] = Field(min_length=1, description="Image names; image/recipes/NAME.yml is each one's recipe.")
    visibility: Literal["public", "private"] = "public"
    plan: Literal["free", "pro", "team", "enterprise"] = Field(
        default="free", description="The account's plan at GitHub: a private repository has rules and environments from pro on."
    )
    hosts: str = Field(description="Inventory file of the atomic hosts, beside this one, whose health checks go into the image.")

    @model_validator(mode="after")
    def _rules_are_in_the_plan(self) -> "ImageBuild":
        if self.visibility == "private" and self.plan == "free":
            raise ValueError(
                'visibility = "private" needs a paid plan: on a free account GitHub refuses its branch rules and the environment '
                'that keeps the signing key; write visibility = "public", or plan = "pro" if the account has it'
            )
        return self


class PolicyFacts(Facts):
    """How a policy (docs/policies.md) is taken here."""

    level: Literal["mandatory", "advisory"] | None = Field(
        default=None, description="mandatory ends a preview, advisory is told; default: what the policy says."
    )
    exceptions: dict[str, Annotated[str, Field(min_length=10)]] = Field(
        default={}, description="What may break it, by name, and the reason, in words that convince in a year."
    )


class Deployers(Facts):
    """A group of people who deploy a part of the fleet, by a certificate for the day (docs/access.md)."""

    hosts: tuple[HostName, ...] = Field(default=(), description="Hosts that the group deploys, by name.")
    tags: tuple[str, ...] = Field(default=(), description="And those with one of these tags that are deployed as deploy.")

    def opens(self, name: str, host: HostFacts) -> bool:
        """Whether the group deploys HOST, which is called NAME."""
        return host.ssh_user == DEPLOY_USER and (name in self.hosts or bool({*self.tags} & {*host.tags}))


class Overlay(Facts):
    """What an environment takes from the file that ``base`` names, and how it differs (overlay.py)."""

    hosts: tuple[HostName, ...] = Field(default=(), description="Hosts of the base that stand in this environment, by name.")
    tags: tuple[str, ...] = Field(default=(), description="And those with one of these tags.")
    shared: tuple[HostName, ...] = Field(default=(), description="Hosts of the base that this environment uses, never touches.")
    prefix: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$", description="Before names; default: the site's, a hyphen.")
    vmid_offset: int = Field(default=0, description="Added to the base's VMIDs.")
    add_tags: tuple[str, ...] = Field(default=(), description="More tags of every host.")
    set: dict[str, Any] = Field(default={}, description="Fields that every host of the environment has otherwise.")


class InventoryFile(Facts):
    """One file, as written. Keys of the tables are the names."""

    site: Site
    networks: dict[HostName, Network]
    nodes: dict[HostName, Node] = Field(default={})
    hosts: dict[HostName, Host]
    services: dict[HostName, Service] = Field(default={})
    rollout: Rollout = Rollout()
    zones: dict[HostName, Zone] = Field(default={})
    backups: dict[HostName, Backup] = Field(default={})
    availability: dict[HostName, Availability] = Field(default={})
    builders: dict[HostName, Builder] = Field(default={})
    cache: Cache | None = None
    policies: dict[HostName, PolicyFacts] = Field(default={})
    deployers: dict[HostName, Deployers] = Field(default={})
    cloud: Cloud | None = None
    image: ImageBuild | None = None
