"""The inventory as Ansible's dynamic inventory (JSON of ``--list``), with SSH host keys pinned."""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inventory.files import REPOSITORY, write_whole
from inventory.load import Inventory
from inventory.models import ManagedHost, Node
from inventory.os_names import os_of
from inventory.rolesecrets import needed, of_home
from inventory.types import Port, SshPublicKey

_PLAYBOOKS = REPOSITORY / "ansible"
_PYTHON = {"nixos": "/run/current-system/sw/bin/python3"}


class Endpoint(BaseModel):
    """Where a host is reached, where that differs from the inventory."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    address: str | None = None
    port: Port | None = None
    host_key: SshPublicKey | None = Field(default=None, alias="hostKey")


def endpoints() -> dict[str, Endpoint]:
    """Overrides from the JSON file ``{HOST: {address, port, hostKey}}`` that AETHER_ENDPOINTS names.

    Raises:
        SystemExit: the file cannot be used; says which and why.
    """
    file = os.environ.get("AETHER_ENDPOINTS")
    if not file:
        return {}
    try:
        return {name: Endpoint.model_validate(entry) for name, entry in json.loads(Path(file).read_text()).items()}
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    except (OSError, ValueError, AttributeError) as error:
        wrong = str(error)
    sys.exit(f"AETHER_ENDPOINTS={file}: {wrong}. Fix: write {{HOST: {{address, port, hostKey}}}} as JSON")


def listing(inventories: Sequence[Inventory]) -> dict[str, Any]:
    """Groups by kind, os, node, tag, playbook and home; facts as host variables and as variables of ``all``.

    Group names have underscores for hyphens: ``kind_nixos_vm``, ``os_debian``, ``node_oracle``, ``tag_personal``,
    ``playbook_vyos``, ``home``. External hosts are left out: they are never logged in to.
    """
    where = endpoints()
    known = _write_known_hosts(inventories, where)
    groups: dict[str, list[str]] = {}
    hostvars: dict[str, dict[str, Any]] = {}
    for inventory in inventories:
        site = inventory.site.model_dump(mode="json")
        for name, facts in _reachable(inventory).items():
            address = where.get(name, Endpoint()).address or _address(inventory, name, facts)
            hostvars[name] = {**_connection(name, facts, address, where.get(name, Endpoint()), known), "aether_site": site}
            if isinstance(facts, Node):
                hostvars[name]["aether_guest_networks"] = guest_networks(inventory, name)
            for group in _groups(facts):
                groups.setdefault(group, []).append(name)
    common = {f"aether_{table}": _merged(inventories, table) for table in ("networks", "nodes", "hosts", "services")}
    common["aether_peers"] = peers(common["aether_hosts"])
    common["aether_relays"] = relays(inventories)
    return {
        "_meta": {"hostvars": hostvars},
        "all": {"children": ["ungrouped", *groups], "vars": common},
        **{group: {"hosts": hosts} for group, hosts in groups.items()},
    }


def peers(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Who syncs SharedHome, by host: device id and address. Of its own, so that no home is made again for what else a host is."""
    devices = {name: facts for name, facts in hosts.items() if facts.get("syncthing_id")}
    return {name: {"id": facts["syncthing_id"], "address": facts["address"]} for name, facts in devices.items()}


def guest_networks(inventory: Inventory, node: str) -> list[str]:
    """Names of the networks that guests of NODE are attached to. Of its own, so that one guest more sets no node up again."""
    guests = [host for host in inventory.hosts.values() if getattr(host, "node", None) == node]
    further = {more.network for guest in guests for more in getattr(guest, "interfaces", ())}
    return sorted(further | {guest.network for guest in guests})


def relays(inventories: Sequence[Inventory]) -> dict[str, dict[str, Any]]:
    """The ports of the public gateway that lead home, by purpose."""
    return {name: relay.model_dump() for each in inventories if each.cloud for name, relay in each.cloud.relays.items()}


def known_hosts(inventories: Sequence[Inventory], where: Mapping[str, Endpoint]) -> str:
    """known_hosts lines: the host's name (HostKeyAlias), its address and port, the key of the inventory."""
    lines = []
    for inventory in inventories:
        for name, facts in _reachable(inventory).items():
            other = where.get(name, Endpoint())
            address, port = other.address or _address(inventory, name, facts), other.port or _port(facts)
            place = address if port == 22 else f"[{address}]:{port}"
            key = " ".join((other.host_key or facts.host_key).split(" ")[:2])
            lines.append(f"{name},{place} {key}\n")
    return "".join(lines)


def _reachable(inventory: Inventory) -> dict[str, Node | ManagedHost]:
    hosts = {name: host for name, host in inventory.hosts.items() if isinstance(host, ManagedHost)}
    return {**{name: node for name, node in inventory.nodes.items() if not node.shared}, **hosts}


def _address(inventory: Inventory, name: str, facts: Node | ManagedHost) -> str:
    """A cloud machine's own address is of its own network alone; its name leads to the public one."""
    return inventory.fqdn(name) if isinstance(facts, ManagedHost) and facts.elsewhere else facts.address


def _port(facts: Node | ManagedHost) -> int:
    return facts.ssh_port if isinstance(facts, ManagedHost) else 22


def _write_known_hosts(inventories: Sequence[Inventory], where: Mapping[str, Endpoint]) -> Path:
    """The pinned keys in a file of their own name, so that two simulators do not share one."""
    text = known_hosts(inventories, where)
    path = Path(".aether", "known_hosts", sha256(text.encode()).hexdigest()[:16]).absolute()
    if not path.exists():
        write_whole(path, text)
    return path


def _connection(name: str, facts: Node | ManagedHost, address: str, other: Endpoint, known: Path) -> dict[str, Any]:
    os_name, plain = _os(facts), facts.model_dump(mode="json")
    # ssh splits the value at spaces outside its quotes, and Ansible the arguments outside theirs.
    known_hosts = shlex.quote(f'UserKnownHostsFile="{known}"')
    pinned = f"-o {known_hosts} -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes"
    variables: dict[str, Any] = {
        "ansible_host": address,
        "ansible_port": other.port or _port(facts),
        "ansible_user": facts.ssh_user,
        "ansible_ssh_common_args": f"{pinned} -o HostKeyAlias={name}",
        "aether_name": name,
        "aether_kind": _kind(facts),
        "aether_os": os_name,
        "aether_facts": plain,
        "aether_known_hosts": str(known),
        "aether_secrets": [*needed(_PLAYBOOKS, plain.get("playbook"), plain.get("tags", ())), *of_home(plain)],
    }
    if os_name == "vyos":
        variables |= {
            "ansible_connection": "ansible.netcommon.network_cli",
            "ansible_network_os": "vyos.vyos.vyos",
            "ansible_host_key_checking": True,
        }
    else:
        variables |= {"ansible_connection": "ssh", "ansible_python_interpreter": _PYTHON.get(os_name, "/usr/bin/python3")}
        if facts.ssh_user != "root":
            variables["ansible_become"] = True
    return variables


def _kind(facts: Node | ManagedHost) -> str:
    return "node" if isinstance(facts, Node) else str(facts.model_dump(include={"kind"})["kind"])


def _os(facts: Node | ManagedHost) -> str:
    return os_of(_kind(facts), {"os": getattr(facts, "os", "")})


def _groups(facts: Node | ManagedHost) -> list[str]:
    names = [f"kind_{_kind(facts)}", f"os_{_os(facts)}"]
    if node := getattr(facts, "node", None):
        names.append(f"node_{node}")
    names += [f"tag_{tag}" for tag in getattr(facts, "tags", ())]
    if playbook := getattr(facts, "playbook", None):
        names.append(f"playbook_{Path(playbook).stem}")
    if getattr(facts, "home", None):
        names.append("home")
    return [name.replace("-", "_") for name in names]


def _merged(inventories: Sequence[Inventory], table: str) -> dict[str, Any]:
    return {name: facts.model_dump(mode="json") for inventory in inventories for name, facts in getattr(inventory, table).items()}
