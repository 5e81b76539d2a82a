"""The OpenSSH client configuration of a stack: every host's address, user and pinned key, in files under .aether/ssh/."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inventory.building import Builder
from inventory.files import REPOSITORY, write_whole
from inventory.load import Inventory
from inventory.models import ManagedHost, NixosHost, NixosVm, takes_orders
from stacks.errors import SettingsError
from stacks.platforms import system_of

if TYPE_CHECKING:
    from stacks.settings import Settings


@dataclass(frozen=True)
class Access:
    """Where a host answers on SSH, and the key it must show."""

    address: str
    port: int
    user: str
    host_key: str
    # What it answers to beside its name: Ansible calls a cloud machine by its address.
    also: tuple[str, ...] = ()


def accesses(inventory: Inventory, endpoints_file: str) -> dict[str, Access]:
    """Access of every node and managed host; ENDPOINTS_FILE (JSON, may be empty) overrides address, port and hostKey."""
    endpoints = _endpoints(endpoints_file)
    known = {name: Access(node.address, 22, node.ssh_user, node.host_key) for name, node in inventory.nodes.items()}
    for name, host in inventory.hosts.items():
        if isinstance(host, ManagedHost):
            # A cloud machine's address is of its own network; the name leads to the public one.
            address = inventory.fqdn(name) if host.elsewhere else host.address
            known[name] = Access(address, host.ssh_port, host.ssh_user, host.host_key, (address,) if host.elsewhere else ())
    return {
        name: Access(
            address=str(endpoints.get(name, {}).get("address", access.address)),
            port=int(endpoints.get(name, {}).get("port", access.port)),
            user=access.user,
            host_key=str(endpoints.get(name, {}).get("hostKey", access.host_key)),
            also=access.also,
        )
        for name, access in known.items()
    }


def write_client_config(settings: Settings, inventory: Inventory) -> str:
    """Write ``config``, ``known_hosts``, ``guests``, ``cache``, ``builders`` of a stack; the first's path, in the repository."""
    folder = _folder(settings)
    known_hosts = folder / "known_hosts"
    hosts = accesses(inventory, settings.endpoints_file)
    _write(REPOSITORY / known_hosts, "".join(f"{name} {_bare(access.host_key)}\n" for name, access in hosts.items()))
    _write(REPOSITORY / folder / "guests", _guests(inventory, settings.snapshots))
    _write(REPOSITORY / folder / "cache", _cache(inventory))
    _write(REPOSITORY / folder / "builders", _builders(settings, inventory, hosts))
    blocks = [
        f"Host {' '.join((name, *access.also))}\n  HostName {access.address}\n  Port {access.port}\n  User {access.user}\n"
        f"  HostKeyAlias {name}\n"
        for name, access in hosts.items()
    ]
    common = [
        "Host *",
        f'  UserKnownHostsFile "{REPOSITORY / known_hosts}"',
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
        "  UpdateHostKeys no",
        "  CheckHostIP no",
        "  BatchMode yes",
        "  ConnectTimeout 10",
        "  ServerAliveInterval 5",
        "  ServerAliveCountMax 3",
    ]
    common += [f'  IdentityFile "{key}"' for key in _identities(settings, inventory, folder)] + ["  IdentitiesOnly yes"]
    # The first word counts: what a deployment noted of a machine, then what is written here.
    noted = f'Include "{REPOSITORY / folder}/addresses/*"\n'
    _write(REPOSITORY / folder / "config", noted + "".join(blocks) + "\n".join(common) + "\n")
    return str(folder / "config")


def note_address(settings: Settings, inventory: Inventory, name: str, address: str) -> str:
    """Have SSH reach the cloud machine NAME at ADDRESS, which is returned, whether DNS knows its name yet or not.

    A new zone's name servers are at no registrar during its first deployment. The stack's endpoints file has the last word.
    """
    note = REPOSITORY / _folder(settings) / "addresses" / name
    if name in _endpoints(settings.endpoints_file):
        note.unlink(missing_ok=True)
    else:
        _write(note, f"Host {name} {inventory.fqdn(name)}\n  HostName {address}\n")
    return address


def _identities(settings: Settings, inventory: Inventory, folder: Path) -> list[str]:
    """The keys that are tried, and no others: an agent with many would run into MaxAuthTries first.

    The operator's key file; else the usual one, then the site's authorized keys, which an agent may hold: their public halves are
    written to files, as ssh wants to have them.
    """
    if settings.operator_key_file:
        return [str(REPOSITORY / settings.operator_key_file)]
    written = []
    for number, key in enumerate(inventory.site.authorized_keys):
        written.append(REPOSITORY / folder / f"operator-{number}.pub")
        _write(written[-1], key + "\n")
    return ["~/.ssh/id_ed25519", *map(str, written)]


def _guests(inventory: Inventory, snapshots: bool) -> str:
    """A line a guest: host, Proxmox's tool, VMID, whether it has SNAPSHOTS, its address with prefix length and gateway (-: the
    router gives it), the nodes that may have it, the inventory's first.
    """
    lines = []
    for name, host in inventory.guests().items():
        nodes = [host.node, *(node for node in inventory.nodes if node != host.node)]
        network = inventory.networks[host.network]
        at = ["-", "-"] if host.dhcp else [f"{host.address}/{network.cidr.split('/')[1]}", network.gateway]
        words = [name, "qm" if isinstance(host, NixosVm) else "pct", str(host.vmid), "yes" if snapshots else "no", *at, *nodes]
        lines.append(" ".join(words) + "\n")
    return "".join(lines)


def _cache(inventory: Inventory) -> str:
    """A line a host that takes its system from the fleet's cache: host, where to copy to, where it takes it from, and "orders"
    where it takes those, too.
    """
    cache = inventory.content.cache
    if cache is None:
        return ""
    pulling = {
        name: host for name, host in inventory.hosts.items() if isinstance(host, NixosHost) and getattr(host, "pulls", False)
    }
    orders = {name: " orders" if takes_orders(host, cache) else "" for name, host in pulling.items()}
    return "".join(f"{name} {cache.push} {cache.url}{orders[name]}\n" for name in pulling)


def _builders(settings: Settings, inventory: Inventory, hosts: Mapping[str, Access]) -> str:
    """The inventory's builders, as Nix's machines files are."""
    key = settings.operator_key_file and str(REPOSITORY / settings.operator_key_file)
    return "".join(
        machine(hosts[name], builder, system_of(inventory.hosts[name]), key)
        for name, builder in inventory.content.builders.items()
    )


def machine(access: Access, builder: Builder, system: str, key: str = "") -> str:
    """A line of a machines file: store, platforms, private key, jobs, speed, features, what derivations must ask for, host key.

    The key is pinned by its last word, also where Nix's daemon builds, which knows no SSH configuration of the operator's.
    https://nix.dev/manual/nix/2.28/advanced-topics/distributed-builds
    """
    pinned = base64.b64encode(_bare(access.host_key).encode()).decode()
    # Words are told apart by spaces; a key in such a place is found by the SSH configuration.
    key = key if key and " " not in key else "-"
    systems, features = ",".join(builder.systems or (system,)), ",".join(builder.features) or "-"
    words = (
        f"ssh-ng://{access.user}@{access.address}",
        systems,
        key,
        str(builder.jobs),
        str(builder.speed),
        features,
        "-",
        pinned,
    )
    return " ".join(words) + "\n"


def _folder(settings: Settings) -> Path:
    return Path(".aether/ssh") / settings.stack


def _endpoints(endpoints_file: str) -> dict[str, dict[str, str | int]]:
    if not endpoints_file:
        return {}
    path = REPOSITORY / endpoints_file
    try:
        endpoints: dict[str, dict[str, str | int]] = json.loads(path.read_text())
    except FileNotFoundError:
        raise SettingsError(
            f"aether:endpointsFile: {endpoints_file} does not exist. Fix: start the simulator (make up), or remove the setting"
        ) from None
    return endpoints


def _bare(key: str) -> str:
    return " ".join(key.split()[:2])


def _write(path: Path, content: str) -> None:
    """Write CONTENT unless it is there already: runs side by side must not see a half-written file."""
    if path.exists() and path.read_text() == content:
        return
    write_whole(path, content, mode=0o600)
