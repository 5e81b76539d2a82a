"""Guests of the API as hosts: what their configuration says about name, address and first boot."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from dataclasses import dataclass, replace
from typing import Any

from fakepve import FakeCt, FakeVm
from fakepve.lxc import split_props

from aether_sim.hosts.firstboot import Seed, seed_of_user_data
from aether_sim.world import HostFacts, World

# Last octet from which on the simulated router gives addresses to cards that it does not know.
POOL = 240
_KEPT_VM = ("vmid", "name", "node", "status", "qmpstatus", "config", "pending", "template", "lock", "pool", "snapshots")
_KEPT_CT = ("vmid", "node", "status", "config", "pending", "pool", "snapshots")


def dump(guest: Any) -> dict[str, Any]:
    """A guest as JSON keeps it. What is under way (locks of tasks) is not kept: a restart ends tasks."""
    kept = _KEPT_VM if isinstance(guest, FakeVm) else _KEPT_CT
    state = {key: getattr(guest, key) for key in kept}
    state["type"] = "qemu" if isinstance(guest, FakeVm) else "lxc"
    return state


def restore(state: dict[str, Any]) -> Any:
    """The guest that `dump` kept."""
    kind = state["type"]
    if kind == "qemu":
        guest = FakeVm(state["vmid"], state["name"], node=state["node"])
        kept: tuple[str, ...] = _KEPT_VM
    else:
        guest = FakeCt(state["vmid"], node=state["node"], defaults=False)
        kept = _KEPT_CT
    for key in kept:
        setattr(guest, key, state[key])
    if guest.lock == "create":
        return None
    guest.started_at = 0.0 if guest.status == "running" else None
    return guest


@dataclass(frozen=True)
class Identity:
    """Who a guest is on the network."""

    name: str
    address: str | None


def identity(guest: Any) -> Identity:
    """Name and inventory-side address of a guest, from its configuration."""
    if isinstance(guest, FakeVm):
        found = re.search(r"(?:^|,)ip=([\d.]+)", str(guest.config.get("ipconfig0", "")))
        return Identity(guest.name, found[1] if found else None)
    address = split_props(guest.config.get("net0", ""))[1].get("ip", "")
    return Identity(guest.name, address.split("/")[0] if re.match(r"[\d.]+", address) else None)


def facts_of(guest: Any, world: World, template: str) -> HostFacts | None:
    """The host that a guest is; None while it has no address that the simulator could answer on."""
    who = identity(guest)
    known = world.guest(who.name)
    if known is not None and (who.address in (None, known.address)):
        return known if known.vmid == guest.vmid else replace(known, vmid=guest.vmid, node=guest.node)
    if who.address is None:
        return None
    kind = "nixos-vm" if isinstance(guest, FakeVm) else "nixos-lxc"
    return HostFacts(who.name, kind, flavour_of_image(template), who.address, node=guest.node, vmid=guest.vmid)


def flavour_of_image(image: str) -> str:
    """Which system an image or template holds, by its file name; NixOS unless it says otherwise."""
    name = image.rsplit("/", 1)[-1].lower()
    for word in ("debian", "alpine", "fedora", "vyos"):
        if word in name:
            return word
    return "debian" if "ubuntu" in name else "nixos"


def seed(guest: Any, ssh_keys: str, snippet: Any) -> Seed:
    """What cloud-init (or PVE's container setup) gives the guest at its first boot.

    `snippet(volume id)` returns the text of a user data snippet on the guest's node.
    """
    if isinstance(guest, FakeCt):
        lines = [line for line in ssh_keys.splitlines() if line.strip()]
        return Seed(instance=f"lxc-{guest.vmid}", hostname=guest.name, authorized={"root": lines})
    config = guest.config
    custom = split_props(config.get("cicustom", ""))[1]
    if "user" in custom:
        text = snippet(custom["user"])
        return seed_of_user_data(text, _instance(text, config))
    keys = urllib.parse.unquote(str(config.get("sshkeys", "")))
    lines = [line for line in keys.splitlines() if line.strip()]
    user = str(config.get("ciuser") or "root")
    return Seed(instance=_instance(keys, config), hostname=guest.name, authorized={user: lines})


def _instance(text: str, config: dict[str, Any]) -> str:
    """PVE's instance id: it changes with the user or network data (PVE::QemuServer::Cloudinit)."""
    return hashlib.sha1(f"{text}{config.get('ipconfig0', '')}".encode()).hexdigest()


def cards(guest: Any) -> list[dict[str, str]]:
    """Options of its network cards."""
    return [split_props(value)[1] for key, value in sorted(guest.config.items()) if re.fullmatch(r"net\d+", key)]


def asks_for_address(guest: Any) -> bool:
    """Whether its first card asks the router."""
    key = "ipconfig0" if isinstance(guest, FakeVm) else "net0"
    return bool(re.search(r"(?:^|,)ip=dhcp(?:,|$)", str(guest.config.get(key, ""))))


def card(guest: Any) -> str:
    """The MAC address of its first card, in lower case; empty where it has none."""
    mac = re.search(r"([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5})", str(guest.config.get("net0", "")))
    return mac[1].lower() if mac else ""


def leased(guest: Any, world: World, *, forgotten: bool = False) -> str | None:
    """What the router gives to a guest's first card: what the inventories reserve for it, or the next one of the pool.

    With FORGOTTEN the router does not know the card.
    """
    hosts = world.tables.get("hosts", {})
    mac = card(guest)
    reserved = next((facts["address"] for facts in hosts.values() if mac and facts.get("mac") == mac), None)
    if reserved is not None and not forgotten:
        return str(reserved)
    known = world.guest(guest.name)
    return f"{known.address.rpartition('.')[0]}.{POOL + guest.vmid % 10}" if known is not None else None


def interfaces(guest: Any, address: str | None) -> list[dict[str, Any]]:
    """What the guest agent says about the network of a guest that has ADDRESS."""
    mac = card(guest)
    found = [
        {
            "name": "lo",
            "hardware-address": "00:00:00:00:00:00",
            "ip-addresses": [{"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}],
        }
    ]
    if mac:
        addresses = [{"ip-address": address, "ip-address-type": "ipv4", "prefix": 24}] if address else []
        found.append({"name": "eth0", "hardware-address": mac, "ip-addresses": addresses})
    return found
