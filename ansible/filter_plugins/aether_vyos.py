"""The router's configuration as VyOS ``set`` commands, derived from the inventory, and what differs from the running one.

Sources: VyOS documentation, configuration/{interfaces,firewall/zone,service/dhcp-server,service/dns,nat}; 1.4 (sagitta) is the
default, the words that changed in 1.5 (circinus) are in ``Words``.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, Any]
Path = tuple[str, ...]
SECRET = re.compile(r"^(set interfaces wireguard \S+ private-key) .*")


@dataclass(frozen=True)
class Words:
    """Names of options that differ between releases."""

    zone_interface: str = "interface"
    dhcp_option: str = ""
    dhcp_mac: str = "mac-address"
    subnet_id: bool = False


RELEASES = {"1.4": Words(), "1.5": Words("member interface", "option ", "mac", True)}


def vyos_commands(settings: Facts, inventory: Facts) -> list[str]:
    """All commands that the router must hold in the subtrees that Aether owns, sorted and without duplicates.

    ``settings`` are the role's variables (roles/vyos_router/defaults/main.yml says what each means), ``inventory`` has the
    tables ``site``, ``networks``, ``nodes``, ``hosts`` and ``services``. Raises KeyError for an unknown release.
    """
    words = RELEASES[str(settings["release"])]
    networks = {name: net for name, net in inventory["networks"].items() if not _in_a_cloud(net, inventory)}
    commands = [
        *_interfaces(settings, networks),
        *_firewall(settings, networks, inventory, words),
        *_nat(settings, networks),
        *_dhcp(settings, networks, inventory, words),
        *_dns(settings, networks, inventory),
        *_wireguard(settings, inventory),
    ]
    return sorted(set(commands), key=_natural)


def vyos_changes(current: str | Sequence[str], desired: Sequence[str], owned: Sequence[str]) -> list[str]:
    """What to send: ``delete`` for lines of owned subtrees that are not wanted, then ``set`` for those that are missing.

    ``current`` is the output of ``show configuration commands``. A subtree is a prefix like ``firewall``; a line of another
    subtree is never deleted. Where a whole branch goes, one ``delete`` of its root is sent.
    """
    lines = current.splitlines() if isinstance(current, str) else current
    have = {_path(line) for line in lines if line.strip().startswith("set ")}
    want = {_path(line): line for line in desired}
    roots = [tuple(one.split()) for one in owned]
    stale = [(path, root) for path in have if path not in want and (root := _root(path, roots))]
    branches = {_branch(path, len(root), want) for path, root in stale}
    tops = [one for one in branches if not any(one != other and one[: len(other)] == other for other in branches)]
    deletes = sorted(("delete " + " ".join(shlex.quote(word) for word in branch) for branch in tops), key=_natural)
    return [*deletes, *(line for path, line in want.items() if path not in have)]


def vyos_redact(commands: Sequence[str]) -> list[str]:
    """The same commands without private keys, for showing."""
    return [SECRET.sub(r"\1 '…'", line) for line in commands]


def _natural(line: str) -> list[tuple[int, str]]:
    """Sort key: numbers by value, so that rule 10 comes before rule 100 and 20."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", line)]


def _path(line: str) -> Path:
    """The words below ``set``; a value with spaces is one word."""
    return tuple(shlex.split(line)[1:])


def _root(path: Path, roots: Iterable[Path]) -> Path | None:
    """The owned subtree that a path is in."""
    return next((root for root in roots if path[: len(root)] == root), None)


def _branch(path: Path, depth: int, want: Iterable[Path]) -> Path:
    """The highest node above a stale path, at least ``depth`` words long, that holds nothing wanted."""
    kept = list(want)
    while any(one[:depth] == path[:depth] for one in kept) and depth < len(path):
        depth += 1
    return path[:depth]


def _in_a_cloud(network: Facts, inventory: Facts) -> bool:
    """Whether only cloud machines are in the network: its router is the cloud's."""
    cidr = ipaddress.ip_network(network["cidr"])
    kinds = {host["kind"] for host in inventory["hosts"].values() if ipaddress.ip_address(host["address"]) in cidr}
    return kinds == {"cloud-vm"}


def _interface(settings: Facts, network: Facts) -> str:
    vlan = network.get("vlan", 0)
    return f"{settings['lan_interface']}.{vlan}" if vlan else str(settings["lan_interface"])


def _zone(name: str) -> str:
    return name.upper()


def _interfaces(settings: Facts, networks: Facts) -> Iterable[str]:
    lan = settings["lan_interface"]
    for name, net in networks.items():
        prefix = ipaddress.ip_network(net["cidr"]).prefixlen
        vlan = net.get("vlan", 0)
        where = f"set interfaces ethernet {lan} vif {vlan}" if vlan else f"set interfaces ethernet {lan}"
        yield f"{where} address '{net['gateway']}/{prefix}'"
        yield f"{where} description '{name}'"


def _firewall(settings: Facts, networks: Facts, inventory: Facts, words: Words) -> Iterable[str]:
    zones = {name: [_interface(settings, net)] for name, net in networks.items()}
    zones["wan"] = [settings["wan_interface"]]
    if settings.get("wireguard"):
        zones["vpn"] = [settings["wireguard"]["interface"]]
    for name, interfaces in zones.items():
        yield f"set firewall zone {_zone(name)} default-action 'drop'"
        for interface in interfaces:
            yield f"set firewall zone {_zone(name)} {words.zone_interface} '{interface}'"
    yield "set firewall zone LOCAL default-action 'drop'"
    yield "set firewall zone LOCAL local-zone"
    names = [*zones, "local"]
    policy = settings["policy"]
    for source in names:
        for target in names:
            if source == target:
                continue
            rules = policy.get(f"{source} -> {target}", policy.get(f"* -> {target}" if source != "wan" else "", []))
            yield from _ruleset(source, target, rules, inventory)


def _ruleset(source: str, target: str, rules: Sequence[Facts] | str, inventory: Facts) -> Iterable[str]:
    name = f"{_zone(source)}-{_zone(target)}"
    at = f"set firewall ipv4 name {name}"
    yield f"set firewall zone {_zone(target)} from {_zone(source)} firewall name '{name}'"
    if rules == "accept" or source == "local":
        yield f"{at} default-action 'accept'"
        return
    yield f"{at} default-action 'drop'"
    yield f"{at} rule 10 action 'accept'"
    yield f"{at} rule 10 state 'established'"
    yield f"{at} rule 10 state 'related'"
    yield f"{at} rule 20 action 'drop'"
    yield f"{at} rule 20 state 'invalid'"
    for index, rule in enumerate(rules if isinstance(rules, Sequence) and not isinstance(rules, str) else []):
        yield from _rule(f"{at} rule {100 + 10 * index}", rule, inventory)


def _rule(at: str, rule: Facts, inventory: Facts) -> Iterable[str]:
    yield f"{at} action 'accept'"
    if "description" in rule:
        yield f"{at} description '{rule['description']}'"
    if "protocol" in rule:
        yield f"{at} protocol '{rule['protocol']}'"
    if "ports" in rule:
        yield f"{at} destination port '{','.join(str(port) for port in rule['ports'])}'"
    for side, key in (("source", "from"), ("destination", "to")):
        if key in rule:
            yield f"{at} {side} address '{_address(rule[key], inventory)}'"


def _address(name: str, inventory: Facts) -> str:
    """Address of a host, node or network of the inventory. Raises KeyError with what to correct."""
    for table, field in (("hosts", "address"), ("nodes", "address"), ("networks", "cidr")):
        if name in inventory[table]:
            return str(inventory[table][name][field])
    raise KeyError(f"vyos_policy names '{name}', which is no host, node or network; correct it or add [hosts.{name}]")


def _nat(settings: Facts, networks: Facts) -> Iterable[str]:
    for index, net in enumerate(networks.values()):
        at = f"set nat source rule {100 + 10 * index}"
        outbound = "outbound-interface name" if str(settings["release"]) != "1.3" else "outbound-interface"
        yield f"{at} {outbound} '{settings['wan_interface']}'"
        yield f"{at} source address '{net['cidr']}'"
        yield f"{at} translation address 'masquerade'"


def _dhcp(settings: Facts, networks: Facts, inventory: Facts, words: Words) -> Iterable[str]:
    for index, (name, net) in enumerate(networks.items()):
        pool = settings["dhcp"].get(name)
        if not pool:
            continue
        first = ipaddress.ip_network(net["cidr"]).network_address
        at = f"set service dhcp-server shared-network-name {name} subnet {net['cidr']}"
        option = f"{at} {words.dhcp_option}"
        if words.subnet_id:
            yield f"{at} subnet-id '{index + 1}'"
        yield f"set service dhcp-server shared-network-name {name} authoritative"
        yield f"{option}default-router '{net['gateway']}'".replace("  ", " ")
        for server in net.get("nameservers", ()):
            yield f"{option}name-server '{server}'"
        yield f"{option}domain-name '{inventory['site']['domain']}'"
        yield f"{at} lease '{settings['dhcp_lease']}'"
        yield f"{at} range 0 start '{first + int(pool['first'])}'"
        yield f"{at} range 0 stop '{first + int(pool['last'])}'"
        for host, facts in inventory["hosts"].items():
            if facts.get("mac") and ipaddress.ip_address(facts["address"]) in ipaddress.ip_network(net["cidr"]):
                yield f"{at} static-mapping {host} ip-address '{facts['address']}'"
                yield f"{at} static-mapping {host} {words.dhcp_mac} '{facts['mac'].lower()}'"


def _dns(settings: Facts, networks: Facts, inventory: Facts) -> Iterable[str]:
    for net in networks.values():
        yield f"set service dns forwarding listen-address '{net['gateway']}'"
        yield f"set service dns forwarding allow-from '{net['cidr']}'"
    for server in settings["upstream"]:
        yield f"set service dns forwarding name-server {server}"
    domain = inventory["site"]["domain"]
    ours = [ipaddress.ip_network(net["cidr"]) for net in networks.values()]
    gateway = inventory["hosts"].get(settings["gateway"], {}).get("address")
    for name, facts in (*inventory["nodes"].items(), *inventory["hosts"].items()):
        if any(ipaddress.ip_address(facts["address"]) in net for net in ours):
            yield f"set system static-host-mapping host-name {name}.{domain} inet '{facts['address']}'"
    for name, service in inventory["services"].items():
        # Hosts and services share names (cockpit): a service is reached through the gateway, by the name that users type.
        label = service.get("subdomain") or name
        if gateway and label not in inventory["hosts"] and label not in inventory["nodes"]:
            yield f"set system static-host-mapping host-name {label}.{domain} inet '{gateway}'"


def _wireguard(settings: Facts, inventory: Facts) -> Iterable[str]:
    link = settings.get("wireguard")
    if not link:
        return
    network = ipaddress.ip_network(link["network"])
    at = f"set interfaces wireguard {link['interface']}"
    yield f"{at} address '{network.network_address + 1}/{network.prefixlen}'"
    yield f"{at} description 'personal machines away from home'"
    yield f"{at} port '{link['port']}'"
    yield f"{at} private-key '{link['private_key']}'"
    for name, facts in inventory["hosts"].items():
        if name in link["keys"] and "personal" in facts.get("tags", ()):
            # The same last octet as at home.
            address = network.network_address + int(facts["address"].rsplit(".", 1)[1])
            yield f"{at} peer {name} public-key '{link['keys'][name].strip()}'"
            yield f"{at} peer {name} allowed-ips '{address}/32'"


class FilterModule:
    """Filters for Ansible."""

    def filters(self) -> dict[str, Any]:
        """Name of each filter and its function."""
        return {"vyos_commands": vyos_commands, "vyos_changes": vyos_changes, "vyos_redact": vyos_redact}
