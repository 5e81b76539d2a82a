"""Policies: rules with names that a preview holds the inventory, the stack's settings and its resources against.

The rules of Aether are in ``builtin.py``; an owner's own are files of ``policies/`` in the repository (docs/policies.md)::

    from inventory.policies import Finding, Subject, policy

    @policy("names-have-a-place", "advisory", "Hosts are named after the node that they are on")
    def names_have_a_place(subject: Subject) -> Iterator[Finding]:
        for name, host in subject.inventory.guests().items():
            if not name.startswith(host.node):
                yield Finding(name, f"is on {host.node}", f"rename it to {host.node}-{name}")
"""

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from inventory.load import Inventory
from inventory.models import PolicyFacts
from inventory.problems import Lines, did_you_mean

__all__ = ["Finding", "Level", "Policy", "PolicyError", "Resource", "Subject", "Verdict", "load_policies", "policy"]

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


_declared: list[Policy] = []


def policy(
    name: str, level: Level, text: str, *, resources: bool = False
) -> Callable[[Callable[[Any], Iterable[Finding]]], Callable[[Any], Iterable[Finding]]]:
    """Declare the function below as policy NAME, which says TEXT. With RESOURCES it is given each resource, else the subject."""

    def declare(function: Callable[[Any], Iterable[Finding]]) -> Callable[[Any], Iterable[Finding]]:
        if any(known.name == name for known in _declared):
            raise PolicyError(f"policy {name} is declared twice. Fix: give one of them another name")
        _declared.append(Policy(name, level, text, **{"resource" if resources else "check": function}))
        return function

    return declare


def load_policies(repository: Path) -> list[Policy]:
    """Aether's own policies, then those of REPOSITORY's ``policies/``, in the order of their files.

    Raises:
        PolicyError: a file cannot be read as Python, or declares a name that another one has.
    """
    from inventory.policies import builtin

    _declared[:] = builtin.POLICIES
    for path in sorted((repository / "policies").glob("*.py")):
        specification = importlib.util.spec_from_file_location(f"_aether_policy_{path.stem}", path)
        assert specification is not None and specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        sys.modules[specification.name] = module
        try:
            specification.loader.exec_module(module)
        except PolicyError as error:
            raise PolicyError(f"{path.relative_to(repository)}: {error}") from None
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise PolicyError(f"{path.relative_to(repository)}: {what}. Fix: correct it, or remove the file") from None
    return list(_declared)


class Judge:
    """The POLICIES, as the inventory wants them: other levels, exceptions with a reason."""

    def __init__(self, policies: Iterable[Policy], inventory: Inventory) -> None:
        self.policies = list(policies)
        self.inventory = inventory
        self._said: Mapping[str, PolicyFacts] = inventory.content.policies
        self._used: set[tuple[str, str]] = set()
        self._lines: Lines | None = None
        known = [policy.name for policy in self.policies]
        for name in self._said:
            if name not in known:
                line = self._at(f"policies.{name}", "")
                raise PolicyError(
                    f"{inventory.path}:{line}: policies.{name}: is no policy{did_you_mean(name, known)} "
                    f"Fix: write one of {', '.join(known)}, or remove the table"
                )

    def subject(self, subject: Subject) -> Iterator[Verdict]:
        """What SUBJECT breaks."""
        for policy in self.policies:
            if policy.check:
                yield from (self._verdict(policy, finding) for finding in policy.check(subject))

    def resource(self, resource: Resource) -> Iterator[Verdict]:
        """What RESOURCE breaks."""
        for policy in self.policies:
            if policy.resource:
                yield from (self._verdict(policy, finding) for finding in policy.resource(resource))

    def level(self, policy: Policy) -> Level:
        """What breaking POLICY means here."""
        said = self._said.get(policy.name)
        return said.level if said and said.level else policy.level

    def unused(self) -> list[str]:
        """Exceptions that nothing needed, of policies that see the inventory: they hide what may come."""
        if self.inventory.base:
            # They are the base's, which may have more hosts.
            return []
        checked = {policy.name for policy in self.policies if policy.check}
        return [
            f"{self.inventory.path}:{self._at(f'policies.{name}', 'exceptions')}: policies.{name}.exceptions: "
            f"'{about}' breaks nothing. Fix: remove it"
            for name, facts in self._said.items()
            for about in facts.exceptions
            if name in checked and (name, about) not in self._used
        ]

    def _verdict(self, policy: Policy, finding: Finding) -> Verdict:
        said = self._said.get(policy.name)
        exceptions = said.exceptions if said else {}
        host = self.inventory.hosts.get(finding.about)
        # An environment's host is let pass where the base's, whose sources it has, is.
        names = [name for name in (finding.about, host.stands_for if host else None) if name in exceptions]
        reason = exceptions[names[0]] if names else ""
        self._used |= {(policy.name, name) for name in names}
        line = self._at(f"{finding.table}.{finding.about}", finding.field) if finding.table and not reason else 0
        return Verdict(policy.name, self.level(policy), finding, str(self.inventory.path), line, reason)

    def _at(self, where: str, field: str) -> int:
        if self._lines is None:
            self._lines = Lines(self.inventory.path.read_text())
        return self._lines.find(where, field)
