"""What is wrong with an inventory: one Problem a fault, and the error that carries them all."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it stands and the line to write."""

    file: str
    where: str
    field: str
    message: str
    fix: str
    code: str = ""
    """Kind of the fault, stable: docs/inventory.md lists all of them."""
    line: int = 0
    """Line of ``file``; 0 when it has none."""

    def __str__(self) -> str:
        place = f"{self.where}.{self.field}" if self.field else self.where
        file = f"{self.file}:{self.line}" if self.line else self.file
        end = "" if self.message.endswith("?") else "."
        return f"{file}: {place}: {self.message}{end} Fix: {self.fix}"


class InventoryError(Exception):
    """The inventory cannot be used; ``problems`` holds every reason."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def explained(codes: Iterable[object]) -> str:
    """The line that says where to look up CODES, of problems or of a deployment; empty where there is none."""
    words = " ".join(dict.fromkeys(str(code) for code in codes if code))
    return f"What it means, and what to do: ./aether explain {words}" if words else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``, did you mean 'X'?`` for the known word nearest to WORD; empty when none is near."""
    near = nearest(word, known)
    return f", did you mean '{near}'?" if near else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that WORD is probably a slip of; None when none is near. Letters that changed places are the nearest."""
    turned = next((each for each in sorted(known) if each != word and sorted(each) == sorted(word)), None)
    return turned or next(iter(difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)), None)


def one_of(known: Iterable[str]) -> str:
    """The names that may be written, for a fix."""
    names = sorted(known)
    return f"one of {', '.join(names)}" if names else "none is declared yet"


class Lines:
    """Where tables and fields stand in a TOML text."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    def find(self, where: str, field: str) -> int:
        """1-based line of FIELD in table WHERE, of the table when the field has no line, else 0."""
        header = re.compile(r"\[\[?\s*" + re.escape(where) + r"\s*\]")
        start = next((i for i, line in enumerate(self._lines) if header.match(line)), None)
        if start is None:
            return 0
        key = re.split(r"[.\[]", field)[0]
        if key:
            for number, line in enumerate(self._lines[start + 1 :], start + 2):
                if HEADER.match(line):
                    break
                if re.match(rf"{re.escape(key)}\s*=", line):
                    return number
        return start + 1


HEADER = re.compile(r"""^\[\[?\s*([A-Za-z0-9_."'-]+)\s*\]\]?\s*(#.*)?$""")
"""A table header on a line of its own."""


def some(names: Sequence[str], most: int) -> str:
    """NAMES in a line: MOST of them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
