"""An environment written as its difference from another: the base file's facts, and what an overlay file says otherwise.

    base = "homelab.toml"

    [overlay]
    hosts = ["gateway"]          # or tags = ["ingress"]: who of the base stands in this environment, too
    shared = ["step-ca"]         # hosts of the base that this environment uses as they are, and never touches
    vmid_offset = 800

    [networks.servers]           # a network that moves takes its hosts along
    cidr = "192.168.110.0/24"

    [hosts.gateway]              # by the base's name; in this environment it is called staging-gateway
    memory = 1024

Plain tables in, plain tables out, without the models: the simulator and the source closures read this way. nix/lib/overlay.nix
does the same for Nix, and tests/nix/test_overlay.py holds the two together. What is wrong is said by ``faults``; ``merge``
leaves out what it cannot use.
"""

import tomllib
from collections.abc import Mapping
from copy import deepcopy
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

Table = dict[str, Any]

# What makes a machine that very machine: never inherited.
IDENTITY = ("host_key", "age_recipient", "syncthing_id", "mac", "usb")
# What is known of a host that another environment looks after.
_SHARED_FACTS = ("address", "network", "description", "tags")


def document(path: Path) -> Table:
    """The tables of an inventory file, with its base's facts where it is an overlay.

    Raises:
        OSError: the file or its base cannot be read.
        tomllib.TOMLDecodeError: one of them is not TOML.
    """
    raw = deepcopy(_tables(path))
    base = base_of(path, raw)
    return raw if base is None else merge(deepcopy(_tables(base)), raw)


def base_of(path: Path, raw: Mapping[str, Any] | None = None) -> Path | None:
    """The file that PATH is an overlay of; None when it stands by itself.

    Raises:
        OSError, tomllib.TOMLDecodeError: PATH cannot be read, where RAW, its tables, is not given.
    """
    tables = _tables(path) if raw is None else raw
    base = tables.get("base")
    return path.parent / base if isinstance(base, str) else None


def _tables(path: Path) -> Table:
    """As the file is now, and nobody changes them: who asks for one host asks for every file, several times."""
    text = path.read_text(encoding="utf-8")
    if path not in _parsed or _parsed[path][0] != text:
        _parsed[path] = (text, tomllib.loads(text))
    return _parsed[path][1]


_parsed: dict[Path, tuple[str, Table]] = {}


def overlays(folder: Path) -> list[Path]:
    """Inventory files of FOLDER that have a base. A file that is not TOML has none."""
    found = []
    for path in sorted(folder.glob("*.toml")):
        try:
            if base_of(path) is not None:
                found.append(path)
        except (OSError, tomllib.TOMLDecodeError):
            continue
    return found


def environment_of(path: Path) -> list[Path]:
    """The inventory files that the hosts of PATH see: an overlay by itself, else every file of its folder that has no base."""
    if base_of(path) is not None:
        return [path]
    others = overlays(path.parent)
    return [file for file in sorted(path.parent.glob("*.toml")) if file not in others]


def prefix_of(overlay: Mapping[str, Any]) -> str:
    """What stands before the base's names in this environment: ``[overlay] prefix``, else the site's name and a hyphen."""
    said = _table(overlay, "overlay").get("prefix")
    return str(said) if said is not None else f"{_table(overlay, 'site').get('name', 'overlay')}-"


def selected(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> list[str]:
    """Names of the base's hosts that stand in the environment, in the base's order."""
    said = _table(overlay, "overlay")
    tags, names = set(said.get("tags", ())), set(said.get("hosts", ()))
    hosts = _table(base, "hosts").items()
    return [name for name, facts in hosts if isinstance(facts, dict) and (name in names or tags & set(facts.get("tags", ())))]


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> Table:
    """The tables of the environment, like those of a file that was written whole."""
    said, chosen, prefix = _table(overlay, "overlay"), selected(base, overlay), prefix_of(overlay)
    renamed = {name: prefix + name for name in chosen}
    shared = [name for name in said.get("shared", ()) if name in _table(base, "hosts") and name not in renamed]
    networks = {**_table(base, "networks")}
    for name, facts in _table(overlay, "networks").items():
        networks[name] = {**networks.get(name, {}), **facts}
    nodes = {name: {**facts, "shared": True} for name, facts in _table(base, "nodes").items()}
    for name, facts in _table(overlay, "nodes").items():
        # A node with an address of its own is another machine.
        inherited = {**nodes.get(name, {}), "shared": name in nodes and "address" not in facts}
        nodes[name] = {**inherited, **facts}
    hosts: Table = {name: _used(_table(base, "hosts")[name]) for name in shared}
    for name in chosen:
        hosts[renamed[name]] = _stands(name, base, overlay, networks, renamed, shared)
    known = _table(base, "hosts")
    hosts |= {name: facts for name, facts in _table(overlay, "hosts").items() if name not in known}
    services = {
        name: {**facts, "host": renamed[facts["host"]]}
        for name, facts in _table(base, "services").items()
        if facts.get("host") in renamed
    }
    for name, facts in _table(overlay, "services").items():
        own = {**services.get(name, {}), **facts}
        services[name] = {**own, **({"host": renamed[own["host"]]} if own.get("host") in renamed else {})}
    merged = {
        "site": {**_table(base, "site"), **_table(overlay, "site")},
        "networks": networks,
        "nodes": nodes,
        "hosts": hosts,
        "services": services,
        "rollout": _rollout(base, overlay, renamed),
    }
    cloud = {**_table(base, "cloud"), **_table(overlay, "cloud")}
    if cloud:
        merged["cloud"] = {**cloud, **({"gateway": renamed[cloud["gateway"]]} if cloud.get("gateway") in renamed else {})}
    if groups := _deployers(base, overlay, renamed):
        merged["deployers"] = groups
    policies = {**_table(base, "policies"), **_table(overlay, "policies")}
    if policies:
        merged["policies"] = policies
    known_tables = {*merged, "base", "overlay", "cloud", "deployers"}
    return merged | {key: value for key, value in overlay.items() if key not in known_tables}


def written_as(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, str]:
    """Place of each merged host (``hosts.staging-gateway``) to where the overlay file writes it (``hosts.gateway``)."""
    prefix = prefix_of(overlay)
    return {f"hosts.{prefix}{name}": f"hosts.{name}" for name in selected(base, overlay)}


def inherited(base: Mapping[str, Any], merged: Mapping[str, Any]) -> set[str]:
    """Places of MERGED that are the base's own thing, not another of its kind: shared nodes and hosts, networks that stay."""
    networks = {name for name, facts in _table(merged, "networks").items() if _table(base, "networks").get(name) == facts}
    nodes = {name for name, facts in _table(merged, "nodes").items() if facts.get("shared")}
    hosts = set(_table(merged, "hosts")) & set(_table(base, "hosts"))
    return {f"{table}.{name}" for table, names in (("networks", networks), ("nodes", nodes), ("hosts", hosts)) for name in names}


def faults(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """(code, place, field, message, fix) of what an overlay says of its base that is not so."""
    said, hosts, chosen = _table(overlay, "overlay"), _table(base, "hosts"), selected(base, overlay)
    found = []
    tags = {tag for facts in hosts.values() if isinstance(facts, dict) for tag in facts.get("tags", ())}
    for field, known, what in (("tags", tags, "tag"), ("hosts", set(hosts), "host"), ("shared", set(hosts), "host")):
        for name in said.get(field, ()):
            if name not in known:
                fix = f"write one of {', '.join(sorted(known))}"
                found.append(("overlay-unknown", "overlay", field, f"the base has no {what} '{name}'", fix))
    for name in said.get("shared", ()):
        if name in chosen:
            fix = "remove it from shared, or do not choose it"
            found.append(("overlay-shared", "overlay", "shared", f"'{name}' stands in this environment itself", fix))
    if not chosen and not said.get("hosts") and not said.get("tags"):
        found.append(("overlay-empty", "overlay", "hosts", "chooses no host of the base", 'write hosts = ["…"] or tags = ["…"]'))
    for name in _table(overlay, "hosts"):
        if name in hosts and name not in chosen:
            message = f"'{name}' is a host of the base that this environment does not have"
            fix = f'add "{name}" to hosts of [overlay], or remove [hosts.{name}]'
            found.append(("overlay-unselected", f"hosts.{name}", "", message, fix))
    for name, facts in _table(overlay, "networks").items():
        its = _table(base, "networks").get(name)
        if its and "cidr" in facts and _prefix(its.get("cidr")) != _prefix(facts["cidr"]):
            fix = f"write a range of /{_prefix(its['cidr'])}, or write the address of every host in it"
            found.append(("overlay-range", f"networks.{name}", "cidr", "is not of the size of the base's network", fix))
    return found


def _stands(
    name: str,
    base: Mapping[str, Any],
    overlay: Mapping[str, Any],
    networks: Mapping[str, Any],
    renamed: Mapping[str, str],
    shared: list[str],
) -> Table:
    """The facts of the host that stands for NAME."""
    said = _table(overlay, "overlay")
    facts = {key: value for key, value in _table(base, "hosts")[name].items() if key not in IDENTITY}
    network = facts.get("network", "servers")
    facts["stands_for"] = name
    if "address" in facts:
        facts["address"] = _moved(facts["address"], _table(base, "networks").get(network), networks.get(network))
    if "vmid" in facts:
        facts["vmid"] += said.get("vmid_offset", 0)
    if "was" in facts:
        facts["was"] = prefix_of(overlay) + facts["was"]
    if "flake" in facts:
        facts["flake"] = prefix_of(overlay) + facts["flake"]
    facts |= {"tags": [*facts.get("tags", ()), *said.get("add_tags", ())]} if said.get("add_tags") else {}
    if "depends_on" in facts:
        # Of the base's others only those count that this environment has.
        facts["depends_on"] = [renamed.get(other, other) for other in facts["depends_on"] if other in renamed or other in shared]
    if "secrets" in facts:
        own = {f"hosts/{other}.yaml": f"hosts/{new}.yaml" for other, new in renamed.items()}
        facts["secrets"] = [own.get(file, file) for file in facts["secrets"]]
    if facts.get("build_on") in renamed:
        facts["build_on"] = renamed[facts["build_on"]]
    return {**facts, **said.get("set", {}), **_table(overlay, "hosts").get(name, {})}


def _used(facts: Mapping[str, Any]) -> Table:
    """What is said of a host of the base that the environment uses."""
    return {"kind": "external", **{key: facts[key] for key in _SHARED_FACTS if key in facts}}


def _rollout(base: Mapping[str, Any], overlay: Mapping[str, Any], renamed: Mapping[str, str]) -> Table:
    rollout = {**_table(base, "rollout"), **_table(overlay, "rollout")}
    named = rollout.get("canary", [])
    if not isinstance(named, str | list):
        return rollout
    canaries = [named] if isinstance(named, str) else named
    kept = [renamed.get(name, name) for name in canaries if name in renamed or name not in _table(base, "hosts")]
    if canaries and not kept:
        return {}
    return {**rollout, "canary": kept} if canaries else rollout


def _deployers(base: Mapping[str, Any], overlay: Mapping[str, Any], renamed: Mapping[str, str]) -> Table:
    """The base's groups with those of their hosts that this environment has, and its own."""
    groups = {}
    for name, facts in _table(base, "deployers").items():
        hosts = [renamed[host] for host in facts.get("hosts", ()) if host in renamed]
        if hosts or facts.get("tags"):
            groups[name] = {**facts, "hosts": hosts}
    return groups | _table(overlay, "deployers")


def _moved(address: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """ADDRESS at the same place of the network as it is now."""
    if before is None or after is None or before.get("cidr") == after.get("cidr"):
        return address
    try:
        offset = int(IPv4Address(address)) - int(IPv4Network(before["cidr"]).network_address)
        return str(IPv4Address(int(IPv4Network(after["cidr"]).network_address) + offset))
    except (KeyError, ValueError):
        return address


def _prefix(cidr: Any) -> str:
    return str(cidr).rpartition("/")[2]


def _table(tables: Mapping[str, Any], name: str) -> Table:
    found = tables.get(name)
    return found if isinstance(found, dict) else {}
