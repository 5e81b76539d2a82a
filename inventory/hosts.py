"""Kinds of host: machines and guests at home, and what all hosts share. Those of clouds are in ``cloud.py``.

Units: memory MiB, disk GiB, times seconds, addresses IPv4.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from inventory.base import Facts
from inventory.building import Cache
from inventory.health import HealthCheck
from inventory.marks import DEPLOYMENT, AtAws, AtGuest, ByKind, ReadBy, When
from inventory.types import (
    AgeRecipient,
    Cidr,
    DeviceNode,
    Gibibytes,
    GuestName,
    HomeAttribute,
    HostName,
    ImageDigest,
    ImageName,
    Ipv4,
    Ipv6OrAuto,
    MacAddress,
    Mebibytes,
    Phase,
    PoolName,
    Port,
    SshPublicKey,
    SyncthingId,
    VmId,
)

DEPLOY_USER = "deploy"
"""The account of a NixOS host that is deployed without being root (nix/modules/deploy-user.nix)."""


class Disk(Facts):
    size: Annotated[
        Gibibytes,
        When("first disk grows", AtGuest.UPDATE),
        When("data disk grows", AtGuest.UPDATE),
        When("a disk shrinks", AtGuest.REFUSED),
    ]
    datastore: Annotated[
        str | None,
        When("datastore of the first disk", ByKind(vm=AtGuest.REFUSED, lxc=AtGuest.REPLACE)),
        When("datastore of a data disk", AtGuest.REFUSED),
    ] = Field(default=None, description="Default: the node's disk_datastore.")
    mount: Annotated[str | None, ReadBy.ALL] = Field(
        default=None, description="Where the host mounts it; not for the first, the system's."
    )
    interface: Annotated[str | None, ReadBy.ALL] = Field(
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

    address: Annotated[Ipv4, AtGuest.UPDATE, AtAws.REPLACE]
    network: Annotated[str, AtGuest.UPDATE, AtAws.MOVE] = Field(default="servers", description="Name of a [networks.…] table.")
    description: Annotated[str, AtGuest.UPDATE, AtAws.NOTHING] = ""
    tags: Annotated[tuple[str, ...], AtGuest.UPDATE, AtAws.NOTHING] = ()
    phase: Annotated[Phase, DEPLOYMENT, ReadBy.NOBODY] = Field(
        default=6, description="Migration phase; `aether:phase` deploys up to it."
    )
    depends_on: Annotated[tuple[str, ...], DEPLOYMENT] = Field(default=(), description="Hosts that must be healthy first.")
    health: Annotated[tuple[HealthCheck, ...], DEPLOYMENT] = ()
    ssh_user: Annotated[str, DEPLOYMENT, ReadBy.NOBODY] = Field(
        default="root", description="Who logs in; deploy: without being root, on NixOS hosts (docs/access.md)."
    )
    ssh_port: Annotated[Port, DEPLOYMENT, AtAws.UPDATE] = 22
    home: Annotated[Home | None, DEPLOYMENT] = None
    syncthing_id: Annotated[SyncthingId | None, DEPLOYMENT] = Field(
        default=None, description="Syncthing device id; who has one syncs SharedHome."
    )
    stands_for: Annotated[HostName | None, DEPLOYMENT] = Field(
        default=None, description="Host of the base that it is here: same sources."
    )

    elsewhere: ClassVar[bool] = False
    """Whether ``address`` is of a network that is not ours, so that the host is reached by its name."""


class ManagedHost(HostFacts):
    """A host that Aether logs in to: its SSH key is known before the first connection."""

    host_key: Annotated[SshPublicKey, DEPLOYMENT]
    age_recipient: Annotated[AgeRecipient | None, DEPLOYMENT] = Field(
        default=None, description="host_key as ssh-to-age converts it."
    )
    secrets: Annotated[tuple[str, ...], DEPLOYMENT] = Field(
        default=(), description="sops files that it may read, relative to secrets/."
    )


class NixosHost(ManagedHost):
    """A host whose whole system is a flake output, wherever it is: how that is built and deployed."""

    flake: Annotated[str | None, DEPLOYMENT] = Field(
        default=None, description="nixosConfigurations attribute; default: its name."
    )
    security: Annotated[Literal["hardened", "relaxed"], DEPLOYMENT] = "hardened"
    build_on: Annotated[str, DEPLOYMENT, ReadBy.NOBODY] = Field(
        default="operator", description="operator, target, or the name of a builder host."
    )
    pulls: Annotated[bool, DEPLOYMENT, ReadBy.NOBODY] = Field(
        default=True, description="It takes what others built from the fleet's cache, where there is a [cache]."
    )
    reboot: Annotated[Literal["never", "ask", "auto"], DEPLOYMENT, ReadBy.NOBODY] = Field(
        default="ask", description="When kernel, initrd or kernel parameters change."
    )
    confirm_timeout: Annotated[int, DEPLOYMENT, ReadBy.NOBODY] = Field(
        default=60, ge=5, description="Seconds until unconfirmed activation reverts."
    )
    settle: Annotated[int, DEPLOYMENT, ReadBy.NOBODY] = Field(
        default=2, ge=0, le=600, description="Seconds for which health checks have to go on holding."
    )
    may_fail: Annotated[tuple[str, ...], DEPLOYMENT, ReadBy.NOBODY] = Field(
        default=(), description="Units, or globs of them, whose failure reverts no deployment."
    )

    @property
    def system(self) -> str:
        """What Nix calls the machine's platform."""
        return "x86_64-linux"


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

    mac: Annotated[MacAddress | None, AtGuest.UPDATE] = Field(
        default=None, description="The card's address: the router gives it this host's address."
    )


class Portable(OwnCard):
    """A machine that somebody may carry away, or switch off."""

    roams: Annotated[bool, ReadBy.NOBODY] = Field(
        default=False, description="It may be away: an `up` goes on without it, and leaves it an order where there is a [cache]."
    )


class Guest(NixosHost, OwnCard):
    """A NixOS system on a Proxmox node. Its ``mac`` is of its first interface; without one Proxmox makes one up."""

    node: Annotated[str, ByKind(vm=AtGuest.MIGRATE, lxc=AtGuest.MOVE)]
    vmid: Annotated[VmId, AtGuest.REPLACE, ReadBy.NOBODY]
    cpu: Annotated[int, ByKind(vm=AtGuest.PENDING, lxc=AtGuest.UPDATE), ReadBy.NOBODY] = Field(ge=1)
    memory: Annotated[Mebibytes, ByKind(vm=AtGuest.PENDING, lxc=AtGuest.UPDATE), ReadBy.NOBODY]
    disks: Annotated[
        tuple[Disk, ...],
        When("data disk is added", AtGuest.UPDATE),
        When("data disk leaves (detached, its volume is kept as unused)", AtGuest.UPDATE),
        ReadBy.NOBODY,
    ] = Field(min_length=1)
    disposable: Annotated[bool, AtGuest.WORD, ReadBy.NOBODY] = Field(
        default=False, description="May be destroyed; any other guest is protected under `aether:protect`."
    )
    replace: Annotated[bool, AtGuest.WORD, ReadBy.NOBODY] = Field(
        default=False, description="A change that only a new guest can have destroys this one. Remove it after."
    )
    was: Annotated[GuestName | None, AtGuest.RENAME, ReadBy.NOBODY] = Field(
        default=None, description="Its name before: the guest is renamed. Remove it after."
    )
    adopted: Annotated[bool, AtGuest.WORD] = Field(
        default=False, description="Somebody else made it: imported as it is, and its hardware stays as it is."
    )
    start_order: Annotated[int | None, AtGuest.UPDATE, ReadBy.NOBODY] = Field(
        default=None, ge=1, description="Boot order on the node."
    )
    pool: Annotated[PoolName | None, AtGuest.UPDATE, ReadBy.NOBODY] = Field(
        default=None, description="Resource pool it is in; made where the cluster has none."
    )
    dhcp: Annotated[bool, ByKind(vm=AtGuest.PENDING, lxc=AtGuest.UPDATE), ReadBy.NOBODY] = Field(
        default=False, description="It asks the router for `address`, which is reserved there for its `mac`."
    )
    address6: Annotated[Ipv6OrAuto | None, AtGuest.UPDATE] = Field(
        default=None, description="auto: by router advertisements (SLAAC)."
    )
    interfaces: Annotated[tuple[Interface, ...], AtGuest.UPDATE] = Field(
        default=(), description="Further interfaces, in other networks."
    )
    firewall: Annotated[bool, AtGuest.UPDATE, ReadBy.NOBODY] = Field(
        default=False, description="Proxmox lets in SSH, the host's services and what `open` says."
    )
    open: Annotated[tuple[Opening, ...], AtGuest.UPDATE, ReadBy.NOBODY] = Field(
        default=(), description="What else the Proxmox firewall lets in."
    )


class NixosVm(Guest):
    kind: Annotated[Literal["nixos-vm"], AtGuest.REPLACE]
    cpu_type: Annotated[str | None, AtGuest.PENDING, ReadBy.NOBODY] = Field(
        default=None, description="CPU model as QEMU calls it; default: the node's cpu_type."
    )
    numa: Annotated[bool, AtGuest.PENDING, ReadBy.NOBODY] = Field(
        default=False, description="Show the guest the node's memory banks; for guests that span two."
    )
    balloon: Annotated[Mebibytes | None, AtGuest.PENDING, ReadBy.NOBODY] = Field(
        default=None, description="Memory that it keeps when the node runs short; default: all of it."
    )
    usb: Annotated[tuple[str, ...], AtGuest.UPDATE] = Field(
        default=(), description="Names of the node's USB devices that it takes."
    )
    pci: Annotated[tuple[str, ...], AtGuest.PENDING] = Field(
        default=(), description="Names of the node's PCI devices that it takes."
    )


class NixosLxc(Guest):
    kind: Annotated[Literal["nixos-lxc"], AtGuest.REPLACE]
    unprivileged: Annotated[bool, AtGuest.REPLACE] = True
    nesting: Annotated[bool, AtGuest.PENDING] = Field(default=True, description="systemd in the container needs it.")
    keyctl: Annotated[bool, AtGuest.PENDING] = False
    fuse: Annotated[bool, AtGuest.PENDING] = False
    devices: Annotated[tuple[DeviceNode, ...], AtGuest.PENDING] = Field(
        default=(), description="Device nodes it gets, like /dev/net/tun."
    )


class NixosMetal(NixosHost, Portable):
    """A physical NixOS machine (or one that somebody else provisions)."""

    kind: Annotated[Literal["nixos-metal"], ReadBy.ALL]


class AtomicHost(ManagedHost, Portable):
    """A Fedora Atomic host that is rebased to an image digest."""

    kind: Annotated[Literal["atomic"], ReadBy.ALL]
    image: Annotated[ImageName, ReadBy.ALL] = Field(description="Image without tag, like ghcr.io/OWNER/IMAGE.")
    digest: Annotated[ImageDigest | None, ReadBy.PLAYBOOKS] = Field(
        default=None, description="Default: what the image repository published."
    )
    tag: Annotated[str | None, ReadBy.ALL] = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$",
        description="Follow this tag of an image that others build: looked up once, and again when aether:imageBuild changes.",
    )
    signed: Annotated[bool, ReadBy.PLAYBOOKS] = Field(default=True, description="End on ostree-image-signed:.")
    reboot: Annotated[Literal["now", "window", "never"], ReadBy.NOBODY] = Field(
        default="now", description="When the staged one boots."
    )
    window: Annotated[str | None, ReadBy.PLAYBOOKS] = Field(default=None, description="systemd calendar, with reboot = window.")

    @model_validator(mode="after")
    def _window_goes_with_reboot(self) -> "AtomicHost":
        if (self.reboot == "window") != (self.window is not None):
            raise ValueError('window goes with reboot = "window"; write both, window = "Sun 03:00", or neither')
        return self


class AnsibleHost(ManagedHost, Portable):
    """A host that stays on Ansible."""

    kind: Annotated[Literal["ansible"], ReadBy.ALL]
    os: Annotated[Literal["debian", "alpine", "fedora", "vyos", "amazon-linux", "wsl"], ReadBy.ALL]
    playbook: Annotated[str, ReadBy.ALL] = Field(description="Playbook under ansible/.")
    node: Annotated[str | None, ReadBy.ALL] = Field(default=None, description="Proxmox node it lives on, for the record.")


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

    kind: Annotated[Literal["external"], ReadBy.ALL]
    os: Annotated[str, ReadBy.ALL] = ""
