"""A small fleet for tests of provisioning: two nodes, a virtual machine and two containers. Its `up` takes seconds."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bench.fleet import public_key, site
from inventory.files import REPOSITORY
from tests.system import saved
from tests.system.checkout import Checkout

NODE_PLAYBOOK = "small-node.yml"
# The simulator's nodes are as they are installed: this is what makes them take guests.
NODE_PLAY = """\
- name: Nodes
  hosts: all
  gather_facts: false
  roles:
    - role: proxmox_node
      vars: {proxmox_node_microcode: false}
"""
_SITE = f"""\
{site("small")}
[networks.management]
cidr = "192.168.1.0/24"
gateway = "192.168.1.1"

[networks.servers]
cidr = "192.168.10.0/24"
gateway = "192.168.10.1"
nameservers = ["192.168.1.1"]
vlan = 10
"""
_NODE = """\
[nodes.{name}]
address = "{address}"
cpu = 16
memory = 65536
host_key = "{key}"
playbook = "{playbook}"
"""
_HOST = """\
[hosts.{name}]
kind = "{kind}"
description = "{name}"
node = "{node}"
vmid = {vmid}
address = "192.168.10.{last}"
cpu = 1
memory = 512
disks = [{{ size = 8 }}]
host_key = "{key}"
settle = 0
"""
_STAGING = """\
base = "homelab.toml"

[site]
name = "staging"
domain = "staging.small.example.org"

[overlay]
hosts = [{names}]
shared = [{others}]
vmid_offset = 800
add_tags = ["staging"]

[networks.servers]
cidr = "192.168.110.0/24"
gateway = "192.168.110.1"
vlan = 110
"""
# name, kind, node, VMID, last octet of the address
HOSTS = (("web", "nixos-vm", "pve1", 110, 10), ("dns", "nixos-lxc", "pve1", 111, 11), ("log", "nixos-lxc", "pve2", 112, 12))
NODES = {"pve1": "192.168.1.11", "pve2": "192.168.1.12"}


def inventory(more: str = "") -> str:
    """The inventory's text, with MORE at its end. A test changes it by `checkout.replace("inventory/homelab.toml", old, new)`."""
    nodes = [
        _NODE.format(name=name, address=address, key=public_key(name), playbook=NODE_PLAYBOOK) for name, address in NODES.items()
    ]
    hosts = [
        _HOST.format(name=name, kind=kind, node=node, vmid=vmid, last=last, key=public_key(name))
        for name, kind, node, vmid, last in HOSTS
    ]
    return "\n".join([_SITE, *nodes, *hosts, more])


def atomic(name: str, last: int, *lines: str) -> str:
    """A Fedora Atomic host for the inventory, at the address that ends in LAST; LINES say which image it runs, and more."""
    facts = ('kind = "atomic"', f'address = "192.168.10.{last}"', *lines, f'host_key = "{public_key(name)}"')
    return "\n".join([f"[hosts.{name}]", *facts, ""])


def staging(*names: str) -> str:
    """An environment beside the small fleet, on the same nodes: NAMES in a network of their own, the others used as they are."""
    others = ", ".join(f'"{name}"' for name, *_ in HOSTS if name not in names)
    hosts = [f'[hosts.{name}]\nhost_key = "{public_key(f"staging-{name}")}"\n' for name in names]
    return "\n".join([_STAGING.format(names=", ".join(f'"{name}"' for name in names), others=others), *hosts])


def small_checkout(path: Path, more: str = "", added: Mapping[str, str] | None = None) -> Checkout:
    """A checkout with the small fleet as its homelab, with MORE in its inventory and the files ADDED; nothing deployed."""
    if not (REPOSITORY / ".aether/engine/bin/pulumi").exists():
        pytest.skip("the engine is not there; make it with: ./aether engine ensure")
    files = {"inventory/homelab.toml": inventory(more), f"ansible/{NODE_PLAYBOOK}": NODE_PLAY}
    files |= {f"nix/hosts/{node}/{name}.nix": "{ ... }:\n{ }\n" for name, _, node, _, _ in HOSTS}
    checkout = Checkout.make(path, {**files, **(added or {})})
    if "inventory/staging.toml" not in (added or {}):
        # It changes hosts of the homelab that this fleet took the place of.
        for name in ("inventory/staging.toml", "Pulumi.staging.yaml", "Pulumi.sim-staging.yaml"):
            (path / name).unlink()
    return checkout


def deployed(path: Path) -> Iterator[Checkout]:
    """The small fleet, deployed, in a folder whose name has a space: every path goes through every tool. Stopped at the end."""
    checkout = small_checkout(path / "a folder")
    try:
        saved.give(checkout, small_checkout)
        yield checkout
    finally:
        checkout.close()


def grown(checkout: Checkout) -> Iterator[Checkout]:
    """The CHECKOUT, which deployed the small fleet before, brought by an `up` to what it is now. Stopped at the end."""
    try:
        saved.give(checkout, small_checkout)
        yield from running(checkout)
    finally:
        checkout.close()


def running(checkout: Checkout, *arguments: str) -> Iterator[Checkout]:
    """The CHECKOUT, deployed by an `up` with ARGUMENTS; stopped at the end."""
    try:
        up = checkout.up(*arguments)
        assert up.code == 0, up.text[-6000:]
        yield checkout
    finally:
        checkout.close()
