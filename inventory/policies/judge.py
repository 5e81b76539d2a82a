"""Holds the inventory and the resources of a stack against policies."""

from collections.abc import Iterable, Iterator, Mapping

from inventory.load import Inventory
from inventory.models import PolicyFacts
from inventory.policies.policy import Finding, Level, Policy, PolicyError, Resource, Subject, Verdict
from inventory.problems import Lines, did_you_mean


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
