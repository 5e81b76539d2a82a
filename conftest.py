"""What all kinds of tests share: which process runs which of them, in which order, and why skipped ones were skipped."""

import itertools
import os
from collections import Counter
from pathlib import PurePath
from typing import Any

import pytest

# A `make` that a test starts is not a part of the one that started the tests: it would take its ARGS, too.
for name in ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "ARGS"):
    os.environ.pop(name, None)

# Files whose tests share a deployed homelab, in their order: a process makes it, and runs them all. Two of them, because their
# tests mostly wait. To deploy one takes minutes: each is deployed once, by a test that proves something by it (`newcomer`).
HOMELABS = {
    "homelab: hosts": ("migration", "activation", "router"),
    "homelab: cluster": ("provisioning_faults", "both_stacks", "homelab"),
}
HOMELAB = {f"tests/system/test_{name}.py": group for group, names in HOMELABS.items() for name in names}
# What takes minutes goes first, in this order.
FIRST = (*HOMELABS, "tests/system/test_cloud.py", "tests/nix", "tests/lab")

# Where a test is written, among all that are collected.
WRITTEN = pytest.StashKey[int]()
COUNTER = itertools.count()
# Exit status where more tests are skipped than --most-skipped allows; pytest's own end at 5.
TOO_MANY_SKIPPED = 6
LONG = "takes minutes that the gate has not"


def group_of(file: str) -> str:
    """The group of a test file: tests that share something dear (a homelab, the evaluated hosts) or a place (unit tests write
    the client configuration of stack `unit`), or those of the file.
    """
    if file in HOMELAB:
        return HOMELAB[file]
    folder = "/".join(PurePath(file).parts[:2])
    return folder if folder in ("tests/nix", "tests/unit", "tests/lab") else file


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="also what the gate has no time for")
    parser.addoption(
        "--most-skipped",
        type=int,
        metavar="N",
        help=f"fail, with exit status {TOO_MANY_SKIPPED}, where more than N tests are skipped that are not for --all",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    item.stash[WRITTEN] = next(COUNTER)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort tests by group, long ones first. They come shuffled (pytest-randomly): a file that tells a story gets its order back,
    before pytest itself puts tests together that share a parameter.
    """
    if not config.getoption("--all"):
        for item in items:
            if item.get_closest_marker("long"):
                file = _file(item.nodeid)
                item.add_marker(pytest.mark.skip(reason=f'{LONG}: make test ARGS="{file} --all"'))
    files = {file: number for number, file in enumerate(dict.fromkeys(_file(item.nodeid) for item in items))}
    stories = {*HOMELAB, *(_file(item.nodeid) for item in items if item.get_closest_marker("in_order") or of_a_module(item))}

    def place(item: pytest.Item) -> tuple[int, int, int, int]:
        file = _file(item.nodeid)
        shared = {"checkout", "newcomer"}.intersection(getattr(item, "fixturenames", ()))
        if file.startswith("tests/system/") and shared and file not in HOMELAB:
            raise pytest.UsageError(f"{file} uses the deployed homelab: name it in HOMELABS of conftest.py")
        group = FIRST.index(group_of(file)) if group_of(file) in FIRST else len(FIRST)
        return group, [*HOMELAB, file].index(file), files[file], item.stash[WRITTEN] if file in stories else 0

    items.sort(key=place)


def of_a_module(item: pytest.Item) -> bool:
    """Whether a test uses what its file makes once, like a host that is booted: what one leaves there the next one finds."""
    known = getattr(item, "_fixtureinfo", None)
    return known is not None and any(made.scope == "module" for found in known.name2fixturedefs.values() for made in found)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal whole groups to processes. Marks for `--dist loadgroup` are without effect since pytest 9."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(_file(nodeid))

    return Groups(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A gate whose tests are skipped one after the other would stay green."""
    if too_many(session.config, skipped(session.config)):
        session.exitstatus = TOO_MANY_SKIPPED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell the order, which a quiet run does not otherwise, each reason once with how many tests it skipped, and how many there
    are of both kinds.
    """
    if (seed := config.getoption("randomly_seed", None)) is not None:
        terminalreporter.write_line(f"order: --randomly-seed={seed}")
    reasons = skipped(config)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"skipped {count}: {reason}")
    if reasons:
        terminalreporter.write_line(
            f"skipped: {left_out(reasons)} for --all, {reasons.total() - left_out(reasons)} that miss something"
        )
    if too_many(config, reasons):
        terminalreporter.write_line(
            f"FAILED: more than {config.option.most_skipped} tests miss something (--most-skipped). "
            "Fix: get what the reasons above want, or give a test a way to run without it"
        )


def skipped(config: pytest.Config) -> Counter[str]:
    """How many tests each reason skipped; none where another process tells."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reasons: Counter[str] = Counter()
    for report in reporter.stats.get("skipped", []) if reporter else []:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    return reasons


def left_out(reasons: Counter[str]) -> int:
    """Tests that are for --all, whatever is there."""
    return sum(count for reason, count in reasons.items() if reason.startswith(LONG))


def too_many(config: pytest.Config, reasons: Counter[str]) -> bool:
    """Whether more tests miss something than this run allows."""
    allowed = config.getoption("--most-skipped")
    return allowed is not None and reasons.total() - left_out(reasons) > allowed


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]
