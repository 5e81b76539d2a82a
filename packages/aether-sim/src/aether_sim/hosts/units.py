"""systemd unit files of a host: where they are found and what the service manager reads in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from aether_sim.hosts.inroot import HostRoot

SEARCH = (
    "/etc/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
SUFFIXES = (".service", ".timer", ".socket", ".target", ".mount", ".path", ".slice")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_SECONDS = {
    "": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 0.001, "msec": 0.001, "us": 1e-6,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0,
    "hours": 3600.0, "d": 86400.0, "day": 86400.0, "days": 86400.0, "w": 604800.0, "week": 604800.0,
}  # fmt: skip


@dataclass(frozen=True)
class Listen:
    """A port that the unit's service listens on: plain TCP, or HTTP with a status."""

    port: int
    protocol: str = "tcp"
    status: int = 200


@dataclass(frozen=True)
class UnitFile:
    """A parsed unit file; `sections` keeps every assignment in order."""

    name: str
    path: str
    sections: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def values(self, section: str, key: str) -> list[str]:
        """All assignments of a key; an empty one clears those before it."""
        out: list[str] = []
        for name, value in self.sections.get(section, []):
            if name == key:
                out = [*out, value] if value else []
        return out

    def value(self, section: str, key: str, default: str = "") -> str:
        """The last assignment of a key."""
        found = self.values(section, key)
        return found[-1] if found else default

    @property
    def listens(self) -> tuple[Listen, ...]:
        """`Listen=PORT[/PROTOCOL[/STATUS]]` of the section that only the simulator reads."""
        out = []
        for text in self.values("X-Simulator", "Listen"):
            port, protocol, status, *_ = [*text.split("/"), "", ""]
            out.append(Listen(int(port), protocol or "tcp", int(status or 200)))
        return tuple(out)

    @property
    def simulated(self) -> bool:
        """Whether the service exists in the simulator alone: no program is run for it."""
        return bool(self.listens) or self.value("X-Simulator", "Simulate") == "yes"


def parse(name: str, path: str, text: str) -> UnitFile:
    """Read a unit file as systemd.syntax(7) says: sections, comments, lines continued by a backslash."""
    sections: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip()  # noqa: PLW2901 - the loop reads a cleaned line
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif "=" in line:
            key, _, value = line.partition("=")
            current.append((key.strip(), value.strip()))
    return UnitFile(name, path, sections)


def with_suffix(name: str) -> str:
    """`caddy` means `caddy.service`."""
    return name if name.endswith(SUFFIXES) else f"{name}.service"


def find(root: HostRoot, name: str) -> UnitFile | None:
    """The unit file that wins, with its drop-ins; templates serve their instances."""
    candidates = [name]
    if "@" in name and not name.split("@", 1)[1].startswith("."):
        stem, _, suffix = name.rpartition(".")
        candidates.append(f"{stem.split('@', 1)[0]}@.{suffix}")
    for candidate in candidates:
        for directory in SEARCH:
            path = f"{directory}/{candidate}"
            if root.readlink(path) == "/dev/null":
                return UnitFile(name, path, {"masked": []})
            text = root.read_text(path, "")
            if text:
                return parse(name, path, text + _drop_ins(root, candidate))
    return _alias(root, name)


def _drop_ins(root: HostRoot, name: str) -> str:
    texts = []
    for directory in SEARCH:
        for file in root.listdir(f"{directory}/{name}.d"):
            if file.endswith(".conf"):
                texts.append("\n" + root.read_text(f"{directory}/{name}.d/{file}", ""))
    return "".join(texts)


def _alias(root: HostRoot, name: str) -> UnitFile | None:
    """`sshd.service` of Debian is an alias that the file of ssh.service declares."""
    known = {"sshd.service": "ssh.service", "ssh.service": "sshd.service", "crond.service": "cron.service"}
    other = known.get(name)
    if other is None:
        return None
    for directory in SEARCH:
        text = root.read_text(f"{directory}/{other}", "")
        if text:
            found = parse(other, f"{directory}/{other}", text)
            return found if name in found.value("Install", "Alias").split() else None
    return None


def list_files(root: HostRoot) -> list[str]:
    """Names of every unit that has a file."""
    names: set[str] = set()
    for directory in SEARCH:
        names.update(name for name in root.listdir(directory) if name.endswith(SUFFIXES))
    return sorted(names)


def wanted_by(root: HostRoot, targets: tuple[str, ...] = ("multi-user", "timers", "sockets", "default")) -> list[str]:
    """Units that an enabled link makes start at boot."""
    names: dict[str, None] = {}
    for directory in SEARCH:
        for target in targets:
            for kind in ("wants", "requires"):
                names.update(dict.fromkeys(root.listdir(f"{directory}/{target}.target.{kind}")))
    return list(names)


def seconds(text: str) -> float | None:
    """A time span of systemd.time(7) in seconds; None when it is not one."""
    text = text.strip()
    if not text or _SPAN.sub("", text).strip():
        return None
    total = 0.0
    for number, unit in _SPAN.findall(text):
        if unit not in _SECONDS:
            return None
        total += float(number) * _SECONDS[unit]
    return total


def command_line(value: str) -> list[str]:
    """An ExecStart= value as words, without its prefixes (- @ + !)."""
    return shlex.split(value.lstrip("-@+!:"))
