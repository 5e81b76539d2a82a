"""Guests that stand on the cluster and not in the inventory: shown, and written into it as what is modelled and never touched."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from inventory.load import Inventory, InventoryError, load
from ops.arguments import parser
from ops.examine import Api, connect
from ops.fleet import inventory_of
from ops.guests import configuration
from ops.stack import OpsError, Stack
from stacks.cluster import ClusterGuest
from stacks.leases import addresses

_WORDS = {"qemu": "virtual machine", "lxc": "container"}


@dataclass(frozen=True)
class Found:
    """A guest of the cluster that no host of the inventory is."""

    guest: ClusterGuest
    address: str
    """Its IPv4 address; empty where neither its configuration nor its agent says."""
    template: bool = False

    @property
    def name(self) -> str:
        """Its name as a host name (RFC 1123)."""
        name = re.sub(r"[^a-z0-9]+", "-", self.guest.name.lower()).strip("-")[:63]
        return name if re.match(r"[a-z]", name) else f"guest-{name or self.guest.vmid}"


def adopt(stack: Stack, arguments: list[str]) -> int:
    """Show the cluster's guests that the inventory lacks; of those named, print the entry, or write it.

    An adopted guest is `external`: it has a name, is in DNS, monitoring and the picture of the fleet, and is never touched.
    """
    options = parser("adopt", adopt)
    options.add_argument("vmid", nargs="*", type=int, help="guests to adopt; none: list them")
    options.add_argument("--address", help="IPv4 address, where one guest is named and Proxmox does not know it")
    options.add_argument("--write", action="store_true", help="append the entries to the inventory file")
    chosen = options.parse_args(arguments)
    inventory = inventory_of(stack)
    settings = {key.removeprefix("aether:"): str(value) for key, value in configuration(stack).items()}
    found = unknown(inventory, connect(stack.name, settings))
    if not chosen.vmid:
        print(listing(found, inventory.path, stack.name))
        return 0
    if chosen.address and len(chosen.vmid) != 1:
        raise OpsError("--address goes with one VMID")
    known = {item.guest.vmid: item for item in found}
    for vmid in chosen.vmid:
        if vmid not in known:
            raise OpsError(f"{vmid} is no guest that the inventory lacks. Those are: {', '.join(map(str, known)) or 'none'}")
    text = "\n".join(entry(known[vmid], inventory, chosen.address) for vmid in chosen.vmid)
    if not chosen.write:
        print(text)
        return 0
    append(inventory.path, text)
    print(f"Written to {inventory.path}: {', '.join(known[vmid].name for vmid in chosen.vmid)}. Look at it, then: make preview")
    return 0


def unknown(inventory: Inventory, api: Api) -> list[Found]:
    """Guests that no host of the INVENTORY is, by VMID or address; retired ones of Aether's own are left out."""
    vmids = {host.vmid for host in inventory.guests().values()}
    addresses = {host.address for host in inventory.hosts.values()}
    found = []
    for item in sorted(api("/cluster/resources?type=vm"), key=lambda item: int(item["vmid"])):
        guest = ClusterGuest.of(item)
        if guest.vmid in vmids or "aether" in guest.tags:
            continue
        address = next(_addresses(guest, api), "")
        if not address or address not in addresses:
            found.append(Found(guest, address, bool(item.get("template"))))
    return found


def _addresses(guest: ClusterGuest, api: Api) -> Iterator[str]:
    """IPv4 addresses by the configuration, then by the agent of a virtual machine or the node of a container that runs."""
    place = f"/nodes/{guest.node}/{guest.kind}/{guest.vmid}"
    config = api(f"{place}/config")
    for key in sorted(key for key in config if re.fullmatch(r"(ipconfig|net)\d+", key)):
        yield from re.findall(r"(?:^|,)ip=(\d+\.\d+\.\d+\.\d+)", str(config[key]))
    if guest.running:
        try:
            cards: Any = api(f"{place}/{'agent/network-get-interfaces' if guest.kind == 'qemu' else 'interfaces'}")
        except OpsError:
            return  # It has no agent, or the token may not ask it.
        yield from addresses((cards["result"] if guest.kind == "qemu" else cards) or ())


def listing(found: list[Found], path: Path, stack: str) -> str:
    """What a person reads: a line a guest, and what to do next."""
    if not found:
        return f"Every guest of the cluster is in {path}."
    lines = [f"On the cluster, and not in {path}:"]
    for item in found:
        guest = item.guest
        kind = "template" if item.template else _WORDS[guest.kind]
        state = "running" if guest.running else "stopped"
        lines.append(f"  {guest.vmid:>9}  {kind:15}  {guest.name:24}  {guest.node:12}  {state:8}  {item.address or '?'}")
    return "\n".join([*lines, "", f"Next: ./aether --stack {stack} adopt VMID … [--write]. Nothing of them is changed by it."])


def entry(found: Found, inventory: Inventory, address: str | None = None) -> str:
    """The inventory's table of a guest.

    Raises:
        OpsError: it is a template, has no address that is in a network, or its name is taken.
    """
    guest, address = found.guest, address or found.address
    what = f"{guest.vmid} ({guest.name})"
    if found.template:
        raise OpsError(f"{what} is a template and answers nowhere. Leave it out")
    if not address:
        raise OpsError(f"{what}: Proxmox does not know its address. Fix: adopt {guest.vmid} --address ADDRESS")
    network = next((name for name, net in inventory.networks.items() if IPv4Address(address) in IPv4Network(net.cidr)), None)
    if network is None:
        raise OpsError(f"{what}: {address} is in no network of {inventory.path}. Fix: add its [networks.NAME] first")
    if found.name in (*inventory.hosts, *inventory.nodes):
        raise OpsError(f"{what}: the inventory has a host '{found.name}' already. Fix: rename the guest in Proxmox, or the host")
    return (
        f"[hosts.{found.name}]\n"
        'kind = "external"\n'
        f'description = "{_WORDS[guest.kind].capitalize()} {guest.vmid} of {guest.node}, not managed"\n'
        f'address = "{address}"\n'
        f'network = "{network}"\n'
    )


def append(path: Path, text: str) -> None:
    """Add TEXT to an inventory file, which has to be right afterwards; otherwise it stays as it was.

    Raises:
        OpsError: with what would be wrong.
    """
    draft = path.with_name(f".{path.stem}-adopted.toml")
    before = path.read_text()
    draft.write_text(f"{before.rstrip()}\n\n{text}")
    try:
        load(draft)
        draft.replace(path)
    except InventoryError as error:
        raise OpsError(f"{path} would not be right with it:\n{error}".replace(str(draft), str(path))) from None
    finally:
        draft.unlink(missing_ok=True)
