"""Where the simulator keeps its state."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

# The packages of this checkout, by which the simulator starts itself again; and the checkout, whose inventory it stands for.
SOURCES = Path(__file__).resolve().parents[1]
REPO = SOURCES.parents[2]
# Stacks that stand in one datacentre: starting it for the one gives the others their files, too.
TOGETHER = tuple(sorted(path.stem.removeprefix("Pulumi.") for path in REPO.glob("Pulumi.sim*.yaml")))


@dataclass(frozen=True)
class SimPaths:
    """The files of one simulator; `state` is `.aether/sim` of the checkout unless AETHER_SIM_DIR says otherwise."""

    state: Path
    repo: Path = REPO

    @classmethod
    def of_checkout(cls, repo: Path = REPO) -> SimPaths:
        """The simulator of this checkout."""
        override = os.environ.get("AETHER_SIM_DIR")
        return cls(Path(override) if override else repo / ".aether" / "sim", repo)

    @property
    def control(self) -> Path:
        """The unix socket of the supervisor."""
        return self.state / "control.sock"

    @property
    def pid(self) -> Path:
        """Process id and start time of the supervisor, as JSON."""
        return self.state / "supervisor.json"

    @property
    def log(self) -> Path:
        """What the supervisor writes."""
        return self.state / "supervisor.log"

    @property
    def lock(self) -> Path:
        """Held by the running supervisor: one a state directory."""
        return self.state / "supervisor.lock"

    @property
    def hosts(self) -> Path:
        """One directory a host: its overlay's upper layers."""
        return self.state / "hosts"

    @property
    def base(self) -> Path:
        """The lower layers: one root a flavour."""
        return self.state / "base"

    @property
    def keys(self) -> Path:
        """Operator key, age key, API certificate."""
        return self.state / "keys"

    @property
    def secrets(self) -> Path:
        """sops files with the layout of the real `secrets/`."""
        return self.state / "secrets"

    @property
    def pve(self) -> Path:
        """State of the Proxmox API: one file a guest."""
        return self.state / "pve"

    @property
    def stack(self) -> Path:
        """The stack configuration that `pulumi --config-file` takes."""
        return self.state / "Pulumi.sim.yaml"

    @property
    def engine_bin(self) -> Path:
        """Where the engine's build put sops and age."""
        return self.repo / ".aether" / "engine" / "bin"


def bind_unix(path: Path, backlog: int = 64) -> socket.socket:
    """Listen on a unix socket whose path may be longer than the 108 bytes that bind takes."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        sock.bind(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
    sock.listen(backlog)
    return sock


def connect_unix(path: Path, timeout: float | None = None) -> socket.socket:
    """Connect to a socket made by `bind_unix`. Raises OSError when nothing answers."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        sock.connect(f"/proc/self/fd/{directory}/{path.name}")
    except OSError:
        sock.close()
        raise
    finally:
        os.close(directory)
    return sock


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(descriptor, data) if len(data) < 65536 else _write_all(descriptor, data)
    finally:
        os.close(descriptor)
    part.replace(path)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot (field 22 of /proc/PID/stat): tells a reused pid.

    0 where there is none, or only what an ended one leaves until its parent asks.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])
