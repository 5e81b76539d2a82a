"""The inventory entry of a guest that somebody else made: what the cluster says of it, and what the guest says itself."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from inventory import agekey
from inventory.files import REPOSITORY
from inventory.keys import bare
from inventory.load import Inventory
from inventory.models import NixosLxc, NixosVm
from ops import hosts
from ops.guests import TOOLS
from ops.stack import OpsError, Stack
from stacks import live
from stacks.cluster import RETIRED, TAG, ClusterGuest

WORDS = {"qemu": "virtual machine", "lxc": "container"}
KINDS = ("external", "ansible", "nixos-lxc", "nixos-vm")
GIB = 1024**3
_DISK = re.compile(r"(?:scsi|virtio|sata|ide|mp)\d+|rootfs")
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": GIB, "T": 1024 * GIB}
# os-release's word for what the inventory calls otherwise.
_SYSTEMS = {"amzn": "amazon-linux"}
_ANSIBLE = ("debian", "alpine", "fedora", "vyos", "amazon-linux")


@dataclass(frozen=True)
class Found:
    """A guest of the cluster that no host of the inventory is, as Proxmox and the guest's agent describe it."""

    guest: ClusterGuest
    address: str
    """Its IPv4 address; empty where neither its configuration nor its agent says."""
    template: bool = False
    system: str = ""
    """Id of its operating system, as os-release has it: nixos, debian…; empty where nobody says."""
    config: Mapping[str, Any] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    """Where a virtual machine has its disks mounted, by what Proxmox calls them; what its agent knows of it."""

    @property
    def kind(self) -> str:
        """The kind that it is adopted as, unless told otherwise: only a NixOS system can be Aether's."""
        if self.system != "nixos":
            return "external"
        return "nixos-vm" if self.guest.kind == "qemu" else "nixos-lxc"


@dataclass(frozen=True)
class Given:
    """What the owner says of a guest."""

    address: str | None = None
    host_key: str | None = None
    playbook: str | None = None


@dataclass(frozen=True)
class Inside:
    """What a guest says of itself."""

    hostname: str = ""
    host_key: str = ""


Ask = Callable[[ClusterGuest], Inside]


def inside(stack: Stack, guest: ClusterGuest) -> Inside:
    """Ask a guest through its node, whose key is pinned: nothing on the network between can answer in its place.

    Raises:
        OpsError: it does not run, has no agent or no such key, or its node does not answer.
    """
    what = f"{guest.vmid} ({guest.name})"
    fix = "Fix: give it by --host-key (on the guest: cat /etc/ssh/ssh_host_ed25519_key.pub)"
    config = hosts.ssh_config(stack.name)
    if not config.exists():
        raise OpsError(f"{what}: no preview has written how {guest.node} is reached. Fix: make preview STACK={stack.name}")
    if not guest.running:
        start = f"{TOOLS[guest.kind]} start {guest.vmid}"
        raise OpsError(f"{what} does not run, so it cannot say which SSH host key it has. Fix: on {guest.node}: {start}")
    script = (REPOSITORY / "components/proxmox/scripts/guest-says.sh").read_text()
    run = ("guest", "exec") if guest.kind == "qemu" else ("exec",)
    answer = live.ask(
        str(config), guest.node, shlex.join([TOOLS[guest.kind], *run, str(guest.vmid), "--", "/bin/sh", "-c", script]), timeout=60
    )
    said, status = answer.stdout, answer.returncode
    if guest.kind == "qemu" and status == 0:
        executed = json.loads(said or "{}")
        said, status = str(executed.get("out-data", "")), int(executed.get("exitcode", 1))
    lines = said.strip().splitlines()
    if status or len(lines) != 2:
        reason = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
        raise OpsError(f"{what} did not say which SSH host key it has ({reason}). {fix}")
    return Inside(lines[0].strip(), bare(lines[1]))


def entry(found: Found, inventory: Inventory, kind: str, given: Given, ask: Ask) -> str:
    """The inventory's table of a guest, as KIND.

    Raises:
        OpsError: it is a template, has no address that is in a network, its name is taken, or it cannot be of this kind.
    """
    guest = found.guest
    what = f"{guest.vmid} ({guest.name})"
    if found.template:
        raise OpsError(f"{what} is a template and answers nowhere. Leave it out")
    if not (address := given.address or found.address):
        raise OpsError(f"{what}: Proxmox does not know its address. Fix: adopt {guest.vmid} --address ADDRESS")
    network = network_of(address, inventory)
    if network is None:
        raise OpsError(f"{what}: {address} is in no network of {inventory.path}. Fix: add its [networks.NAME] first")
    if kind == "external":
        said, facts = Inside(), _external(found)
    elif kind == "ansible":
        said = _says(found, given, ask)
        facts = _ansible(found, given)
    else:
        _fits(found, inventory, kind)
        said = _says(found, given, ask)
        facts = _nixos(found, inventory, network)
    name = name_of(found, said)
    if name in (*inventory.hosts, *inventory.nodes):
        raise OpsError(f"{what}: the inventory has a host '{name}' already. Fix: rename the guest in Proxmox, or the host")
    place: dict[str, Any] = {"address": address, "network": network}
    lines = [f"[hosts.{name}]", f'kind = "{kind}"']
    lines += [f"{field} = {_toml(value)}" for field, value in {**facts, **place}.items()]
    if said.host_key:
        lines.append(f"host_key = {_toml(said.host_key)}")
        if said.host_key.startswith("ssh-ed25519 "):
            lines.append(f"age_recipient = {_toml(agekey.recipient(said.host_key))}")
    if kind.startswith("nixos-"):
        lines += [f"was = {_toml(guest.name)}"] if guest.name != name else []
        lines.append("adopted = true")
        lines += [f"# {line}" for line in _left_out(found, inventory)]
    return "\n".join(lines) + "\n"


def name_of(found: Found, said: Inside) -> str:
    """Its name as a host name (RFC 1123): what its system calls itself, where that is one; else the cluster's name."""
    if re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", said.hostname):
        return said.hostname
    name = re.sub(r"[^a-z0-9]+", "-", found.guest.name.lower()).strip("-")[:63]
    return name if re.match(r"[a-z]", name) else f"guest-{name or found.guest.vmid}"


def network_of(address: str, inventory: Inventory) -> str | None:
    """The network of the inventory that an address is in."""
    return next((name for name, net in inventory.networks.items() if IPv4Address(address) in IPv4Network(net.cidr)), None)


def _says(found: Found, given: Given, ask: Ask) -> Inside:
    return Inside(host_key=bare(given.host_key)) if given.host_key else ask(found.guest)


def _external(found: Found) -> dict[str, Any]:
    guest = found.guest
    system = {"os": found.system} if found.system and found.system != "unmanaged" else {}
    return {"description": f"{WORDS[guest.kind].capitalize()} {guest.vmid} of {guest.node}, not managed", **system}


def _ansible(found: Found, given: Given) -> dict[str, Any]:
    guest = found.guest
    what = f"{guest.vmid} ({guest.name})"
    system = _SYSTEMS.get(found.system, found.system)
    if system not in _ANSIBLE:
        raise OpsError(
            f"{what} runs {system or 'an unknown system'}; Ansible's playbooks are for {', '.join(_ANSIBLE)}. Fix: --as external"
        )
    if not given.playbook:
        present = ", ".join(sorted(path.name for path in (REPOSITORY / "ansible").glob("*.yml")))
        raise OpsError(f"{what}: which playbook configures it? Fix: --playbook FILE, one of {present}, or one that you add")
    return {"description": _description(found), "os": system, "playbook": given.playbook, "node": guest.node}


def _fits(found: Found, inventory: Inventory, kind: str) -> None:
    guest = found.guest
    what = f"{guest.vmid} ({guest.name})"
    right = "nixos-vm" if guest.kind == "qemu" else "nixos-lxc"
    if kind != right:
        raise OpsError(f"{what} is a {WORDS[guest.kind]}. Fix: --as {right}")
    # What a machine runs can be replaced in place (./aether install).
    if guest.kind == "lxc" and found.system not in ("nixos", "", "unmanaged"):
        raise OpsError(f"{what} runs {found.system}, not NixOS. Fix: --as external or ansible")
    if guest.kind == "qemu" and "ostype" not in found.config:
        # The provider refuses to import one.
        raise OpsError(f"{what} says nothing of its system's kind. Fix: on {guest.node}: qm set {guest.vmid} --ostype l26")
    if guest.node not in inventory.nodes:
        raise OpsError(
            f"{what}: its node {guest.node} is not in {inventory.path}. Fix: add [nodes.{guest.node}], or --as external"
        )


def _nixos(found: Found, inventory: Inventory, network: str) -> dict[str, Any]:
    """Every fact that the cluster holds of a guest, where it is not what the inventory takes for granted."""
    guest, config = found.guest, found.config
    node = inventory.nodes[guest.node]
    facts: dict[str, Any] = {
        "description": _description(found),
        "node": guest.node,
        "vmid": guest.vmid,
        # A container without a limit has all of its node's.
        "cpu": int(config.get("cores", node.cpu if guest.kind == "lxc" else 1)) * int(config.get("sockets", 1)),
        "memory": int(re.sub(r"\D.*", "", str(config.get("memory", 512)).rpartition("=")[2])),
        "disks": [disk for _, disk in _disks(found, node.disk_datastore) if disk],
        **(_lease(config) if inventory.networks[network].dhcp else {}),
        "interfaces": list(_interfaces(config, inventory)),
        "tags": sorted(guest.tags - {TAG, RETIRED}),
        "pool": guest.pool or None,
        "start_order": next(map(int, re.findall(r"(?:^|,)(?:order=)?(\d+)(?:,|$)", str(config.get("startup", "")))), None),
    }
    if guest.kind == "lxc":
        features = dict(part.partition("=")[::2] for part in str(config.get("features", "")).split(",") if part)
        facts["unprivileged"] = str(config.get("unprivileged", 0)) == "1"
        facts |= {feature: features.get(feature, "0") == "1" for feature in ("nesting", "keyctl", "fuse")}
        facts["devices"] = [
            re.sub(r"^path=", "", str(config[key]).partition(",")[0]) for key in sorted(config) if re.fullmatch(r"dev\d+", key)
        ]
    fields = (NixosVm if guest.kind == "qemu" else NixosLxc).model_fields
    return {
        name: value
        for name, value in facts.items()
        if value is not None and (fields[name].is_required() or not _usual(value, fields[name].default))
    }


def _lease(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a guest that asks the router for its address: its card."""
    first = str(config.get("ipconfig0", "")) or str(config.get("net0", ""))
    card = re.search(r"(?:=|,)((?:[0-9A-F]{2}:){5}[0-9A-F]{2})", str(config.get("net0", "")), re.IGNORECASE)
    return {"dhcp": True, "mac": card[1].lower()} if card and re.search(r"(?:^|,)ip=dhcp", first) else {}


def _usual(value: Any, default: Any) -> bool:
    return bool(value == (list(default) if isinstance(default, tuple) else default))


def _description(found: Found) -> str:
    """All of it: once the entry is deployed, it is the guest's."""
    return str(found.config.get("description", "")).strip()


def _disks(found: Found, usual: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Each disk by Proxmox's name for it, the system's first; None for what the inventory cannot hold.

    A disk has its size, the datastore where it is not the node's (USUAL), and its mount point as far as that is known.
    """
    config, machine = found.config, found.guest.kind == "qemu"
    keys = [key for key in config if _DISK.fullmatch(key) and "media=cdrom" not in str(config[key])]
    keys = [key for key in keys if "cloudinit" not in str(config[key])]
    first = _boots(config, keys) if machine else "rootfs"
    keys.sort(key=lambda key: (key != first, re.sub(r"\d", "", key), int(re.sub(r"\D", "", key) or 0)))
    number = 0
    for key in keys:
        volume, _, options = str(config[key]).partition(",")
        said = dict(part.partition("=")[::2] for part in options.split(","))
        found_size = re.fullmatch(r"([\d.]+)([KMGT]?)", said.get("size", ""))
        size = int(float(found_size[1]) * _UNITS[found_size[2]]) // GIB if found_size else 0
        mount = found.mounts.get(key) if machine else said.get("mp")
        # A directory of the node has no datastore.
        if volume.startswith("/") or not size or (key != first and not mount):
            yield key, None
            continue
        disk: dict[str, Any] = {"size": size}
        datastore = volume.removeprefix("file=").partition(":")[0]
        if datastore != usual:
            disk["datastore"] = datastore
        if key != first:
            disk["mount"] = mount
        if machine and key != f"scsi{number}":
            disk["interface"] = key
        number += 1
        yield key, disk


def _boots(config: Mapping[str, Any], keys: list[str]) -> str:
    """The disk that a machine boots from: the first of its boot order that is one, or Proxmox's own first."""
    order = re.sub(r".*order=", "", str(config.get("boot", ""))).split(";")
    return next((key for key in [*order, str(config.get("bootdisk", "")), *sorted(keys)] if key in keys), "")


def _left_out(found: Found, inventory: Inventory) -> Iterator[str]:
    for key, disk in _disks(found, inventory.nodes[found.guest.node].disk_datastore):
        if disk is None:
            yield f"{key} ({str(found.config[key]).partition(',')[0]}) stays as it is: the inventory has no words for it"


def _interfaces(config: Mapping[str, Any], inventory: Inventory) -> Iterator[dict[str, str]]:
    """The further cards whose address is known and in a network."""
    prefix = "ipconfig" if any(re.fullmatch(r"ipconfig\d+", key) for key in config) else "net"
    for key in sorted(key for key in config if re.fullmatch(rf"{prefix}[1-9]\d*", key)):
        address = re.search(r"(?:^|,)ip=(\d+\.\d+\.\d+\.\d+)", str(config[key]))
        network = network_of(address[1], inventory) if address else None
        if address and network:
            yield {"network": network, "address": address[1]}


def _toml(value: Any) -> str:
    """VALUE as one line of TOML. A text is a basic string, whose escapes are JSON's."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
