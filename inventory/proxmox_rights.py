"""Rights of the API token at Proxmox VE: which privilege, on which path, what for, and when an inventory needs it.

Everything that speaks of these rights reads RIGHTS: `./aether proxmox role` prints them, the simulator gives its token
exactly these, a test takes each away. Works on the inventory's plain tables, so that the simulator need not check them first.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

USER = "aether@pve"
TOKEN = f"{USER}!pulumi"
LEAST_VERSION = (8, 4)
"""Disk images are uploaded as content type `import`, which came with libpve-storage-perl 8.3.6, of Proxmox VE 8.4."""

Table = Mapping[str, Any]
Area = Literal["Guests", "Nodes", "Disks", "Images", "Network", "Zones", "Usb", "Pci", "Pools", "Cluster"]


@dataclass(frozen=True)
class Use:
    """What an inventory uses of Proxmox."""

    vms: tuple[Table, ...]
    containers: tuple[Table, ...]
    bridges: tuple[str, ...]
    """ZONE/BRIDGE, or ZONE/BRIDGE/VLAN; bridges outside the SDN are of zone localnetwork."""
    disks: tuple[str, ...]
    images: tuple[str, ...]
    usb: bool
    pci: bool
    zones: bool
    backups: bool
    availability: bool
    pools: tuple[str, ...]
    version: int

    @classmethod
    def of(cls, tables: Table, version: int = 9) -> "Use":
        """The use of an inventory, given as its TOML tables or as its model's dump, on Proxmox VE VERSION (8 or 9)."""
        nodes, networks = tables.get("nodes", {}), tables.get("networks", {})
        guests = [host for host in tables.get("hosts", {}).values() if host.get("kind") in ("nixos-vm", "nixos-lxc")]
        bridges, disks, images = set(), set(), set()
        for guest in guests:
            attached = (guest.get("network", "servers"), *(interface["network"] for interface in guest.get("interfaces", ())))
            bridges |= {_bridge(networks.get(name, {})) for name in attached}
            node = nodes.get(guest.get("node"), {})
            images.add(node.get("image_datastore", "local"))
            disks |= {disk.get("datastore") or node.get("disk_datastore", "local-zfs") for disk in guest.get("disks", ())}
            disks.add(node.get("disk_datastore", "local-zfs"))
        return cls(
            vms=tuple(guest for guest in guests if guest["kind"] == "nixos-vm"),
            containers=tuple(guest for guest in guests if guest["kind"] == "nixos-lxc"),
            bridges=tuple(sorted(bridges)),
            disks=tuple(sorted(disks)),
            images=tuple(sorted(images)),
            usb=any(node.get("usb") for node in nodes.values()),
            pci=any(node.get("pci") for node in nodes.values()),
            zones=bool(tables.get("zones")),
            backups=bool(tables.get("backups")),
            availability=bool(tables.get("availability")),
            pools=tuple(sorted({guest["pool"] for guest in guests if guest.get("pool")})),
            version=version,
        )


def _bridge(network: Table) -> str:
    bridge = f"{network.get('zone') or 'localnetwork'}/{network.get('bridge', 'vmbr0')}"
    # A VNet has the tag itself.
    vlan = 0 if network.get("zone") else network.get("vlan", 0)
    return f"{bridge}/{vlan}" if vlan else bridge


@dataclass(frozen=True)
class Right:
    """One privilege in one area of paths."""

    privilege: str
    area: Area
    why: str
    needed: Callable[[Use], bool]


@dataclass(frozen=True)
class Grant:
    """A role on a path."""

    path: str
    role: str
    privileges: tuple[str, ...]
    propagate: bool


def _guests(use: Use) -> bool:
    return bool(use.vms or use.containers)


def _vms(use: Use) -> bool:
    return bool(use.vms)


def _usb(use: Use) -> bool:
    return use.usb


def _pci(use: Use) -> bool:
    return use.pci


def _pools(use: Use) -> bool:
    return bool(use.pools)


RIGHTS = (
    Right("VM.Allocate", "Guests", "make and destroy guests, set a container's nesting", _guests),
    Right("VM.Audit", "Guests", "read a guest's configuration and state, see which VMIDs are taken", _guests),
    Right("VM.PowerMgmt", "Guests", "start and stop guests", _guests),
    Right("VM.Config.CPU", "Guests", "cores", _guests),
    Right("VM.Config.Memory", "Guests", "memory", _guests),
    Right("VM.Config.Disk", "Guests", "disks, the boot order of devices", _guests),
    Right("VM.Config.Network", "Guests", "network cards; a container's host name and nameservers", _guests),
    Right("VM.Config.Options", "Guests", "name, description, tags, start at boot", _guests),
    Right("VM.Config.HWType", "Guests", "machine type, SCSI controller, serial console, devices", _vms),
    Right("VM.Config.Cloudinit", "Guests", "first login keys, address and nameservers", _vms),
    Right("VM.Config.CDROM", "Guests", "the cloud-init drive, when a virtual machine is changed", _vms),
    Right("VM.Migrate", "Guests", "move a virtual machine to another node", _vms),
    Right("VM.GuestAgent.Audit", "Guests", "addresses that the guest agent reports", lambda use: _vms(use) and use.version >= 9),
    Right("VM.Monitor", "Guests", "addresses that the guest agent reports", lambda use: _vms(use) and use.version < 9),
    Right("Sys.Audit", "Nodes", "see the tasks of others that hold a guest, like a backup's", _guests),
    Right("Datastore.AllocateSpace", "Disks", "allocate and grow disks", _guests),
    Right("Datastore.Audit", "Disks", "read the size of a virtual machine's disks", _vms),
    Right("Datastore.Audit", "Images", "find images and templates", _guests),
    Right("Datastore.AllocateTemplate", "Images", "upload images and templates", _guests),
    Right("Datastore.Allocate", "Images", "delete an image that is no longer used", _guests),
    Right("SDN.Use", "Network", "attach network cards to a bridge or VLAN", _guests),
    Right("SDN.Allocate", "Zones", "make zones and VNets, and apply them", lambda use: use.zones),
    Right("Mapping.Modify", "Usb", "name USB devices", _usb),
    Right("Mapping.Use", "Usb", "give them to virtual machines", _usb),
    Right("Mapping.Modify", "Pci", "name PCI devices", _pci),
    Right("Mapping.Use", "Pci", "give them to virtual machines", _pci),
    Right("Pool.Audit", "Pools", "see which pools there are, and who is in them", _pools),
    Right("Pool.Allocate", "Pools", "make a pool, put guests into it", _pools),
    Right(
        "Sys.Modify",
        "Cluster",
        "start_order of a virtual machine, which Proxmox counts as a setting of the node; privileged containers; backup jobs",
        lambda use: (
            any(vm.get("start_order") for vm in use.vms)
            or any(container.get("unprivileged") is False for container in use.containers)
            or use.backups
        ),
    ),
    Right("Sys.Console", "Cluster", "make HA resources and rules", lambda use: use.availability),
    Right(
        "Sys.Audit",
        "Cluster",
        "read backup jobs, HA resources and rules; ask whether the HA manager has a virtual machine that is to move",
        lambda use: use.backups or use.availability or _vms(use),
    ),
)


def rights(use: Use) -> list[Right]:
    """The rights that a use needs."""
    return [right for right in RIGHTS if right.needed(use)]


def grants(use: Use, wanted: Iterable[Right] | None = None) -> list[Grant]:
    """A use's rights (or those WANTED) as roles on paths, each path with the privileges of one area."""
    by_area: dict[Area, list[str]] = {}
    for right in rights(use) if wanted is None else wanted:
        by_area.setdefault(right.area, []).append(right.privilege)
    return [
        Grant(path, f"Aether{area}", tuple(privileges), area != "Cluster")
        for area, privileges in by_area.items()
        for path in paths(use, area)
    ]


def lacking(use: Use, held: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is missing for a use, as `PRIVILEGE on PATH`, in what `GET /access/permissions` says (1: propagated)."""
    return [
        f"{privilege} on {grant.path}"
        for grant in grants(use)
        for privilege in grant.privileges
        if privilege not in _effective(grant.path, held)
    ]


def _effective(path: str, held: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The nearest path that is listed decides."""
    if path in held:
        return set(held[path])
    steps = path.strip("/").split("/")
    for depth in range(len(steps) - 1, -1, -1):
        parent = "/" + "/".join(steps[:depth])
        if parent in held:
            return {privilege for privilege, propagated in held[parent].items() if propagated}
    return set()


def paths(use: Use, area: Area) -> tuple[str, ...]:
    """Paths of an area's access control list."""
    return {
        # Not each guest's own path: Proxmox removes its entries together with the guest, and a replaced one would have none.
        "Guests": ("/vms",),
        "Nodes": ("/nodes",),
        "Disks": tuple(f"/storage/{name}" for name in use.disks),
        "Images": tuple(f"/storage/{name}" for name in use.images),
        "Network": tuple(f"/sdn/zones/{name}" for name in use.bridges),
        "Zones": ("/sdn",),
        "Usb": ("/mapping/usb",),
        "Pci": ("/mapping/pci",),
        # Not each pool's own path, for the same reason.
        "Pools": ("/pool",),
        "Cluster": ("/",),
    }[area]
