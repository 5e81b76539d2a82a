"""docs/seeds.md: counts are those of its rows, and what a row names is there."""

import ast
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs/seeds.md"
CLASSES = ("lab", "simulator", "real program", "evaluated", "decision", "written only", "missing", "hardware only")
SHOWN = CLASSES[:5]
WANTS = {"Nix", "trees", "checkers", "machine", "house", "by hand", "cargo", "--all"}
NONE = "-"


@dataclass(frozen=True)
class Row:
    """A row of the page, by column."""

    part: str
    asked: str
    where: str
    shown_by: str
    wants: str
    kind: str
    not_shown: str

    def __str__(self) -> str:
        return f"{self.part}: {self.asked}"

    @property
    def files(self) -> list[str]:
        return re.findall(r"`([^`]+)`", self.where)

    @property
    def tests(self) -> list[str]:
        return re.findall(r"`([^`]+)`", self.shown_by)


def rows() -> list[Row]:
    found, part = [], ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            part = line[3:]
        elif part and line.startswith("| ") and not line.startswith("| asked "):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            assert len(cells) == 6, line
            found.append(Row(part, *cells))
    return found


ROWS = rows()


@cache
def functions(file: str) -> dict[str, bool]:
    """Tests of a file, also those in classes, and whether the gate leaves them out."""
    module = ast.parse((REPOSITORY / file).read_text())

    def long(node: ast.AST) -> bool:
        return "pytest.mark.long" in ast.unparse(node)

    marks = [node.value for node in module.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"]
    everywhere = any(long(mark) for mark in marks)
    return {
        node.name: everywhere or any(long(decorator) for decorator in node.decorator_list)
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef)
    }


def counts() -> str:
    """The table at the top."""
    found = Counter(row.kind for row in ROWS)
    lines = ["| class | rows |", "|---|---|", *(f"| {kind} | {found[kind]} |" for kind in CLASSES), f"| all | {len(ROWS)} |"]
    return "\n".join(lines)


def test_counts_are_those_of_the_rows() -> None:
    (written,) = re.findall(r"<!-- counts:begin -->\n(.*?)\n<!-- counts:end -->", PAGE.read_text(), re.DOTALL)
    assert written == counts(), f"write between the marks:\n{counts()}"


def test_every_document_has_rows() -> None:
    parts = Counter(row.part for row in ROWS)
    assert set(parts) == {"Atomic workstation", "Homelab", "Surface and images", "Personal fleet", "Layers"}
    assert min(parts.values()) > 5


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_row(row: Row) -> None:
    assert row.kind in CLASSES, f"write one of {', '.join(CLASSES)}"
    for file in row.files:
        assert (REPOSITORY / file).exists(), file
    long = False
    for test in row.tests:
        file, _, name = test.partition("::")
        assert name in functions(file), f"{test} is not there"
        long |= functions(file)[name]
    assert bool(row.files) == (row.where != NONE) and bool(row.tests) == (row.shown_by != NONE)
    wants = set() if row.wants == NONE else set(row.wants.split(", "))
    assert wants <= WANTS and ("--all" in wants) == long
    if row.kind in SHOWN:
        assert row.tests, f"{row.kind} is shown by a test"
    else:
        assert row.not_shown or row.kind == "written only", "say what is not there, or what was not tried"
