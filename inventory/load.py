"""Read an inventory file, report every error at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from inventory.checks import check
from inventory.models import (
    Cloud,
    Guest,
    Host,
    ImageBuild,
    InventoryFile,
    ManagedHost,
    Network,
    Node,
    Rollout,
    Service,
    Site,
)
from inventory.overlay import overlays
from inventory.parse import Draft, parse
from inventory.problems import InventoryError, Problem
from inventory.proxmox import Backup

__all__ = ["Inventory", "InventoryError", "Problem", "all_files", "load", "load_all", "production"]

T = TypeVar("T")
FILES = ("inventory/homelab.toml", "inventory/cloud.toml")
"""What stands in production. An environment beside it is an overlay (overlay.py)."""


def production() -> tuple[str, ...]:
    """Those of FILES that are there; the first also where none is, so that its absence is told. A fleet may have no cloud."""
    return tuple(file for file in FILES if Path(file).exists()) or FILES[:1]


def all_files() -> tuple[str, ...]:
    """Production and every environment that is laid over it."""
    return (*production(), *(str(path) for path in overlays(Path("inventory"))))


@dataclass(frozen=True)
class Inventory:
    """A checked inventory file."""

    path: Path
    content: InventoryFile
    base: Path | None = None
    """The file that PATH is an overlay of: an environment beside that one."""

    @property
    def environment(self) -> str:
        """Name of the environment where it is not the base's own; empty there."""
        return self.site.name if self.base else ""

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

    @property
    def cloud(self) -> Cloud | None:
        return self.content.cloud

    @property
    def image(self) -> ImageBuild | None:
        return self.content.image

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
        return self.of(Guest, phase)

    def backed_up(self, job: Backup | None = None) -> tuple[str, ...]:
        """Guests that JOB makes backups of; that any job does, without one."""
        if job is not None:
            return job.hosts or tuple(name for name, guest in self.guests().items() if not guest.disposable)
        return tuple(dict.fromkeys(name for each in self.content.backups.values() for name in self.backed_up(each)))

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


def load(path: Path | str, secrets: Path | str | None = None) -> Inventory:
    """Read and check an inventory file.

    Args:
        path: the TOML file.
        secrets: directory of the sops files; ``secrets/`` of the repository that holds PATH when left out.

    Raises:
        InventoryError: with every problem found, each naming file, host, field and the line to write.
    """
    return load_all([path], secrets)[0]


def load_all(paths: Sequence[Path | str], secrets: Path | str | None = None) -> list[Inventory]:
    """Read and check inventory files, also against each other (names, addresses, networks, keys).

    Raises:
        InventoryError: with every problem of all files.
    """
    drafts = [parse(Path(path)) for path in paths]
    # An environment is on the same cluster and in the same networks as its base: what is taken there is taken here.
    bases = {draft.base.resolve(): draft.base for draft in drafts if draft.base and draft.base.is_file()}
    for path in paths:
        bases.pop(Path(path).resolve(), None)
    all_drafts = [*(parse(base) for base in bases.values()), *drafts]
    check(all_drafts, Path(secrets) if secrets is not None else None)
    problems = [problem for draft in all_drafts for problem in draft.problems]
    if problems:
        raise InventoryError(sorted(problems, key=lambda problem: (problem.file, problem.line)))
    return [finish(draft) for draft in drafts]


def finish(draft: Draft) -> Inventory:
    """The inventory of a draft without problems."""
    assert draft.site is not None, "a file without [site] has a problem"
    content = InventoryFile(
        site=draft.site,
        networks=draft.networks,
        nodes=draft.nodes,
        hosts=draft.hosts,
        services=draft.services,
        rollout=draft.rollout,
        zones=draft.zones,
        backups=draft.backups,
        availability=draft.availability,
        builders=draft.builders,
        cache=draft.cache,
        policies=draft.policies,
        deployers=draft.deployers,
        cloud=draft.cloud,
        image=draft.image,
    )
    return Inventory(Path(draft.file), content, draft.base)
