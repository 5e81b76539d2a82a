"""What a policy is, what it judges, and how one is declared."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from inventory.load import Inventory

Level = Literal["mandatory", "advisory"]


class PolicyError(Exception):
    """The policies themselves cannot be used; the message says which file, and what to do."""


@dataclass(frozen=True)
class Subject:
    """What a policy judges before any resource is registered."""

    inventory: Inventory
    repository: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The stack's settings by their names in stacks/settings.py; empty where only the inventory is looked at."""

    @property
    def simulated(self) -> bool:
        """The hosts are the simulator's: nothing that they hold is worth protecting."""
        return bool(self.settings.get("endpoints_file"))


@dataclass(frozen=True)
class Resource:
    """A resource as it is registered: what is known of it in a preview."""

    type: str
    name: str
    properties: Mapping[str, Any]
    """Names in snake case; what is not known yet is None."""
    protect: bool = False


@dataclass(frozen=True)
class Finding:
    """Something that breaks a policy."""

    about: str
    """Host, service or resource: what an exception names."""
    message: str
    fix: str
    table: str = "hosts"
    """Table of the inventory that it stands in; empty: none."""
    field: str = ""


@dataclass(frozen=True)
class Policy:
    """A rule with a name. ``check`` sees the inventory and the settings, ``resource`` each resource; one of them is None."""

    name: str
    level: Level
    text: str
    check: Callable[[Subject], Iterable[Finding]] | None = None
    resource: Callable[[Resource], Iterable[Finding]] | None = None


@dataclass(frozen=True)
class Verdict:
    """A finding, and what it means here."""

    policy: str
    level: Level
    finding: Finding
    file: str
    line: int = 0
    reason: str = ""
    """Why it is let pass: the exception's. Empty: it is not."""

    def __str__(self) -> str:
        finding = self.finding
        place = ".".join(part for part in (finding.table, finding.about, finding.field) if part)
        file = f"{self.file}:{self.line}" if self.line else self.file
        end = "" if finding.message.endswith("?") else "."
        return f"{file}: {place}: {finding.message}{end} Fix: {finding.fix} ({self.level} policy {self.policy})"


declared: list[Policy] = []


def policy(
    name: str, level: Level, text: str, *, resources: bool = False
) -> Callable[[Callable[[Any], Iterable[Finding]]], Callable[[Any], Iterable[Finding]]]:
    """Declare the function below as policy NAME, which says TEXT. With RESOURCES it is given each resource, else the subject."""

    def declare(function: Callable[[Any], Iterable[Finding]]) -> Callable[[Any], Iterable[Finding]]:
        if any(known.name == name for known in declared):
            raise PolicyError(f"policy {name} is declared twice. Fix: give one of them another name")
        declared.append(Policy(name, level, text, **{"resource" if resources else "check": function}))
        return function

    return declare
