"""What `aether doctor` looks at on the operator's own machine: versions, Nix, disk, names. Nothing is changed."""

import ipaddress
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from components.nixos.tool import nix_command
from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.models import NixosHost
from ops.finding import Finding
from ops.stack import Stack
from stacks.platforms import operator_systems, unbuildable

LEAST = {"the checkout": 2, "the Nix store": 10}
"""GiB free: state, logs and images; the closures that are built."""
STORE = Path("/nix/store")
QUERY = struct.pack(">HHHHHH", 0x41E7, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack(">HH", 2, 1)
"""The question for the root's name servers: every resolver has an answer to it, and it asks for nobody's name."""


def examine(stack: Stack, inventory: Inventory) -> Iterator[Finding]:
    """This machine, for STACK."""
    yield engine(stack)
    if not stack.simulated:
        yield from nix(stack, inventory)
    yield from disks()
    if not stack.simulated:
        yield from names(stack.setting("proxmoxEndpoint") or "")
        yield from resolvers(inventory)


def engine(stack: Stack) -> Finding:
    """Whether the engine is the one that this program's SDK is of."""
    import importlib.metadata

    wanted = importlib.metadata.version("pulumi")
    try:
        found = subprocess.run(
            ["pulumi", "version"], env=stack.environment(), capture_output=True, text=True, check=False, cwd=REPOSITORY
        )
    except FileNotFoundError:
        return Finding("Pulumi", "is not there", "make setup")
    version = found.stdout.strip().lstrip("v")
    fits = version.split(".")[:2] == wanted.split(".")[:2]
    return Finding("Pulumi", f"{version or 'says no version'}, its SDK {wanted}", "" if fits else "make setup")


def nix(stack: Stack, inventory: Inventory) -> Iterator[Finding]:
    """Whether there is a Nix here that evaluates and builds what the inventory has this machine build."""
    hosts = {name: host for name, host in inventory.hosts.items() if isinstance(host, NixosHost)}
    program = stack.setting("nix") or "nix"
    if not hosts:
        return
    if shutil.which(program) is None:
        here = [name for name, host in hosts.items() if host.build_on == "operator"]
        several = f"{len(hosts)} host{' is' if len(hosts) == 1 else 's are'}"
        state = f"is not installed; {several} evaluated here" + (f", {len(here)} built" if here else "")
        yield Finding("Nix", state, "https://nixos.org/download/, then open a new shell")
        return
    said = subprocess.run([*nix_command(program), "--version"], capture_output=True, text=True, check=False)
    version = (said.stdout.strip().splitlines() or ["of no version"])[0].rpartition(" ")[2]
    systems = operator_systems(program)
    if systems is None:
        yield Finding("Nix", f"{version} does not know `nix config show`: too old, or broken", "https://nixos.org/download/")
        return
    yield Finding("Nix", f"{version}, builds for {', '.join(sorted(systems))}")
    for problem in unbuildable(hosts, systems):
        text, _, fix = problem.partition(" Fix: ")
        yield Finding("builds", text, fix)


def disks(places: Mapping[str, Path] | None = None) -> Iterator[Finding]:
    """Room on this machine's disks."""
    for name, path in (places or {"the checkout": REPOSITORY, "the Nix store": STORE}).items():
        if not path.is_dir():
            continue
        free = shutil.disk_usage(path).free // 2**30
        clean = "nix-collect-garbage --delete-older-than 30d" if name == "the Nix store" else "make clean, or another disk"
        yield Finding(f"disk of {name}", f"{free} GiB free", "" if free >= LEAST[name] else f"{LEAST[name]} are needed: {clean}")


def names(endpoint: str) -> Iterator[Finding]:
    """Whether the name in the API's address is found here; an address needs none."""
    host = urlsplit(endpoint).hostname or ""
    if not host or _is_address(host):
        return
    try:
        found = {str(item[4][0]) for item in socket.getaddrinfo(host, None)}
    except OSError:
        fix = "write the node's address into aether:proxmoxEndpoint, or a line into /etc/hosts"
        yield Finding("names", f"{host} is not found from here", fix)
        return
    yield Finding("names", f"{host} is {', '.join(sorted(found))}")


def resolvers(inventory: Inventory, timeout: float = 2.0, port: int = 53) -> Iterator[Finding]:
    """Whether the name servers that guests are given answer; those that are hosts of the fleet may not be there yet."""
    own = {host.address for host in inventory.hosts.values()}
    given: dict[str, list[str]] = {}
    for name, network in inventory.networks.items():
        for address in network.nameservers:
            if address not in own:
                given.setdefault(address, []).append(name)
    for address, networks in given.items():
        answers = _answers(address, timeout, port)
        fix = f"another one in {inventory.path.name}: [networks.{networks[0]}] nameservers"
        state = "answers" if answers else f"does not answer from here; guests of {', '.join(networks)} are given it"
        yield Finding(f"name server {address}", state, "" if answers else fix)


def _answers(address: str, timeout: float, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asked:
        asked.settimeout(timeout)
        try:
            asked.sendto(QUERY, (address, port))
            return asked.recv(512)[:2] == QUERY[:2]
        except OSError:
            return False


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
