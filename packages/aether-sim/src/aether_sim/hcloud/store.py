"""What the simulated project holds, in one JSON file, and the forms in which the API shows it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aether_sim.paths import write_atomic

Thing = dict[str, Any]
KINDS = ("servers", "ssh_keys", "firewalls", "primary_ips", "volumes", "images", "actions")
# name: cores, GB of memory, GB of disk, architecture
TYPES = {"cx23": (2, 4, 40, "x86"), "cax11": (2, 4, 40, "arm"), "cax21": (4, 8, 80, "arm"), "cpx22": (2, 4, 80, "x86")}
LOCATIONS = {"fsn1": ("Falkenstein", "DE"), "nbg1": ("Nuremberg", "DE"), "hel1": ("Helsinki", "FI")}
_MONTH = [
    {"location": name, "price_hourly": _p, "price_monthly": _p} for name in LOCATIONS for _p in ({"net": "4", "gross": "5"},)
]


class Store:
    """Things of each kind by id. Ids are never used twice."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "hcloud.json"
        document: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.next: int = document.get("next", 1000)
        self.things: dict[str, dict[int, Thing]] = {
            kind: {int(number): thing for number, thing in document.get(kind, {}).items()} for kind in KINDS
        }

    def save(self) -> None:
        """Write the file."""
        document = {"next": self.next, **self.things}
        write_atomic(self.path, json.dumps(document, indent=1).encode())

    def add(self, kind: str, **facts: Any) -> Thing:
        """A new thing with an id and the time that it was made."""
        self.next += 1
        thing = {"id": self.next, "created": now(), "labels": {}, **facts}
        self.things[kind][self.next] = thing
        return thing

    def find(self, kind: str, number: str) -> Thing | None:
        """The thing of that id."""
        return self.things[kind].get(int(number)) if number.isdigit() else None

    def named(self, kind: str, name: str) -> list[Thing]:
        """Things of that name: one at most, but for images."""
        return [thing for thing in self.things[kind].values() if thing.get("name") == name]


def now() -> str:
    """Time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def server_type(name: str) -> Thing:
    """A size of servers."""
    cores, memory, disk, architecture = TYPES[name]
    return {
        "id": list(TYPES).index(name) + 1, "name": name, "description": name.upper(), "cores": cores, "memory": memory,
        "disk": disk, "deprecated": False, "deprecation": None, "prices": _MONTH, "storage_type": "local",
        "cpu_type": "shared", "category": "shared", "architecture": architecture,
        "locations": [{"id": number + 1, "name": place, "deprecation": None} for number, place in enumerate(LOCATIONS)],
    }  # fmt: skip


def location(name: str) -> Thing:
    """A place."""
    city, country = LOCATIONS[name]
    return {
        "id": list(LOCATIONS).index(name) + 1, "name": name, "description": city, "country": country, "city": city,
        "latitude": 50.0, "longitude": 11.0, "network_zone": "eu-central",
    }  # fmt: skip


def datacenter(name: str) -> Thing:
    """The one building of a place."""
    types = [index + 1 for index in range(len(TYPES))]
    return {
        "id": list(LOCATIONS).index(name) + 1, "name": f"{name}-dc1", "description": name, "location": location(name),
        "server_types": {"supported": types, "available": types, "available_for_migration": types},
    }  # fmt: skip
