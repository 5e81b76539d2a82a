"""Read an inventory file, report every error at once."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from inventory.models import (
    Guest,
    Host,
    InventoryFile,
    ManagedHost,
    Network,
    Node,
    Rollout,
    Service,
    Site,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it stands and the line to write."""

    file: str
    where: str
    field: str
    message: str
    fix: str

    def __str__(self) -> str:
        place = f"{self.where}.{self.field}" if self.field else self.where
        return f"{self.file}: {place}: {self.message}. Fix: {self.fix}"


class InventoryError(Exception):
    """The inventory cannot be used; ``problems`` holds every reason."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


@dataclass(frozen=True)
class Inventory:
    """A checked inventory file."""

    path: Path
    content: InventoryFile

    @property
    def site(self) -> Site:
        return self.content.site

    @property
    def networks(self) -> dict[str, Network]:
        return self.content.networks

    @property
    def nodes(self) -> dict[str, Node]:
        return self.content.nodes

    @property
    def hosts(self) -> dict[str, Host]:
        return self.content.hosts

    @property
    def services(self) -> dict[str, Service]:
        return self.content.services

    @property
    def rollout(self) -> Rollout:
        return self.content.rollout

    def fqdn(self, host: str) -> str:
        """HOST.DOMAIN of the site."""
        return f"{host}.{self.site.domain}"

    def of(self, kind: type[T], phase: int | None = None) -> dict[str, T]:
        """Hosts whose model is KIND, up to PHASE when given, in dependency order."""
        return {
            name: host
            for name in self.order()
            if isinstance(host := self.hosts[name], kind) and (phase is None or self.hosts[name].phase <= phase)
        }

    def guests(self, phase: int | None = None) -> dict[str, Guest]:
        """NixOS guests of the Proxmox nodes, in dependency order."""
        return self.of(Guest, phase)  # type: ignore[type-abstract]

    def managed(self, phase: int | None = None) -> dict[str, ManagedHost]:
        """Hosts that Aether logs in to, in dependency order."""
        return self.of(ManagedHost, phase)

    def order(self) -> list[str]:
        """Host names so that each comes after those it depends on; file order otherwise."""
        done: dict[str, None] = {}

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in done or name in path or name not in self.hosts:
                return
            for dependency in self.hosts[name].depends_on:
                visit(dependency, (*path, name))
            done[name] = None

        for name in self.hosts:
            visit(name, ())
        return list(done)


def load(path: Path | str) -> Inventory:
    """Read and check an inventory file.

    Raises:
        InventoryError: with every problem found, each naming file, host, field and the line to write.
    """
    from inventory.checks import check

    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise InventoryError(
            [Problem(str(path), "file", "", "does not exist", "name an inventory file, like inventory/homelab.toml")]
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InventoryError([Problem(str(path), "file", "", f"is not TOML: {error}", "correct that line")]) from None
    try:
        # Through JSON: strict models take TOML's arrays as tuples that way.
        content = InventoryFile.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        raise InventoryError([_problem(path, detail) for detail in error.errors()]) from None
    inventory = Inventory(path, content)
    if problems := check(inventory):
        raise InventoryError(problems)
    return inventory


def _problem(path: Path, detail: object) -> Problem:
    error = dict(detail)  # type: ignore[call-overload]
    where = [str(part) for part in error["loc"]]
    return Problem(str(path), ".".join(where[:2]), ".".join(where[2:]), str(error["msg"]), "see inventory/models.py")
