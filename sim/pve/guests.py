"""Guests of the API as hosts: what their configuration says about name, address and first boot."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

from fakepve import FakeCt, FakeVm
from fakepve.lxc import split_props

from sim.hosts.firstboot import Seed, seed_of_user_data
from sim.world import HostFacts, World

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
        return known
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


def interfaces(guest: Any) -> list[dict[str, Any]]:
    """What the guest agent says about the network."""
    address = identity(guest).address
    mac = re.search(r"([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5})", str(guest.config.get("net0", "")))
    found = [
        {
            "name": "lo",
            "hardware-address": "00:00:00:00:00:00",
            "ip-addresses": [{"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}],
        }
    ]
    if mac is not None:
        addresses = [{"ip-address": address, "ip-address-type": "ipv4", "prefix": 24}] if address else []
        found.append({"name": "eth0", "hardware-address": mac[1].lower(), "ip-addresses": addresses})
    return found
