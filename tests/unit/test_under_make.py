"""Tests that are started by make: what they start themselves is none of its business."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_arguments_of_the_tests_are_not_those_of_a_make_within(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("inner:\n\t@echo arguments: $(ARGS).\n")
    code = f"import conftest, subprocess; subprocess.run(['make', '-s', '-C', {str(tmp_path)!r}, 'inner'], check=True)"
    (tmp_path / "outer.mk").write_text(f'outer:\n\t@cd "{REPOSITORY}" && "{sys.executable}" -c "{code}"\n')
    command = ["make", "-s", "-f", str(tmp_path / "outer.mk"), "outer", "ARGS=-q --durations=15"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert "arguments: ." in done.stdout, done.stdout + done.stderr
