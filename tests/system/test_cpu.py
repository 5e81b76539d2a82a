"""What three cheap figures cost, as ratios, is not more than it was (bench/cpu.json)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import cpu
from bench.settings import Run
from bench.stack import BenchStack
from inventory.files import REPOSITORY


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BenchStack]:
    if not (REPOSITORY / ".aether/engine/bin/pulumi").exists():
        pytest.skip("the engine is not there; make it with: ./aether engine ensure")
    run = Run(tmp_path_factory.mktemp("cpu"))
    try:
        yield cpu.deployed(run)
    finally:
        run.close_all()


def slower(found: dict[str, float]) -> dict[str, str]:
    """Figures that are more than they may be, with what they are and were."""
    known = cpu.known()
    return {
        name: f"{ratio} (was {known[name]}): {cpu.TEXTS[name]}. Fix: see what made it slower, or write what it is to {cpu.KNOWN}"
        for name, ratio in found.items()
        if ratio > cpu.allowed(name)
    }


def test_nothing_became_slower(machines: BenchStack) -> None:
    assert not slower(cpu.ratios(machines))


def test_what_became_slower_is_seen(machines: BenchStack) -> None:
    file = Path(machines.path / "__main__.py")
    text = file.read_text()
    # A quarter of the calls that it makes.
    file.write_text(text.replace('"""\n', '"""\nsum(number for number in range(250_000))\n', 1))
    try:
        assert set(slower({"program": cpu.program(machines, cpu.sides(machines))})) == {"program"}
    finally:
        file.write_text(text)
