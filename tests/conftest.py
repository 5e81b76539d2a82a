"""What all kinds of tests share: which process runs which of them, and why skipped ones were skipped."""

from collections import Counter
from pathlib import PurePath
from typing import Any

import pytest

# Files whose tests share a deployed homelab: a process makes it, and runs them all. Two of them, because their tests mostly wait.
LABS = {
    "lab: hosts": ("activation", "atomic", "machines"),
    "lab: cluster": ("homelab", "provisioning_faults", "both_stacks"),
}
LAB = {f"tests/system/test_{name}.py": lab for lab, names in LABS.items() for name in names}
# What takes minutes goes first, in this order.
FIRST = (*LABS, "tests/system/test_cloud.py", "tests/system/test_migration.py", "tests/nix", "tests/lab")


def group_of(file: str) -> str:
    """The group of a test file: tests that share something dear (a homelab, the evaluated hosts) or a place (unit tests write
    the client configuration of stack `unit`), or those of the file.
    """
    if file in LAB:
        return LAB[file]
    folder = "/".join(PurePath(file).parts[:2])
    return folder if folder in ("tests/nix", "tests/unit", "tests/lab") else file


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="also what the gate has no time for")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort tests by group, long ones first."""
    if not config.getoption("--all"):
        for item in items:
            if item.get_closest_marker("long"):
                file = _file(item.nodeid)
                item.add_marker(pytest.mark.skip(reason=f'takes minutes that the gate has not: make test ARGS="{file} --all"'))

    def place(item: pytest.Item) -> int:
        file = _file(item.nodeid)
        if file.startswith("tests/system/") and "lab" in getattr(item, "fixturenames", ()) and file not in LAB:
            raise pytest.UsageError(f"{file} uses the deployed homelab: name it in LABS of tests/conftest.py")
        return FIRST.index(group_of(file)) if group_of(file) in FIRST else len(FIRST)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal whole groups to processes. Marks for `--dist loadgroup` are without effect since pytest 9."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(_file(nodeid))

    return Groups(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell each reason once, with how many tests it skipped."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"skipped {count}: {reason}")


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]
