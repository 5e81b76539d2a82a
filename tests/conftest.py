"""What all kinds of tests share: reasons of skipped tests are told once each, with how many they skipped."""

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"skipped {count}: {reason}")


# Before pytest-xdist looks for the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests into groups that one process runs each, the longest first."""
    items.sort(key=lambda item: _FIRST.index(_group(item)) if _group(item) in _FIRST else len(_FIRST))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


# What takes minutes, in this order.
_FIRST = ("lab", "tests/system/test_cloud.py", "tests/system/test_migration.py", "tests/nix")


def _group(item: pytest.Item) -> str:
    """Tests that share something dear: the deployed homelab, the evaluated hosts, or else the fixtures of their file."""
    if "lab" in getattr(item, "fixturenames", ()):
        return "lab"
    file = item.path.relative_to(item.config.rootpath).as_posix()
    return "tests/nix" if file.startswith("tests/nix/") else file
