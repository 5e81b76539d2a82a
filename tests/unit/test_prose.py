"""Prose wraps at 120 characters; tables, code, headings and words that are longer by themselves do not."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

WIDTH = 120
# A line that Markdown would not let anybody break.
_WHOLE = re.compile(r"\s*(\||#|>|<|\[[^\]]+\]:)")


def pages() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z", "*.md"], capture_output=True, text=True, check=True)
    return sorted(filter(None, listed.stdout.split("\0")))


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines of TEXT that can be broken, with their numbers."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r"\s*(```|~~~)", line)
        if mark:
            fence = "" if fence == mark[1] else fence or mark[1]
        elif not fence and not _WHOLE.match(line) and not line.startswith("    "):
            yield number, line


@pytest.mark.parametrize("page", pages())
def test_prose_wraps(page: str) -> None:
    long = [number for number, line in prose(Path(page).read_text()) if len(line) > WIDTH and " " in line.strip()[:WIDTH]]
    assert not long, f"{page}: lines {long} are longer than {WIDTH} characters"


def test_what_is_long_is_found() -> None:
    text = "word " * 30 + "\n| " + "cell " * 30 + "|\n```\n" + "code " * 30 + "\n```\n"
    assert [number for number, line in prose(text) if len(line) > WIDTH] == [1]
