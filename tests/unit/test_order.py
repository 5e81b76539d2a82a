"""Tests run in any order, which a seed repeats; those of a story, or of what a file makes once, do not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from inventory.files import REPOSITORY

NAMES = "abcdefgh"
ANY = "".join(f"def test_{name}(): pass\n" for name in NAMES)
MARK = "import pytest\npytestmark = pytest.mark.in_order('each goes on where the one before it ended')\n"
SHARED = """
import pytest
@pytest.fixture(scope="module", params=["first", "second"])
def shared(request): return request.param
"""
DEAR = SHARED + "".join(f"def test_{name}(shared): pass\n" for name in reversed(NAMES))
STORY = MARK + "".join(f"def test_{name}(): pass\n" for name in reversed(NAMES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("order")
    for name, text in {
        "conftest.py": (REPOSITORY / "conftest.py").read_text(),
        "test_any.py": ANY,
        "test_dear.py": DEAR,
        "test_story.py": STORY,
    }.items():
        (made / name).write_text(text)
    return made


def order(folder: Path, *arguments: str) -> tuple[str, dict[str, list[str]]]:
    """The seed of a run, and its tests by file in their order."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "randomly", *arguments, "."],
        capture_output=True, text=True, check=False, cwd=folder, timeout=1000,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[str]] = {}
    for file, test in re.findall(r"^(test_\w+\.py)::(\S+) PASSED", done.stdout, re.MULTILINE):
        found.setdefault(file, []).append(test)
    (seed,) = re.findall(r"^order: --randomly-seed=(\d+)$", done.stdout, re.MULTILINE)
    return seed, found


def test_any_order_but_a_storys(folder: Path) -> None:
    seed, found = order(folder)
    dear = [f"test_{name}[{one}]" for one in ("first", "second") for name in reversed(NAMES)]
    story = [f"test_{name}" for name in reversed(NAMES)]
    assert found["test_dear.py"] == dear, "its own order, and what is dear is made once"
    assert found["test_story.py"] == story
    again, repeated = order(folder, f"--randomly-seed={seed}")
    assert (again, repeated) == (seed, found)
    other, differs = order(folder, f"--randomly-seed={int(seed) + 1}")
    assert other != seed
    assert differs["test_any.py"] != found["test_any.py"] and (differs["test_dear.py"], differs["test_story.py"]) == (dear, story)
