"""Inventories of many virtual machines, for benchmarks."""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass

NODES = ("oracle", "niobe", "trinity")
FIRST_VMID = 1000


@dataclass(frozen=True)
class Fleet:
    """SIZE NixOS virtual machines on three nodes; each but the first depends on the first, as on a foundation."""

    size: int

    @property
    def names(self) -> list[str]:
        return [f"vm-{number:03}" for number in range(1, self.size + 1)]

    def levels(self) -> list[list[str]]:
        """Hosts by the order in which they may be configured."""
        return [self.names[:1], self.names[1:]]

    def node(self, name: str) -> str:
        return NODES[self.names.index(name) % len(NODES)]

    def host_file(self, name: str) -> str:
        """The host's own Nix file, relative to the repository."""
        return f"nix/hosts/{self.node(name)}/{name}.nix"

    def files(self) -> dict[str, str]:
        """Everything that the checkout needs besides the inventory: path to text."""
        return {self.host_file(name): "{ ... }:\n{ }\n" for name in self.names}

    def inventory(self) -> str:
        """The inventory file's text."""
        parts = [site("fleet"), _NETWORKS]
        for index, node in enumerate(NODES):
            parts.append(_NODE.format(node=node, address=11 + index, key=public_key(node)))
        for index, name in enumerate(self.names):
            parts.append(
                _HOST.format(
                    name=name,
                    node=self.node(name),
                    vmid=FIRST_VMID + index,
                    address=f"192.168.{64 + index // 200}.{10 + index % 200}",
                    key=public_key(name),
                    depends="" if index == 0 else f'depends_on = ["{self.names[0]}"]\n',
                )
            )
        return "\n".join(parts)


def public_key(name: str) -> str:
    """A well-formed ed25519 public key of nobody. The simulator has keys of its own."""
    kind = b"ssh-ed25519"
    blob = struct.pack(">I", len(kind)) + kind + struct.pack(">I", 32) + hashlib.sha256(name.encode()).digest()
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def site(name: str) -> str:
    """The table [site] of a made-up fleet, as an inventory's text."""
    return _SITE.format(name=name, key=public_key("owner"))


_SITE = """\
[site]
name = "{name}"
domain = "{name}.example.org"
public_domain = "example.org"
timezone = "Europe/Berlin"
user = "owner"
authorized_keys = ["{key}"]
age_recipients = ["age19qj9tsgpt9n3cgz8q0ynplheumn0zvdhf7gdlk6vwj5zcgck4vcs56ck6j"]
"""
_NETWORKS = """\
[networks.management]
cidr = "192.168.1.0/24"
gateway = "192.168.1.1"

[networks.servers]
cidr = "192.168.64.0/21"
gateway = "192.168.64.1"
nameservers = ["192.168.1.1"]
vlan = 64
"""
# Somebody else sets the nodes up, one after the other and before any guest: the rivals do not either.
_NODE = """\
[nodes.{node}]
address = "192.168.1.{address}"
cpu = 1024
memory = 2097152
host_key = "{key}"
shared = true
"""
# Health counts when it holds once (settle = 0), as in the playbook that this is compared with.
_HOST = """\
[hosts.{name}]
kind = "nixos-vm"
description = "One of many"
node = "{node}"
vmid = {vmid}
address = "{address}"
cpu = 2
memory = 2048
disks = [{{ size = 4 }}]
host_key = "{key}"
{depends}health = [{{ unit = "app.service" }}, {{ tcp = 8080 }}]
settle = 0
"""
