"""Places with networks of their own: outside, the public gateway and home, and the way from one to the next."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import trustme
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.ansible.rendering import render

from .conftest import CACHE, ROOT, ask, find_checker

Found = TypeVar("Found")
VISITOR, DOOR = "198.51.100.2", "198.51.100.1"
HOME, GATE = "203.0.113.2", "203.0.113.1"
PRIVATE = "192.168.90.10"  # the public gateway's, in its own network
LINK, TELEMETRY = "wg0", 4317
AUTHORITY = "acme.example.net"
NAME = "jellyfin.example.org"
# What WireProxy does with a [TCPServerTunnel], where its packets arrive at an interface.
FORWARD = """
import asyncio, ctypes, os, sys
async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
async def main(address, home, pairs):
    async def serve(port, host, to):
        async def both(reader, writer):
            there = await asyncio.open_connection(host, to)
            await asyncio.gather(copy(reader, there[1]), copy(there[0], writer), return_exceptions=True)
        await asyncio.start_server(both, address, port)
    for port, target in (pair.split("=") for pair in pairs):
        await serve(int(port), *target.split(":"))
    # It listens where the tunnel ends, and asks at home.
    assert ctypes.CDLL(None).setns(os.open(f"/proc/{home}/ns/net", os.O_RDONLY), 0x40000000) == 0
    await asyncio.Event().wait()
asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
"""


@dataclass
class Key:
    """A pair of WireGuard's keys, in base64."""

    made: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)

    @property
    def private(self) -> str:
        return base64.b64encode(self.made.private_bytes_raw()).decode()

    @property
    def public(self) -> str:
        return base64.b64encode(self.made.public_key().public_bytes_raw()).decode()


@dataclass
class Place:
    """A network namespace with a /run and an /etc/hosts of its own."""

    name: str
    work: Path
    hosts: str
    stack: ExitStack

    def __post_init__(self) -> None:
        names = self.work / f"{self.name}.hosts"
        names.write_text(f"127.0.0.1 localhost\n{self.hosts}")
        script = 'mount -t tmpfs none /run && mount --bind "$0" /etc/hosts && ip link set lo up && echo ready && exec cat'
        command = ["unshare", "--net", "--mount", "sh", "-c", script, str(names)]
        self.holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.stack.callback(self.holder.wait)
        self.stack.callback(self.holder.kill)
        assert self.holder.stdout is not None and self.holder.stdout.readline() == "ready\n", (
            "no network of its own could be made"
        )

    @property
    def pid(self) -> int:
        """A process that stands in it."""
        return self.holder.pid

    @property
    def inside(self) -> list[str]:
        return ["nsenter", "--target", str(self.pid), "--net", "--mount", "--"]

    @property
    def environment(self) -> dict[str, str]:
        home = self.work / f"{self.name}.home"
        home.mkdir(exist_ok=True)
        path = os.pathsep.join([str(Path(find_checker("wg-quick")).parent), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
        return {"PATH": path, "HOME": str(home), "XDG_DATA_HOME": str(home), "SSL_CERT_FILE": str(self.work / "world/root")}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [*self.inside, *command], env=self.environment, text=True, capture_output=True, timeout=60, check=False, cwd=ROOT
        )
        assert done.returncode == 0, f"{self.name}: {' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *command: str, **environment: str) -> "subprocess.Popen[bytes]":
        log = self.stack.enter_context((self.work / f"{self.name}.{Path(command[0]).name}.log").open("ab"))
        process = subprocess.Popen(
            [*self.inside, *command],
            env=self.environment | environment,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
        )
        self.stack.callback(stop, process)
        return process


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cable(one: Place, address: str, other: Place, other_address: str) -> None:
    """A wire between two places."""
    name, peer = f"to-{other.name}", f"to-{one.name}"
    one.run("ip", "link", "add", name, "type", "veth", "peer", "name", peer, "netns", str(other.pid))
    for place, link, own in ((one, name, address), (other, peer, other_address)):
        place.run("ip", "address", "add", f"{own}/24", "dev", link)
        place.run("ip", "link", "set", link, "up")


@dataclass
class Way:
    """The three places and what can be taken down in them."""

    outside: Place
    public: Place
    home: Place
    inner: Place
    work: Path
    kind: str
    keys: dict[str, Key]
    world: trustme.CA = field(default_factory=lambda: trustme.CA(key_type=trustme.KeyType.ECDSA))
    door: "subprocess.Popen[bytes]" = field(init=False)
    link: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def open_door(self) -> None:
        self.door = self.home.start(
            find_checker("caddy"), "run", "--adapter", "caddyfile", "--config", str(self.work / "home.Caddyfile")
        )

    def conf(self, peer: str | None = None) -> str:
        """Home's end, word for word, with keys made here."""
        text = str(ask('nixosConfigurations.gateway.config.sops.templates."wireproxy.conf".content'))
        text = re.sub(r"<SOPS:[0-9a-f]{64}:PLACEHOLDER>", self.keys["home"].private, text)
        return text.replace(published("public-gateway"), peer or self.keys["public"].public)

    def dial(self, peer: str | None = None) -> None:
        """Starts home's end of the tunnel."""
        text = self.conf(peer)
        file = self.work / "wireproxy.conf"
        file.write_text(text)
        if self.kind == "wireproxy":
            self.link.append(self.home.start(find_checker("wireproxy"), "--silent", "--config", str(file)))
            return
        link, address = "link0", assigned(text, "Address")
        file.write_text(
            re.sub(r"^(Address|DNS|CheckAlive\w*) = .*\n", "", text[: text.index("[TCPServerTunnel]")], flags=re.MULTILINE)
        )
        self.link.append(self.home.start(find_checker("wireguard-go"), "--foreground", link))
        eventually(lambda: self.home.run("wg", "setconf", link, str(file)), 10)
        # WireProxy's packets arrive in the program, beside home's own ports.
        self.home.run("ip", "link", "set", link, "netns", str(self.inner.pid))
        self.inner.run("ip", "address", "add", address, "dev", link)
        self.inner.run("ip", "link", "set", link, "mtu", "1420", "up")
        self.inner.run("ip", "route", "add", "10.99.0.1", "dev", link)
        pairs = [f"{port}={target}" for port, target in re.findall(r"ListenPort = (\d+)\nTarget = (\S+)\n", text)]
        home = str(self.home.pid)
        self.link.append(self.inner.start(sys.executable, "-c", FORWARD, address.split("/")[0], home, *pairs))

    def hang_up(self) -> None:
        while self.link:
            stop(self.link.pop())

    def get(self, path: str = "/", *options: str) -> Any:
        """What the service was asked, or the status where it was not; 0 where nobody answered."""
        curl = [
            "curl",
            "--silent",
            "--show-error",
            "--max-time",
            "5",
            "--cacert",
            str(self.work / "world/root"),
            "--write-out",
            "\n%{http_code}",
        ]
        command = [*self.outside.inside, *curl, *options, f"https://{NAME}{path}"]
        done = subprocess.run(command, env=self.outside.environment, text=True, capture_output=True, timeout=60, check=False)
        text, status = done.stdout.rsplit("\n", 1)
        return json.loads(text) if status == "200" else int(status)

    def wait(self, seconds: float = 60) -> Any:
        """The first answer of the service at home."""

        def answered() -> Any:
            found = self.get()
            assert isinstance(found, dict), found
            return found

        return eventually(answered, seconds)


def eventually(call: Callable[[], Found], seconds: float = 60) -> Found:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (AssertionError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def published(host: str) -> str:
    return (ROOT / f"nix/pki/{host}-wireguard.pub").read_text().strip()


def assigned(text: str, key: str) -> str:
    (found,) = re.findall(rf"^{key} = (\S+)$", text, re.MULTILINE)
    return str(found)


def authority(place: Place, folder: Path, address: str, name: str, root: trustme.CA | None = None) -> None:
    """A certificate authority that asks for proof by ACME; FOLDER/root is what those trust who trust it."""
    folder.mkdir(exist_ok=True)
    root = root or trustme.CA(key_type=trustme.KeyType.ECDSA)
    intermediate = root.create_child_ca(key_type=trustme.KeyType.ECDSA)
    config: dict[str, Any] = {"address": address, "dnsNames": [name]}
    for key, made in {"root": root.cert_pem, "crt": intermediate.cert_pem, "key": intermediate.private_key_pem}.items():
        made.write_to_path(str(folder / key))
        config[key] = str(folder / key)
    config |= {"db": {"type": "badgerv2", "dataSource": str(folder / "db")}}
    config |= {"authority": {"provisioners": [{"type": "ACME", "name": "acme"}]}}
    (folder / "ca.json").write_text(json.dumps(config))
    place.start(find_checker("step-ca"), str(folder / "ca.json"))
    url = f"https://{name}:{address.split(':')[1]}/health"
    eventually(lambda: place.run("curl", "-sf", "--cacert", str(folder / "root"), url))


def of_the_world(caddyfile: str, work: Path) -> str:
    """The same sites; the world's authority is the one made here."""
    return re.sub(
        r"^\{\n",
        f"{{\nacme_ca https://{AUTHORITY}/acme/acme/directory\nacme_ca_root {work}/world/root\n",
        caddyfile,
        count=1,
        flags=re.MULTILINE,
    )


def at_the_gate(way: Way, changed: Callable[[str], str] = str) -> None:
    """What the roles write; its sites go through CHANGED."""
    folder = way.work / "rendered"
    folder.mkdir()
    secrets = {"AETHER_SECRET_WIREGUARD_PRIVATE_KEY": way.keys["public"].private}
    conf = render(folder, "public-gateway", "wireguard_link", "wg.conf.j2", secrets)
    (way.work / f"{LINK}.conf").write_text(conf.replace(published("gateway"), way.keys["home"].public))
    (way.work / f"{LINK}.conf").chmod(0o600)
    caddyfile = changed(render(folder, "public-gateway", "caddy_edge", "Caddyfile.j2"))
    trusted = {"/etc/pki/tls/certs/ca-bundle.crt": "world/root", "/etc/caddy/home.crt": "own/root"}
    for path, root in trusted.items():
        assert path in caddyfile
        caddyfile = caddyfile.replace(path, str(way.work / root))
    (way.work / "public.Caddyfile").write_text(of_the_world(caddyfile, way.work))
    way.public.run("wg-quick", "up", str(way.work / f"{LINK}.conf"))
    way.public.stack.callback(way.public.run, "ip", "link", "delete", LINK)
    way.public.start(find_checker("caddy"), "run", "--adapter", "caddyfile", "--config", str(way.work / "public.Caddyfile"))
    sid = str(CACHE / "checkers/sid/run")
    # What the units of the role's relays start (tests/ansible/test_templates.py reads them).
    listen, proxy = f"--listen={PRIVATE}:{TELEMETRY}", "usr/lib/systemd/systemd-socket-proxyd"
    way.public.start(sid, "usr/bin/systemd-socket-activate", listen, sid, proxy, f"10.99.0.2:{TELEMETRY}")
