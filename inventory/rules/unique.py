"""What may exist only once, in a file and over all files that are checked together."""

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from inventory.models import CloudVm, Guest, Host, ManagedHost, Network, OwnCard
from inventory.parse import Draft

# Names that mean something else to Ansible, to a resolver or in `build_on`.
RESERVED = {"localhost", "all", "ungrouped", "operator", "target"}

_Use = tuple[Draft, str, str]  # file, table, field
_Values = Callable[[Draft], Iterator[tuple[object, str, str]]]


def check(drafts: Sequence[Draft]) -> None:
    """Names, addresses, VMIDs, MACs, SSH keys, networks and VLANs of all DRAFTS."""
    _once(
        drafts,
        _named,
        "duplicate-name",
        "name '{}' is taken by {}",
        "rename one of them: a name is a host name and a DNS name",
    )
    _once(drafts, _addresses, "duplicate-address", "{} is the address of {} too", "write a free address")
    _once(drafts, _macs, "duplicate-mac", "{} is the card of {} too", "write the address of this machine's own card")
    _once(
        drafts,
        _vmids,
        "duplicate-vmid",
        "VMID {} is {}'s too",
        "write a VMID that no guest of the cluster has",
    )
    _once(
        drafts,
        _host_keys,
        "duplicate-host-key",
        "this key is {1}'s too, so one host could pass for the other",
        "run `./aether secrets rotate {name}`",
    )
    _once(
        drafts,
        _elastic_ips,
        "duplicate-allocation-id",
        "this Elastic IP is {1}'s too, and leads to one machine",
        "remove it from one of them, which gets an Elastic IP of its own",
    )
    _once(
        drafts,
        _devices,
        "duplicate-syncthing-id",
        "this device is {1} too",
        "write the machine's own id, or run `./aether secrets syncthing {name}`",
    )
    _once(
        drafts,
        _networks,
        "duplicate-network",
        "network '{}' is declared as {} too",
        "give it another name: Nix and Ansible read all files as one",
    )
    _once(drafts, _services, "duplicate-service", "service '{}' is declared as {} too", "rename one of them")
    _once(
        drafts,
        _sites,
        "duplicate-site",
        "site '{}' is another file's name too",
        "give this site a name of its own",
    )
    _once(
        drafts,
        _deployers,
        "duplicate-deployers",
        "group '{}' is declared as {} too",
        "give it another name: Keycloak knows a group once",
    )
    for draft in drafts:
        _reserved(draft)
        _repeated(draft)
    networks = [
        (draft, name, network)
        for draft in drafts
        for name, network in draft.networks.items()
        if f"networks.{name}" not in draft.inherited
    ]
    _vlans(networks)
    _overlaps(networks)


def _once(drafts: Sequence[Draft], values: _Values, code: str, message: str, fix: str) -> None:
    first: dict[object, _Use] = {}
    for draft in drafts:
        for value, where, field in values(draft):
            if where in draft.inherited:
                continue
            if value not in first:
                first[value] = (draft, where, field)
                continue
            other, at, _ = first[value]
            holder = at if other is draft else f"{at} in {other.file}"
            name = where.partition(".")[2]
            draft.report(code, where, field, message.format(value, holder), fix.format(name=name))


def _named(draft: Draft) -> Iterator[tuple[object, str, str]]:
    for table in ("nodes", "hosts"):
        raw = draft.raw.get(table)
        for name in raw if isinstance(raw, dict) else ():
            yield name, f"{table}.{name}", ""


def _addresses(draft: Draft) -> Iterator[tuple[object, str, str]]:
    for name, node in draft.nodes.items():
        yield node.address, f"nodes.{name}", "address"
    for name, host in draft.hosts.items():
        yield host.address, f"hosts.{name}", "address"


def _macs(draft: Draft) -> Iterator[tuple[object, str, str]]:
    for name, host in draft.hosts.items():
        if isinstance(host, OwnCard) and host.mac is not None:
            yield host.mac, f"hosts.{name}", "mac"


def _vmids(draft: Draft) -> Iterator[tuple[object, str, str]]:
    for name, guest in guests(draft):
        yield guest.vmid, f"hosts.{name}", "vmid"


def _host_keys(draft: Draft) -> Iterator[tuple[object, str, str]]:
    for name, node in draft.nodes.items():
        yield _bare(node.host_key), f"nodes.{name}", "host_key"
    for name, host in draft.hosts.items():
        if isinstance(host, ManagedHost):
            yield _bare(host.host_key), f"hosts.{name}", "host_key"


def _elastic_ips(draft: Draft) -> Iterator[tuple[object, str, str]]:
    for name, host in draft.hosts.items():
        if isinstance(host, CloudVm) and host.allocation_id is not None:
            yield host.allocation_id, f"hosts.{name}", "allocation_id"


def _devices(draft: Draft) -> Iterator[tuple[object, str, str]]:
    for name, host in draft.hosts.items():
        if host.syncthing_id is not None:
            yield host.syncthing_id, f"hosts.{name}", "syncthing_id"


def _networks(draft: Draft) -> Iterator[tuple[object, str, str]]:
    # An environment is read by itself: its networks and services have the base's names.
    return ((name, f"networks.{name}", "") for name in draft.names("networks") if draft.base is None)


def _services(draft: Draft) -> Iterator[tuple[object, str, str]]:
    return ((name, f"services.{name}", "") for name in draft.names("services") if draft.base is None)


def _deployers(draft: Draft) -> Iterator[tuple[object, str, str]]:
    return ((name, f"deployers.{name}", "") for name in draft.names("deployers") if draft.base is None)


def _sites(draft: Draft) -> Iterator[tuple[object, str, str]]:
    if draft.site:
        yield draft.site.name, "site", "name"


def _bare(key: str) -> str:
    """The key without its comment."""
    return " ".join(key.split(" ")[:2])


def guests(draft: Draft) -> Iterator[tuple[str, Guest]]:
    """Name and model of the guests of Proxmox nodes."""
    return ((name, host) for name, host in draft.hosts.items() if isinstance(host, Guest))


def _reserved(draft: Draft) -> None:
    for table in ("nodes", "hosts"):
        for name in sorted(draft.names(table) & RESERVED):
            draft.report(
                "reserved-name",
                f"{table}.{name}",
                "",
                f"'{name}' has another meaning",
                "give it another name",
            )


def _vlans(networks: list[tuple[Draft, str, Network]]) -> None:
    """VLANs of one cluster: a file's own, and those of the environments that are laid over it."""
    seen: dict[tuple[Path, str, int], str] = {}
    for draft, name, network in networks:
        key = ((draft.base or Path(draft.file)).resolve(), network.bridge, network.vlan)
        if key in seen:
            message = f"VLAN {network.vlan} of bridge {network.bridge} is network '{seen[key]}' too"
            draft.report("duplicate-vlan", f"networks.{name}", "vlan", message, "write a free VLAN tag")
        seen.setdefault(key, name if draft.base is None else f"{name} in {draft.file}")


def _repeated(draft: Draft) -> None:
    for name, host in draft.hosts.items():
        for field, values in _lists(host):
            twice = sorted(value for value, count in Counter(values).items() if count > 1)
            for value in twice:
                message = f"lists '{value}' more than once"
                draft.report("listed-twice", f"hosts.{name}", field, message, f"remove one '{value}'")
    for name, node in draft.nodes.items():
        for kind, field in (("usb", "name"), ("usb", "id"), ("pci", "name"), ("pci", "path")):
            of_all = [str(getattr(device, field)) for device in getattr(node, kind)]
            for value in sorted({value for value in of_all if of_all.count(value) > 1}):
                message = f"two devices have the {field} '{value}'"
                fix = "give each device a name of its own" if field == "name" else "remove one of the two"
                draft.report(f"duplicate-{kind}", f"nodes.{name}", kind, message, fix)


def _lists(host: Host) -> Iterable[tuple[str, tuple[str, ...]]]:
    for field in ("tags", "depends_on", "secrets", "usb", "pci", "devices"):
        yield field, tuple(getattr(host, field, ()))
    yield "health", tuple(str(check.model_dump(exclude={"timeout", "warn"})) for check in host.health)


def _overlaps(networks: list[tuple[Draft, str, Network]]) -> None:
    for i, (draft, name, network) in enumerate(networks):
        mine = ipaddress.IPv4Network(network.cidr)
        for other_draft, other, earlier in networks[:i]:
            if mine.overlaps(ipaddress.IPv4Network(earlier.cidr)):
                place = f"networks.{other}" + ("" if other_draft is draft else f" in {other_draft.file}")
                message = f"{network.cidr} overlaps {earlier.cidr} of {place}"
                draft.report("overlapping-networks", f"networks.{name}", "cidr", message, "write a free range")
