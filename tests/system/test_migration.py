"""The six phases of docs/migration.md, one after the other, and one back."""

from collections.abc import Iterator

import pytest

from inventory.load import load
from tests.system.lab import REPOSITORY, Lab

HOSTS = load("inventory/homelab.toml").guests()


def of_phases(last: int) -> set[str]:
    return {name for name, host in HOSTS.items() if host.phase <= last}


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in which nothing is deployed yet."""
    if not (REPOSITORY / ".aether/engine/bin/pulumi").exists():
        pytest.skip("the engine is not there; make it with: python3 -m engine ensure")
    made = Lab.make(tmp_path_factory.mktemp("migration") / "a folder")
    try:
        yield made
    finally:
        made.close()


def test_phase_after_phase_ends_in_the_full_graph_and_one_back_touches_that_phase_only(newcomer: Lab) -> None:
    before: set[str] = set()
    for phase in range(1, 7):
        up = newcomer.up("--config", f"aether:phase={phase}")
        assert up.code == 0, up.text
        now = of_phases(phase)
        assert set(newcomer.guests()) == now
        # Nothing that was there already was deployed again.
        assert not [name for name in before if f"{name}: activates" in up.text], up.text
        before = now
    assert before == set(HOSTS)
    assert set(newcomer.preview().changes()) == {"unchanged"}

    back = newcomer.up("--config", "aether:phase=5")
    assert back.code == 0, back.text
    assert set(newcomer.guests()) == of_phases(5)
    assert not [name for name in of_phases(5) if f"{name}: activates" in back.text]
