"""What a change of a field does, and who reads it: said once, beside the field, in its annotation.

``memory: Annotated[Mebibytes, ByKind(vm=AtGuest.PENDING, lxc=AtGuest.UPDATE), ReadBy.NOBODY]``. Tables, documents and what a
host's sources leave out are made of these marks (effects.py, cloud_effects.py, readers.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel


class AtGuest(StrEnum):
    """What happens to the guest. Only a reboot interrupts it; nothing but `REPLACE` can lose its data."""

    NOTHING = "nothing: the system's deployment, or nobody, uses it"
    UPDATE = "changed in place, at once"
    PENDING = "changed in place, effective after `./aether reboot HOST`"
    MIGRATE = "migrated, running, with its local disks"
    MOVE = "stays, with a warning; `./aether move HOST` migrates it (a restart)"
    REFUSED = "refused before anything runs"
    REPLACE = "refused; with `replace = true` destroyed and created again"
    RENAME = "the guest is renamed in place"
    WORD = "says what a change may do; changes nothing by itself"


class AtAws(StrEnum):
    """What happens. Only `REPLACE`, `REPLACE_ARM` and `MOVE` end a machine; only `LOST` and `MOVE` end its data."""

    NOTHING = "nothing at AWS: its system or playbook is deployed again, or nobody uses it"
    UPDATE = "changed in place"
    REPLACE = "another machine, configured again; Elastic IP and data disk stay"
    REPLACE_ARM = "stopped, changed, started; of another architecture: another machine"
    MOVE = "all machines replaced; refused under `aether:protect`"
    LOST = "removed: destroyed after a last snapshot; refused under `aether:protect`"
    REFUSED = "refused by AWS: a volume only grows"
    ZONE = "the names move to another zone; one made here is destroyed: refused under `aether:protect`"
    ADDRESS = "another public address: refused under `aether:protect`"
    WORD = "says something of another field; changes nothing by itself"


@dataclass(frozen=True)
class ByKind:
    """What happens to a virtual machine and to a container, where these differ; None: the kind has no such field."""

    vm: AtGuest | None = None
    lxc: AtGuest | None = None


@dataclass(frozen=True)
class When:
    """What happens where a field changes in a certain way, beside what happens of itself."""

    change: str
    effect: AtGuest | ByKind | AtAws


DEPLOYMENT: Final = "how the host is deployed and checked: never reaches what it runs on"


class ReadBy(StrEnum):
    """Who may read a field of a host, beside what makes and deploys that host. `ALL` where nothing is said of it."""

    ALL = "systems of all hosts, and playbooks"
    SYSTEMS = "systems of all hosts"
    PLAYBOOKS = "playbooks"
    NOBODY = "provisioning, deployment and their order alone"


def marks(model: type[BaseModel], field: str) -> Iterator[tuple[str, Any]]:
    """What is said beside a FIELD, each with when it holds: the field's name, or a case of it."""
    for mark in model.model_fields[field].metadata:
        if isinstance(mark, When):
            yield mark.change, mark.effect
        elif isinstance(mark, AtGuest | ByKind | AtAws | ReadBy) or mark == DEPLOYMENT:
            yield field, mark


def fields(model: type[BaseModel], mark: object) -> frozenset[str]:
    """Names of the fields that have this MARK."""
    return frozenset(field for field in model.model_fields for _, said in marks(model, field) if said == mark)


def at_guest(model: type[BaseModel]) -> dict[str, tuple[AtGuest | None, AtGuest | None]]:
    """When, and what then happens to a virtual machine and to a container."""
    said = ((when, mark) for field in model.model_fields for when, mark in marks(model, field))
    kinds = ((when, ByKind(mark, mark) if isinstance(mark, AtGuest) else mark) for when, mark in said)
    return {when: (mark.vm, mark.lxc) for when, mark in kinds if isinstance(mark, ByKind)}


def at_aws(model: type[BaseModel]) -> dict[str, AtAws]:
    """When, and what then happens at AWS."""
    return {when: mark for field in model.model_fields for when, mark in marks(model, field) if isinstance(mark, AtAws)}
