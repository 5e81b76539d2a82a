"""The world outside a house (house.py): a visitor with a browser, the public gateway, the world's authority, and the tunnel home.

They are those of places.py; home's end is in the gateway's container. The visitor knows public names alone, which lead to
the public gateway, and trusts the world's authority alone.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .conftest import CACHE
from .house import Container, House
from .places import AUTHORITY, DOOR, GATE, HOME, VISITOR, Key, Place, Way, at_the_gate, authority, cable, eventually
from .workloads import only

ADDRESS, THEIRS = "198.18.0.2", "198.18.0.1"
"""The visitor's address, and the public gateway's in the visitor's network."""
MODEL = "jellyfin.example.org"
"""A site that the inventory makes public."""


class Joined(Place):
    """The network of a container, for programs of the machine."""

    def __init__(self, container: Container, work: Path, stack: ExitStack) -> None:
        self.name, self.work, self.stack, self.leader = container.name, work, stack, container.leader

    @property
    def pid(self) -> int:
        return self.leader

    @property
    def inside(self) -> list[str]:
        return ["nsenter", "--target", str(self.pid), "--net", "--"]


@dataclass
class Outside(Way):
    """A way whose home is a container."""

    def conf(self, peer: str | None = None) -> str:
        # The machine's programs do not know the names of the container.
        return super().conf(peer).replace("public-gateway.example.org", GATE)


def public_names() -> list[str]:
    return [
        name
        for name in re.findall(r"^([\w.-]+\.example\.org) ", only("gateway", "Caddyfile"), re.MULTILINE)
        if name.count(".") == 2
    ]


def visitor(made: House, *more: str) -> Container:
    """Somebody outside, not started; MORE are public names that the inventory does not have."""
    return made.container("visitor", "10.255.0.2", dict.fromkeys([*public_names(), *more], THEIRS))


def sites_with(text: str, service: str, public: str) -> str:
    """The gateway's sites (TEXT), and SERVICE by its PUBLIC name, too, as `public = true` in the inventory would have it."""
    (block,) = re.findall(rf"^{re.escape(service)} +\{{\n.*?(?=^[\w.-]+\.example\.org +\{{)", text, re.MULTILINE | re.DOTALL)
    return f"{text}\n{block.replace(service, public).replace('import internal', 'import public')}"


def door_with(text: str, public: str) -> str:
    """The public gateway's sites (TEXT), and PUBLIC, too."""
    blocks = re.findall(rf"^(?:http://)?{re.escape(MODEL)} \{{\n.*?\n\}}\n", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    return text + "".join(blocks).replace(MODEL, public)


@contextmanager
def way_in(gateway: Container, visitor: Container, work: Path, own: bytes, public: str) -> Iterator[Outside]:
    """Leads VISITOR to GATEWAY, by the names that are public and by PUBLIC. OWN is the root of home's authority (PEM)."""
    with ExitStack() as stack:
        world = f"{DOOR} {' '.join([*public_names(), public])}\n{VISITOR} {AUTHORITY}\n"
        outside, gate, inner = (Place(name, work, world, stack) for name in ("outside", "public", "inner"))
        home, person = (Joined(container, work, stack) for container in (gateway, visitor))
        cable(outside, VISITOR, gate, DOOR)
        cable(gate, GATE, home, HOME)
        cable(person, ADDRESS, gate, THEIRS)
        gate.run("ip", "address", "add", "192.168.90.10/24", "dev", "lo")
        kind = "wireproxy" if (CACHE / "checkers/bin/wireproxy").exists() else "wireguard-go"
        found = Outside(outside, gate, home, inner, work, kind, {"home": Key(), "public": Key()})
        for name in ("own", "world"):
            (work / name).mkdir()
        (work / "own/root").write_bytes(own)
        (work / "world/root").write_bytes(found.world.cert_pem.bytes())
        authority(outside, work / "world", f"{VISITOR}:443", AUTHORITY, found.world)
        at_the_gate(found, lambda text: door_with(text, public))
        stack.callback(found.hang_up)
        found.dial()
        trusts(visitor, found.world.cert_pem.bytes())
        eventually(lambda: answers(visitor, MODEL), 90)
        yield found


def trusts(container: Container, root: bytes) -> None:
    """Has the browser and curl (/root/root.pem) of a container trust ROOT alone (PEM)."""
    container.write_now("/root/root.pem", root.decode())
    container.run("mkdir", "-p", "/root/.pki/nssdb")
    container.run("certutil", "-N", "-d", "sql:/root/.pki/nssdb", "--empty-password")
    container.run("certutil", "-A", "-d", "sql:/root/.pki/nssdb", "-n", "root", "-t", "C,,", "-i", "/root/root.pem")


def answers(container: Container, name: str, *options: str) -> Any:
    """The status that a site answers a container with."""
    ask = ("curl", "--silent", "--max-time", "10", "--cacert", "/root/root.pem", "--output", "/dev/null", *options)
    status = container.run(*ask, "--write-out", "%{http_code}", f"https://{name}/", check=False)
    assert status not in ("", "000"), f"{name} does not answer {container.name}"
    return status
