"""The gate fails where more tests are skipped than it allows, and says which and what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inventory.files import REPOSITORY

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_skipped(number):
    pytest.skip("no such program: get it")

def test_passed():
    pass

@pytest.mark.long
def test_long():
    pass
"""


@pytest.mark.parametrize(
    ("parallel", "most", "status"), [((), "3", 0), (("-p", "xdist", "-n", "1", "--dist", "loadscope"), "2", 6)]
)
def test_too_many_skipped_tests_fail_the_run(tmp_path: Path, parallel: tuple[str, ...], most: str, status: int) -> None:
    (tmp_path / "conftest.py").write_text((REPOSITORY / "conftest.py").read_text())
    (tmp_path / "test_some.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *parallel, "--most-skipped", most, "."],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=1000,
        # What these runs do not need takes most of their time.
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "skipped 3: no such program: get it" in done.stdout
    assert "skipped: 1 for --all, 3 that miss something" in done.stdout
    assert ("FAILED: more than 2 tests miss something" in done.stdout) == (status == 6)


def test_the_gate_allows_a_hundred() -> None:
    assert "--most-skipped 100" in (REPOSITORY / ".ci/run").read_text()
