"""What the gate costs is counted with all that its parts leave behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import cold, gate
from bench.measure import BenchError

REPOSITORY = Path(__file__).resolve().parents[2]
# Uses the processor for a known time, in a process that its parent does not wait for.
LEFT_BEHIND = """
import os, time
end = os.pipe()
if os.fork() == 0:
    os.setsid()
    os.close(end[0])
    while time.process_time() < 0.5:
        pass
    os.close(end[1])
    time.sleep(600)
os.close(end[1])
os.read(end[0], 1)
"""


def test_every_folder_of_tests_is_a_part() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "test_*.py", "**/test_*.py"]
    listed = subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, check=True)
    assert {str(Path(file).parent) for file in listed.stdout.split()} == set(gate.parts(REPOSITORY)) - {"set-up", "lint"}


def test_what_a_part_leaves_running_is_counted_and_ended(tmp_path: Path) -> None:
    with gate.adopting():
        assert 0.5 <= gate.cpu_seconds([sys.executable, "-c", LEFT_BEHIND], tmp_path / "log") < 5


def test_a_part_that_cannot_run_is_an_error(tmp_path: Path) -> None:
    with gate.adopting(), pytest.raises(BenchError, match="ended with 4"):
        gate.cpu_seconds([sys.executable, "-c", "raise SystemExit(4)"], tmp_path / "log")


def test_shares_are_told_dearest_first() -> None:
    assert list(gate.shares({"set-up": 60, "tests/unit": 180})) == [
        "together                              4.0 min",
        "tests/unit                            3.0 min  75.0%",
        "set-up                                1.0 min  25.0%",
    ]


def test_a_first_start_says_what_was_built_and_how_long_its_deployment_took() -> None:
    text = "engine: building pulumi 3.259.0 … 20 s so far\nengine: building pulumi 3.259.0: done in 279 s\n\nDuration: 1m31s\n"
    assert cold._DONE.findall(text) == [("pulumi 3.259.0", "279")]
    assert cold._DURATION.findall(text) == [("1", "31")]
    assert cold._DURATION.findall("Duration: 59s\n") == [("", "59")]
