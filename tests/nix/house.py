"""Hosts as containers with a real systemd, on a network of their own: what a host is given is started by what starts it there.

A container is systemd-nspawn over Debian's programs (``nix/tools/get-checkers.sh --house``). Units are the host's own texts, with
their sandboxes, credentials and restarts; a path of the Nix store in them leads to Debian's program of that name, or to the text
that Nix would have written there. Nothing reaches the machine's own network. Needs root, for the namespaces.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from tests import nspawn
from tests.nspawn import Ground

from .conftest import host_report
from .workloads import derivations

BRIDGE = "house"
_STORE = re.compile(r"/nix/store/[0-9a-z]{32}-[\w.+~-]+(?:/[\w.+~@-]+)*")
_NAME = re.compile(r"/nix/store/[0-9a-z]{32}-([^/]+)")
_PLACEHOLDER = re.compile(r"<SOPS:([0-9a-f]{64}):PLACEHOLDER>")
_ACCOUNTS = {
    "root": 0,
    "messagebus": 101,
    "systemd-network": 102,
    "systemd-resolve": 103,
    "systemd-journal": 104,
    "nobody": 65534,
}


def secret(name: str) -> str:
    """What a secret of this name holds here: 32 letters, different for each name."""
    return of_hash(sha256(name.encode()).hexdigest())


def of_hash(digest: str) -> str:
    """What the secret behind a placeholder of sops-nix (the hash of its name) holds here."""
    return f"secret-{digest[:25]}"


def filled(text: str) -> str:
    """TEXT of a sops template, with its secrets."""
    return _PLACEHOLDER.sub(lambda found: of_hash(found[1]), text)


@dataclass
class House:
    """The network that containers stand in."""

    debian: Path
    """Root of Debian's programs; stays as it is."""
    work: Path
    containers: "list[Container]" = field(default_factory=list)

    def __enter__(self) -> "House":
        self.ground = Ground(BRIDGE).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for container in self.containers:
            container.stop()
        self.ground.__exit__()

    def container(self, name: str, address: str, names: Mapping[str, str]) -> "Container":
        """A host that is not started yet. NAMES are those that it can resolve: name to address."""
        made = Container(self, name, address, names)
        self.containers.append(made)
        return made


@dataclass
class Container:
    """One host. Everything is written before it starts."""

    house: House
    name: str
    address: str
    names: Mapping[str, str]
    texts: dict[str, str] = field(default_factory=dict)
    """Files of the store by name, instead of or beside those that Nix writes."""
    programs: dict[str, str] = field(default_factory=dict)
    """Packages of the store by the start of their name, and where they are; elsewhere it is /usr."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Values under /run/secrets that others have to agree with."""
    units: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    """More of systemd-nspawn's."""
    _process: "subprocess.Popen[bytes] | None" = None

    @cached_property
    def root(self) -> Path:
        """What this host has of its own, over Debian's root."""
        made = self.house.work / self.name / "own"
        made.mkdir(parents=True)
        return made

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file of the host, by its absolute PATH there."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        for found in set(_STORE.findall(text)):
            self._store(found)

    def unit(self, name: str, base: str | None = None, without: str = "") -> None:
        """Takes a unit of the host; where a package brings one, BASE is its text and the host's goes over it.

        WITHOUT is a piece of the text that Debian's program does not know.
        """
        text = host_report(self.name).value["units"][name]
        assert without in text
        text = text.replace(without, "")
        self.units[name] = f"{base or ''}\n{text}"
        if base:
            self.write(f"/etc/systemd/system/{name}", base)
            self.write(f"/etc/systemd/system/{name}.d/overrides.conf", text)
        else:
            self.write(f"/etc/systemd/system/{name}", text)
        for found in re.findall(r"/run/secrets/(\S+)", text):
            if not found.startswith("rendered/"):
                self.secrets.setdefault(found, secret(found))
        if "WantedBy=multi-user.target" in text:
            self.want(name)

    def want(self, name: str, target: str = "multi-user") -> None:
        """Starts a unit at boot, with TARGET."""
        wanted = self.root / f"etc/systemd/system/{target}.target.wants" / name
        wanted.parent.mkdir(parents=True, exist_ok=True)
        wanted.symlink_to(f"../{name}")

    def start(self) -> None:
        """Boots it; returns when its services begin to start."""
        self._accounts()
        self._network()
        for name, value in self.secrets.items():
            self.write(f"/secrets/{name}", value)
        (self.root / "secrets").mkdir(exist_ok=True)
        merged, scratch = self.house.work / self.name / "root", self.house.work / self.name / "scratch"
        for folder in (merged, scratch):
            folder.mkdir()
        self.house.ground.overlay(merged, [self.house.debian], self.root, scratch)
        log = self.house.work / self.name / "console.log"
        secrets = f"--bind-ro={self.root / 'secrets'}:/run/secrets"
        self._process = self.house.ground.start(
            self.house.debian.parent, merged, self.name, log, "--boot", secrets, *self.options
        )
        self.eventually(lambda: self.state("basic.target") == "active", "boots")

    def stop(self) -> None:
        """Shuts it down in order."""
        if self._process is None:
            return
        nspawn.end(self._process)
        self._process = None

    @property
    def leader(self) -> int:
        """Its first process, as the machine numbers it.

        Raises:
            LookupError: there is none (yet).
        """
        assert self._process is not None
        found = nspawn.leader(self._process.pid)
        if found is None:
            raise LookupError(f"{self.name} has no systemd: see {self.house.work / self.name / 'console.log'}")
        return found

    @property
    def inside(self) -> list[str]:
        """Command that runs the next one in the container."""
        return nspawn.entering(self.leader)

    def write_now(self, path: str, text: str) -> None:
        """A file of a container that runs."""
        self.run("tee", path, feed=text)

    def run(self, *command: str, check: bool = True, feed: str | None = None, seconds: float = 120) -> str:
        """Standard output of a command in the container; with CHECK it has to end well."""
        try:
            inside = self.inside
        except LookupError:
            if check:
                raise
            return ""
        done = subprocess.run(
            [*inside, "/usr/bin/env", "-i", "PATH=/usr/bin:/usr/sbin", "HOME=/root", *command],
            input=feed,
            text=True,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{self.name}: {' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def state(self, unit: str) -> str:
        """active, activating, failed, …"""
        return self.run("systemctl", "is-active", unit, check=False).strip()

    def log(self, unit: str) -> str:
        """The last lines that a unit wrote."""
        return self.run("journalctl", "--no-pager", "--output=cat", "--lines=60", f"--unit={unit}", check=False)

    def runs(self, unit: str, seconds: float = 120) -> None:
        """Waits for a unit to be active; one that systemd has given up is not waited for."""

        def active() -> bool:
            state = self.state(unit)
            assert state != "failed", f"{self.name}: {unit} failed\n{self.log(unit)}"
            return state == "active"

        self.eventually(active, f"runs {unit}", seconds, lambda: self.log(unit))

    def eventually(
        self, true: Callable[[], object], what: str, seconds: float = 60, why: Callable[[], str] | None = None
    ) -> None:
        """Waits for a condition; what does not come within SECONDS is a failure, told with WHY."""
        deadline = time.monotonic() + seconds
        while not true():
            assert self._process is None or self._process.poll() is None, f"{self.name} ended: {self._console()}"
            assert time.monotonic() < deadline, f"{self.name} never {what}\n{(why or self._console)()}"
            time.sleep(0.2)

    def _console(self) -> str:
        return (self.house.work / self.name / "console.log").read_text(errors="replace")[-3000:]

    def _store(self, path: str) -> None:
        """Puts the text that Nix would write at PATH, or a link to the program that Debian has."""
        found = _NAME.match(path)
        assert found
        whole, name = found[0], found[1]
        text = self.texts.get(name) or self._written.get(name)
        if text is not None:
            if not (self.root / path.lstrip("/")).exists():
                self.write(path, text, 0o755)
            return
        link = self.root / whole.lstrip("/")
        if not link.is_symlink() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(next((place for start, place in self.programs.items() if name.startswith(start)), "/usr"))

    @cached_property
    def _written(self) -> dict[str, str]:
        """Texts that Nix writes for the host, by their name in the store."""
        return {one["name"]: one["text"] for one in derivations(self.name) if "text" in one}

    def _accounts(self) -> None:
        """Every user and group that a unit names, as the host's system would have it."""
        named: dict[str, int] = dict(_ACCOUNTS)
        wanted = set(re.findall(r"^(?:User|Group|SupplementaryGroups)=(.+)$", "\n".join(self.units.values()), re.MULTILINE))
        dynamic = {
            user
            for text in self.units.values()
            if "DynamicUser=true" in text
            for user in re.findall(r"^(?:User|Group)=(.+)$", text, re.MULTILINE)
        }
        for number, name in enumerate(sorted({one for line in wanted for one in line.split()} - dynamic - set(named))):
            named[name] = 900 + number
        users = [f"{name}:x:{number}:{number}::/var/lib/{name}:/usr/bin/bash" for name, number in named.items()]
        self.write("/etc/passwd", "\n".join([users[0].replace("/var/lib/root", "/root"), *users[1:]]) + "\n")
        self.write("/etc/group", "".join(f"{name}:x:{number}:\n" for name, number in named.items()))
        self.write("/etc/nsswitch.conf", "passwd: files systemd\ngroup: files systemd\nhosts: files\n")

    def _network(self) -> None:
        self.write("/etc/hostname", f"{self.name}\n")
        self.write("/etc/machine-id", sha256(self.name.encode()).hexdigest()[:32] + "\n")
        lines = [
            "127.0.0.1 localhost",
            f"{self.address} {self.name}",
            *(f"{address} {name}" for name, address in self.names.items()),
        ]
        self.write("/etc/hosts", "\n".join(lines) + "\n")
        self.write(
            "/etc/systemd/system/house-network.service",
            "[Unit]\nDefaultDependencies=no\nBefore=network.target network-online.target\nWants=network.target\n"
            "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
            "ExecStart=/usr/sbin/ip link set host0 up\n"
            f"ExecStart=/usr/sbin/ip address add {self.address}/24 dev host0\n",
        )
        self.want("house-network.service", "sysinit")
        # Of Debian's root: nobody logs in, and its own services are not the host's.
        for name in _UNWANTED:
            (self.root / "etc/systemd/system" / name).symlink_to("/dev/null")


_UNWANTED: Iterable[str] = (
    "systemd-logind.service",
    "console-getty.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-resolved.service",
    "systemd-firstboot.service",
    "systemd-userdbd.service",
    "systemd-userdbd.socket",
    "ldconfig.service",
    "dev-hugepages.mount",
    "sys-fs-fuse-connections.mount",
)


def may() -> str | None:
    """Why no house can be made here; None where one can."""
    if os.geteuid() != 0:
        return "containers need root"
    return None
