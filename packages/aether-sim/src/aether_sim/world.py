"""What stands in the simulated datacentre, read from the inventory files.

Read as plain tables, not with the inventory's models: the simulator must start in seconds and also for an
inventory that the program would refuse.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inventory.models import DEPLOY_USER
from inventory.os_names import os_of
from inventory.overlay import document

GUEST_KINDS = ("nixos-vm", "nixos-lxc")
# Fallbacks for inventories (benchmarks) that do not say which storages a node has.
IMAGE_DATASTORE, DISK_DATASTORE = "local", "local-zfs"


@dataclass(frozen=True)
class HostFacts:
    """One machine that may answer on SSH. `address` is the inventory's, the simulator answers on 127.N.a.b."""

    name: str
    kind: str
    flavour: str
    address: str
    users: tuple[str, ...] = ("root",)
    node: str | None = None
    vmid: int | None = None
    health: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def was(self) -> str | None:
        """The name that it had before."""
        return self.extra.get("was")

    @property
    def is_guest(self) -> bool:
        """Whether Proxmox decides its power."""
        return self.kind in GUEST_KINDS or self.kind == "guest"

    @property
    def stands_alone(self) -> bool:
        """Whether it is up from the simulator's start."""
        return self.kind in ("node", "nixos-metal", "atomic", "ansible")


@dataclass(frozen=True)
class World:
    """Everything the inventories name; later files win."""

    hosts: Mapping[str, HostFacts]
    nodes: Mapping[str, Mapping[str, Any]]
    domain: str = "home.example.org"
    owner: str = ""
    tables: Mapping[str, Any] = field(default_factory=dict)
    """Nodes, networks and hosts of all files as they are written."""

    def guest(self, name: str) -> HostFacts | None:
        """The facts of a guest that the API created, when the inventory knows it by name, or by the one it had before."""
        facts = self.hosts.get(name) or next((host for host in self.hosts.values() if host.was == name), None)
        return facts if facts is not None and facts.is_guest else None


def flavour_of(kind: str, facts: Mapping[str, Any]) -> str:
    """Which base root a host has: nixos, pve, atomic, debian, alpine, fedora, vyos, amazon-linux or wsl."""
    return {"node": "pve", "atomic": "atomic"}.get(kind) or os_of(kind, facts) or "debian"


def sim_address(address: str, block: int) -> str:
    """Where host 192.168.a.b answers: 127.N.a.b."""
    third, fourth = address.split(".")[2:]
    return f"127.{block}.{third}.{fourth}"


def load(files: Iterable[Path]) -> World:
    """Read the inventory files. Raises OSError and tomllib.TOMLDecodeError with the file's name."""
    hosts: dict[str, HostFacts] = {}
    nodes: dict[str, Mapping[str, Any]] = {}
    domain, owner = "home.example.org", ""
    tables: dict[str, dict[str, Any]] = {name: {} for name in ("nodes", "networks", "hosts", "zones", "backups", "availability")}
    for path in files:
        try:
            said = document(path)
        except tomllib.TOMLDecodeError as error:
            raise tomllib.TOMLDecodeError(f"{path}: {error}") from None
        for name, table in tables.items():
            table.update(_told_apart(path.stem, said).get(name, {}))
        site = said.get("site", {})
        domain, owner = site.get("domain", domain), site.get("user", owner)
        for name, facts in said.get("nodes", {}).items():
            nodes[name] = facts
            hosts[name] = _host(name, "node", facts, owner)
        for name, facts in said.get("hosts", {}).items():
            # An environment may change a host that its base no longer has: the program says so.
            if facts.get("kind", "external") != "external":
                hosts[name] = _host(name, facts["kind"], facts, owner)
    return World(hosts, nodes, domain, owner, tables)


def _told_apart(file: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of FILE with networks under names of their own: an environment's have those of its base's."""
    hosts = said.get("hosts", {}).items()
    return {
        **said,
        "networks": {f"{file}.{name}": facts for name, facts in said.get("networks", {}).items()},
        "hosts": {name: _attached(file, facts) for name, facts in hosts},
    }


def _attached(file: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    further = [{**interface, "network": f"{file}.{interface['network']}"} for interface in facts.get("interfaces", ())]
    return {**facts, "network": f"{file}.{facts.get('network', 'servers')}", **({"interfaces": further} if further else {})}


def _host(name: str, kind: str, facts: Mapping[str, Any], owner: str) -> HostFacts:
    # The account that deploys without being root is its system's (operator/closure.py): nobody is born with it.
    users = dict.fromkeys(["root", facts.get("ssh_user", "root"), *([owner] if owner else [])])
    if flavour_of(kind, facts) == "nixos":
        users.pop(DEPLOY_USER, None)
    return HostFacts(
        name=name,
        kind=kind,
        flavour=flavour_of(kind, facts),
        address=facts["address"],
        users=tuple(users),
        node=facts.get("node"),
        vmid=facts.get("vmid"),
        health=tuple(facts.get("health", ())),
        extra=facts,
    )
