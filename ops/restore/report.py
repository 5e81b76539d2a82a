"""What a restore test found, for people."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ops.restore.checks import Found
from ops.restore.node import Backup
from ops.status.facts import ago


@dataclass
class Report:
    """Of one host. Times are seconds since 1970, or seconds that something took."""

    host: str
    at: int
    backup: Backup | None = None
    copy: int = 0
    took: float = 0.0
    found: Found | None = None
    restic: str = ""
    """What restic's repository was found to be; empty where the host has none, or it was not looked at."""
    trouble: list[str] = field(default_factory=list)
    """Why the test failed, beside checks that do not hold."""

    @property
    def good(self) -> bool:
        tested = self.found is not None or self.restic
        return bool(tested) and not self.trouble and (self.found is None or self.found.good)

    def lines(self) -> list[str]:
        """The report, a fact a line."""
        rows: list[tuple[str, str]] = []
        if self.backup:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.backup.made))
            made = f"made {when} ({ago(self.backup.made, self.at)}), {size(self.backup.size)}"
            rows.append(("backup", f"{self.backup.volid} on {self.backup.node}, {made}"))
        if self.took:
            rows.append(("copy", f"guest {self.copy}, restored in {self.took:.0f} s, on a bridge that leads nowhere"))
        if self.found is not None:
            rows += _of_checks(self.found)
        if self.restic:
            rows.append(("restic", self.restic))
        rows += [("failed", each) for each in self.trouble]
        shown = [f"  {name:9} {text}" for name, text in rows]
        return [*shown, f"{self.host}: {'restored, and good' if self.good else 'NOT GOOD'}"]


def _of_checks(found: Found) -> list[tuple[str, str]]:
    if not found.answers:
        return [("failed", "the copy does not answer: it did not boot, or its guest agent does not run")]
    rows = [("system", f"{found.system or '?'}, generation {found.generation or '?'}")]
    rows.append(
        ("holds", ", ".join(found.held) or "nothing was asked but that it boots: the inventory has no health check for it")
    )
    rows += [("left out", f"{name}: {why}, and the copy has no network") for name, why in found.left_out.items()]
    rows += [("failed", f"{name} does not hold") for name in found.failed]
    return rows + ([("units", f"{', '.join(found.units)} failed in the copy")] if found.units else [])


def size(count: int) -> str:
    """COUNT bytes in words."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def summary(reports: Mapping[str, Report]) -> str:
    """One line about all."""
    bad = [name for name, report in reports.items() if not report.good]
    rest = f"; not good: {', '.join(bad)}" if bad else ""
    return f"{len(reports) - len(bad)} of {len(reports)} restored, and good{rest}"
