"""What an inventory file may hold: frozen pydantic models, one for each table.

Units: memory MiB, disk GiB, times seconds, addresses IPv4. Rules between entries (duplicates, capacity…)
are in ``rules/``; this module knows one entry at a time.
"""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from inventory.base import Facts
from inventory.building import Builder, Cache
from inventory.proxmox import Availability, Backup, Zone
from inventory.types import (
    AgeRecipient,
    AllocationId,
    AmiId,
    Cidr,
    Cidr6,
    DeviceNode,
    Fqdn,
    Gibibytes,
    GuestName,
    HomeAttribute,
    HostName,
    ImageDigest,
    ImageName,
    Ipv4,
    Ipv6,
    Ipv6OrAuto,
    MacAddress,
    Mebibytes,
    PciId,
    Phase,
    PoolName,
    Port,
    SshPublicKey,
    SyncthingId,
    Timezone,
    UnitName,
    UsbId,
    VmId,
)

DEPLOY_USER = "deploy"
"""The account of a NixOS host that is deployed without being root (nix/modules/deploy-user.nix)."""

# Instance types with an ARM processor of Amazon's: t4g.small, c7gn.large.
_GRAVITON = re.compile(r"[a-z]+[0-9]+g[a-z]*\..*")


class Site(Facts):
    """What holds for the whole inventory file."""

    name: HostName = Field(description="Short name of the site; prefixes resource names in the cloud.")
    domain: Fqdn = Field(description="Internal domain: NAME.DOMAIN is a host, SUBDOMAIN.DOMAIN a service.")
    public_domain: Fqdn = Field(description="Domain that the world sees.")
    timezone: Timezone = Field(description="IANA time zone of every host, like Europe/Berlin.")
    user: HostName = Field(description="Login name of the person who owns the machines.")
    authorized_keys: tuple[SshPublicKey, ...] = Field(min_length=1, description="SSH keys that may log in.")
    age_recipients: tuple[AgeRecipient, ...] = Field(
        min_length=1, description="age recipients of the owners: they can read every file in secrets/."
    )


class Network(Facts):
    cidr: Cidr = Field(description="The network's addresses.")
    gateway: Ipv4 = Field(description="Default route.")
    nameservers: tuple[Ipv4, ...] = Field(default=(), description="Resolvers that guests are given.")
    cidr6: Cidr6 | None = Field(default=None, description="Its IPv6 prefix, where it has one.")
    gateway6: Ipv6 | None = Field(
        default=None, description="Default route of static IPv6 addresses; without: router advertisements."
    )
    bridge: str = Field(default="vmbr0", description="Proxmox bridge, or VNet of the zone, that guests attach to.")
    vlan: int = Field(default=0, ge=0, le=4094, description="VLAN tag; 0 is untagged.")
    mtu: int | None = Field(default=None, ge=1280, le=65520, description="Bytes; default: 1500.")
    zone: HostName | None = Field(default=None, description="Name of a [zones.…] table: the bridge is a VNet that is made in it.")
    dhcp: bool = Field(default=False, description="Machines ask the router for their address: hosts in it need a mac.")


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

    address: Ipv4
    cpu: int = Field(ge=1, description="Threads.")
    memory: Mebibytes
    reserve: Mebibytes = Field(default=4096, description="Memory that guests may not take (host, ZFS cache).")
    cpu_type: str = Field(
        default="host", description="CPU model of its VMs; those that HA or you move need the same on all nodes."
    )
    disk_datastore: str = Field(default="local-zfs", description="Datastore of guest disks.")
    image_datastore: str = Field(default="local", description="Datastore of images, templates and snippets.")
    host_key: SshPublicKey
    playbook: str = Field(default="proxmox.yml", description="Playbook under ansible/.")
    shared: bool = Field(default=False, description="Another environment sets it up; this one only has guests on it.")
    usb: tuple[UsbDevice, ...] = Field(default=(), description="USB devices that are plugged into it.")
    pci: tuple[PciDevice, ...] = Field(default=(), description="PCI devices that guests may take.")
    pve_exporter: bool = Field(
        default=False, description="Offer the cluster's state to Prometheus; needs the secret pve-exporter-token of this node."
    )
    ssh_user: Literal["root"] = Field(default="root", description="pct and qm are root's.")


Warn = Annotated[bool, Field(description="Its failure is told and takes nothing back: for what hangs on a peripheral.")]


class UnitCheck(Facts):
    """The systemd unit is active."""

    unit: UnitName
    timeout: int = Field(default=60, ge=1, description="Seconds until it must hold.")
    warn: Warn = False


class TcpCheck(Facts):
    """The port accepts connections on the host's own address."""

    tcp: Port
    timeout: int = Field(default=60, ge=1)
    warn: Warn = False


class HttpCheck(Facts):
    """The URL answers with the status; ``{address}`` in it stands for the host's own address."""

    http: str = Field(pattern=r"^https?://")
    status: int = Field(default=200, ge=100, le=599)
    timeout: int = Field(default=60, ge=1)
    warn: Warn = False


class CommandCheck(Facts):
    """The command, run as root by ``sh -c``, exits 0."""

    command: str = Field(min_length=1)
    timeout: int = Field(default=60, ge=1)
    warn: Warn = False


CHECKS: dict[str, type[Facts]] = {
    "unit": UnitCheck,
    "tcp": TcpCheck,
    "http": HttpCheck,
    "command": CommandCheck,
}
"""Models of health checks by the field that tells them apart."""


def _which_check(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((name for name in CHECKS if name in value), None)
    return next((name for name, model in CHECKS.items() if isinstance(value, model)), None)


HealthCheck = Annotated[
    Annotated[UnitCheck, Tag("unit")]
    | Annotated[TcpCheck, Tag("tcp")]
    | Annotated[HttpCheck, Tag("http")]
    | Annotated[CommandCheck, Tag("command")],
    Discriminator(_which_check),
]


class Disk(Facts):
    size: Gibibytes
    datastore: str | None = Field(default=None, description="Default: the node's disk_datastore.")
    mount: str | None = Field(default=None, description="Where the host mounts it; not for the first, the system's.")
    interface: str | None = Field(
        default=None,
        pattern=r"^(scsi|virtio|sata|ide)[0-9]{1,2}$",
        description="Of an adopted virtual machine: what Proxmox calls it; default: scsi and its place.",
    )


class Home(Facts):
    """The user environment that HomeBootstrap sets up on a host."""

    configuration: HomeAttribute = Field(description="Home Manager flake attribute, like mitso@workstation.")
    flatpaks: tuple[str, ...] = Field(default=(), description="Flathub application ids.")
    containers: tuple[str, ...] = Field(default=(), description="toolbox/distrobox containers, own image.")
    stow: tuple[str, ...] = Field(default=("Documents", "Pictures", "Workspace"), description="Stow packages")


class HostFacts(Facts):
    """What all hosts share."""

    address: Ipv4
    network: str = Field(default="servers", description="Name of a [networks.…] table.")
    description: str = ""
    tags: tuple[str, ...] = ()
    phase: Phase = Field(default=6, description="Migration phase; `aether:phase` deploys up to it.")
    depends_on: tuple[str, ...] = Field(default=(), description="Hosts that must be healthy first.")
    health: tuple[HealthCheck, ...] = ()
    ssh_user: str = Field(default="root", description="Who logs in; deploy: without being root, on NixOS hosts (docs/access.md).")
    ssh_port: Port = 22
    home: Home | None = None
    syncthing_id: SyncthingId | None = Field(default=None, description="Syncthing device id; who has one syncs SharedHome.")
    stands_for: HostName | None = Field(default=None, description="Host of the base that it is here: same sources.")

    elsewhere: ClassVar[bool] = False
    """Whether ``address`` is of a network that is not ours, so that the host is reached by its name."""


class ManagedHost(HostFacts):
    """A host that Aether logs in to: its SSH key is known before the first connection."""

    host_key: SshPublicKey
    age_recipient: AgeRecipient | None = Field(default=None, description="host_key as ssh-to-age converts it.")
    secrets: tuple[str, ...] = Field(default=(), description="sops files that it may read, relative to secrets/.")


class NixosFacts(ManagedHost):
    """How a host's NixOS system is built and deployed, wherever the host is."""

    flake: str | None = Field(default=None, description="nixosConfigurations attribute; default: its name.")
    security: Literal["hardened", "relaxed"] = "hardened"
    build_on: str = Field(default="operator", description="operator, target, or the name of a builder host.")
    pulls: bool = Field(default=True, description="It takes what others built from the fleet's cache, where there is a [cache].")
    reboot: Literal["never", "ask", "auto"] = Field(default="ask", description="When kernel, initrd or kernel parameters change.")
    confirm_timeout: int = Field(default=60, ge=5, description="Seconds until unconfirmed activation reverts.")
    settle: int = Field(default=2, ge=0, le=600, description="Seconds for which health checks have to go on holding.")
    may_fail: tuple[str, ...] = Field(default=(), description="Units, or globs of them, whose failure reverts no deployment.")

    @property
    def system(self) -> str:
        """What Nix calls the machine's platform."""
        return "x86_64-linux"


class NixosHost(NixosFacts):
    """A host whose whole system is a flake output."""


class Opening(Facts):
    """A port that a security group of the cloud, or the Proxmox firewall, lets in."""

    port: Port
    protocol: Literal["tcp", "udp"] = "tcp"
    purpose: str = Field(min_length=1, description="Why it is open; the rule's description.")
    cidrs: tuple[Cidr, ...] = Field(default=("0.0.0.0/0",), description="Who may connect; the default is everyone.")


class Interface(Facts):
    """A guest's further network interface; the first is in the host's own network."""

    network: str = Field(description="Name of a [networks.…] table.")
    address: Ipv4 | None = Field(default=None, description="Default: the network's DHCP server gives one.")
    address6: Ipv6OrAuto | None = Field(default=None, description="auto: by router advertisements (SLAAC).")


class OwnCard(Facts):
    """A machine whose network card has an address of its own."""

    mac: MacAddress | None = Field(default=None, description="The card's address: the router gives it this host's address.")


class Portable(OwnCard):
    """A machine that somebody may carry away, or switch off."""

    roams: bool = Field(
        default=False, description="It may be away: an `up` goes on without it, and leaves it an order where there is a [cache]."
    )


class Guest(NixosHost, OwnCard):
    """A NixOS system on a Proxmox node. Its ``mac`` is of its first interface; without one Proxmox makes one up."""

    node: str
    vmid: VmId
    cpu: int = Field(ge=1)
    memory: Mebibytes
    disks: tuple[Disk, ...] = Field(min_length=1)
    disposable: bool = Field(default=False, description="May be destroyed; any other guest is protected under `aether:protect`.")
    replace: bool = Field(
        default=False, description="A change that only a new guest can have destroys this one. Remove it after."
    )
    was: GuestName | None = Field(default=None, description="Its name before: the guest is renamed. Remove it after.")
    adopted: bool = Field(default=False, description="Somebody else made it: imported as it is, and its hardware stays as it is.")
    start_order: int | None = Field(default=None, ge=1, description="Boot order on the node.")
    pool: PoolName | None = Field(default=None, description="Resource pool it is in; made where the cluster has none.")
    dhcp: bool = Field(default=False, description="It asks the router for `address`, which is reserved there for its `mac`.")
    address6: Ipv6OrAuto | None = Field(default=None, description="auto: by router advertisements (SLAAC).")
    interfaces: tuple[Interface, ...] = Field(default=(), description="Further interfaces, in other networks.")
    firewall: bool = Field(default=False, description="Proxmox lets in SSH, the host's services and what `open` says.")
    open: tuple[Opening, ...] = Field(default=(), description="What else the Proxmox firewall lets in.")


class NixosVm(Guest):
    kind: Literal["nixos-vm"]
    cpu_type: str | None = Field(default=None, description="CPU model as QEMU calls it; default: the node's cpu_type.")
    numa: bool = Field(default=False, description="Show the guest the node's memory banks; for guests that span two.")
    balloon: Mebibytes | None = Field(
        default=None, description="Memory that it keeps when the node runs short; default: all of it."
    )
    usb: tuple[str, ...] = Field(default=(), description="Names of the node's USB devices that it takes.")
    pci: tuple[str, ...] = Field(default=(), description="Names of the node's PCI devices that it takes.")


class NixosLxc(Guest):
    kind: Literal["nixos-lxc"]
    unprivileged: bool = True
    nesting: bool = Field(default=True, description="systemd in the container needs it.")
    keyctl: bool = False
    fuse: bool = False
    devices: tuple[DeviceNode, ...] = Field(default=(), description="Device nodes it gets, like /dev/net/tun.")


class NixosMetal(NixosHost, Portable):
    """A physical NixOS machine (or one that somebody else provisions)."""

    kind: Literal["nixos-metal"]


class AtomicHost(ManagedHost, Portable):
    """A Fedora Atomic host that is rebased to an image digest."""

    kind: Literal["atomic"]
    image: ImageName = Field(description="Image without tag, like ghcr.io/OWNER/IMAGE.")
    digest: ImageDigest | None = Field(default=None, description="Default: what the image repository published.")
    tag: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$",
        description="Follow this tag of an image that others build: looked up once, and again when aether:imageBuild changes.",
    )
    signed: bool = Field(default=True, description="End on ostree-image-signed:.")
    reboot: Literal["now", "window", "never"] = Field(default="now", description="When the staged one boots.")
    window: str | None = Field(default=None, description="systemd calendar, with reboot = window.")

    @model_validator(mode="after")
    def _window_goes_with_reboot(self) -> "AtomicHost":
        if (self.reboot == "window") != (self.window is not None):
            raise ValueError('window goes with reboot = "window"; write both, window = "Sun 03:00", or neither')
        return self


class AnsibleHost(ManagedHost, Portable):
    """A host that stays on Ansible."""

    kind: Literal["ansible"]
    os: Literal["debian", "alpine", "fedora", "vyos", "amazon-linux", "wsl"]
    playbook: str = Field(description="Playbook under ansible/.")
    node: str | None = Field(default=None, description="Proxmox node it lives on, for the record.")


class DataDisk(Facts):
    """A cloud machine's disk for what must outlive the machine: another image finds it as the former one left it."""

    size: Gibibytes = Field(description="May grow. AWS cannot shrink it.")
    mount: str = Field(pattern=r"^/[a-z0-9/_-]*[a-z0-9]$", description="Where the machine has it, like /var/lib/forgejo.")
    snapshots: int = Field(default=7, ge=0, le=1000, description="Daily snapshots that are kept; 0: none are made.")


class CloudVm(NixosFacts):
    """A virtual machine in a public cloud. Its system is a flake output with os = "nixos", a playbook's work otherwise."""

    kind: Literal["cloud-vm"]
    os: Literal["amazon-linux", "nixos"]
    region: str = Field(description="AWS region, like eu-central-1.")
    instance_type: str
    ami: AmiId = Field(description="Pinned image; a new one replaces the machine, its public address stays.")
    ami_name: str | None = Field(
        default=None, description="What AWS calls the image, like nixos/25.11.1056.d9bc5c7dceb3-aarch64-linux."
    )
    open: tuple[Opening, ...] = Field(default=(), description="What the internet may reach; SSH is in [cloud] ssh_from.")
    public_names: tuple[HostName, ...] = Field(default=(), description="More names under the public domain that lead to it.")
    allocation_id: AllocationId | None = Field(
        default=None, description="Elastic IP that exists: imported as it is, never released; default: made here."
    )
    disk: Gibibytes = Field(default=20, description="The system's; it goes with its machine.")
    data: DataDisk | None = Field(default=None, description="Disk that outlives the machine; for nixos.")
    playbook: str | None = Field(default=None, description="Playbook under ansible/, for amazon-linux.")

    elsewhere: ClassVar[bool] = True

    @property
    def system(self) -> str:
        """Of its instance type, as nix/images/amazon.nix decides what is built."""
        return "aarch64-linux" if _GRAVITON.fullmatch(self.instance_type) else "x86_64-linux"

    @model_validator(mode="after")
    def _configured_one_way(self) -> "CloudVm":
        if self.os == "amazon-linux" and self.playbook is None:
            raise ValueError('playbook is missing for amazon-linux; write playbook = "public-gateway.yml"')
        if self.os == "nixos" and self.playbook is not None:
            raise ValueError("playbook is not for a nixos host; remove the line")
        if self.os == "amazon-linux" and self.data is not None:
            raise ValueError("data is for nixos hosts, which mount it; remove the line")
        return self


class HcloudVm(NixosHost):
    """A NixOS server at Hetzner Cloud. ``address`` names it in this file; the public one is Hetzner's."""

    kind: Literal["hcloud-vm"]
    server_type: str = Field(pattern=r"^[a-z]+[0-9]+$", description="Size, like cax11 (arm64) or cx23.")
    location: str = Field(pattern=r"^[a-z]{3}[0-9]$", description="Like fsn1, nbg1, hel1.")
    image: str = Field(pattern=r"^[0-9]+$", description="Id of the snapshot of an own NixOS image; another one replaces it.")
    ipv6: bool = Field(default=True, description="Also an IPv6 address, which goes with the server.")
    open: tuple[Opening, ...] = Field(default=(), description="What the internet may reach.")
    ssh_from: dict[HostName, Cidr] = Field(min_length=1, description="Named networks that may reach SSH.")
    volume: Gibibytes | None = Field(default=None, description="Data volume, which outlives the server.")
    protect: bool = Field(default=True, description="Neither destroyed nor replaced under `aether:protect`.")

    elsewhere: ClassVar[bool] = True

    @property
    def system(self) -> str:
        """Of its server type, as nix/images/hetzner.nix decides what is built."""
        return "aarch64-linux" if self.server_type.startswith("cax") else "x86_64-linux"


def runs_nixos(host: object) -> bool:
    """Whether the host's system is a flake output that NixosSystem deploys."""
    return isinstance(host, NixosHost) or (isinstance(host, CloudVm) and host.os == "nixos")


def takes_orders(host: object, cache: Cache | None) -> bool:
    """Whether the host finds the change that it missed at the fleet's CACHE, and takes it by itself (nix/modules/orders.nix)."""
    return bool(
        cache
        and cache.has_orders
        and isinstance(host, NixosMetal)
        and host.roams
        and host.pulls
        # It is away, so it builds nothing that could be copied.
        and host.build_on != "target"
    )


class External(HostFacts, OwnCard):
    """Modelled (address, DNS, monitoring, topology) and never touched."""

    kind: Literal["external"]
    os: str = ""


Host = Annotated[
    NixosVm | NixosLxc | NixosMetal | AtomicHost | AnsibleHost | CloudVm | HcloudVm | External,
    Field(discriminator="kind"),
]


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


class Record(Facts):
    """A record of the public zone that no machine is behind."""

    name: str = Field(pattern=r"^(@|\*|[a-z0-9_*]([a-z0-9_.-]*[a-z0-9])?)$", description="Below the public domain; @ is itself.")
    type: Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"]
    values: tuple[str, ...] = Field(min_length=1)
    ttl: int = Field(default=3600, ge=30, description="Seconds.")


class Relay(Facts):
    """A port of the public gateway that leads through the tunnel to one of a host at home, for the machines beside it alone."""

    host: HostName = Field(description="The host of the homelab that is at the other end.")
    port: Port = Field(description="Its port there, TCP.")
    listen: Port = Field(description="The public gateway's port, on its private address.")


class Cloud(Facts):
    """The account's side of the cloud: network, who may log in, what it may cost."""

    gateway: HostName = Field(description="The cloud-vm that is the public gateway.")
    availability_zone: str = Field(description="Like eu-central-1a; all machines are in it.")
    ipv6: bool = Field(default=False, description="Also give the network and the machines IPv6 addresses and AAAA records.")
    ssh_from: dict[HostName, Cidr] = Field(default={}, description="Named networks that may reach SSH; empty: by SSM alone.")
    ssm: bool = Field(default=True, description="Let the machines be managed by AWS Systems Manager (sessions without SSH).")
    zone_id: str | None = Field(default=None, description="Route 53 zone of the public domain; default: made here.")
    zone_adopted: bool = Field(
        default=False, description="That zone is imported as it is and never deleted; else it is used alone."
    )
    overwrite_records: tuple[Fqdn, ...] = Field(default=(), description="Names in that zone that are taken over from others.")
    records: tuple[Record, ...] | None = Field(default=None, description="More records (MX, TXT); [] says that there are none.")
    way_home: HostName | None = Field(
        default=None, description="Public service of the homelab that is asked through the gateway to prove the tunnel."
    )
    relays: dict[HostName, Relay] = Field(
        default={}, description="Ways from the other machines home, by purpose: what they send there is encrypted end to end."
    )
    budget: int = Field(ge=1, description="US dollars a month; an alarm is sent at 80 % spent and 100 % forecast.")
    budget_email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$", description="Who gets the alarm.")

    @model_validator(mode="after")
    def _adopts_a_zone_that_it_names(self) -> "Cloud":
        if self.zone_adopted and self.zone_id is None:
            raise ValueError("zone_adopted says something of a zone that exists; write its zone_id too, or remove the line")
        return self


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


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


_SHARE = re.compile(r"([1-9][0-9]?|100) ?%")


def _batch(value: object) -> object:
    """A number of hosts, or a share of them."""
    if isinstance(value, str) and _SHARE.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError('is neither a number of hosts, 1 at least, nor a share of them; write batch = 2, or batch = "25%"')


class Rollout(Facts):
    """In which order changed hosts of one deployment are touched, beyond what they depend on."""

    strategy: Literal["all", "canary", "batches", "waves"] = "all"
    canary: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)] = Field(
        default=(),
        description="Host, or hosts, that go first: of their kind with strategy = canary, of all kinds with waves.",
    )
    batch: Annotated[int | str, BeforeValidator(_batch)] = Field(
        default=1, description="Hosts at a time, or a share of them like 25%, with strategy = batches, or waves after the canary."
    )
    soak: int = Field(
        default=0,
        ge=0,
        le=604800,
        description="Seconds for which the canaries' health has to hold before others change, with strategy = waves.",
    )

    def at_a_time(self, hosts: int) -> int:
        """How many of so many HOSTS are touched at a time."""
        if isinstance(self.batch, int):
            return self.batch
        return max(1, -(-hosts * int(self.batch.rstrip("% ")) // 100))


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
