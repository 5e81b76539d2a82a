"""The six phases of docs/migration.md, one after the other, and back."""

import pytest

from inventory.load import load
from tests.system.checkout import Checkout

HOSTS = load("inventory/homelab.toml").guests()


def of_phases(last: int) -> set[str]:
    return {name for name, host in HOSTS.items() if host.phase <= last}


def test_phase_after_phase_ends_in_the_full_graph_and_one_back_touches_that_phase_only(newcomer: Checkout) -> None:
    before: set[str] = set()
    for phase in (1, 3, 5, 4, 6):
        up = newcomer.up("--config", f"aether:phase={phase}")
        assert up.code == 0, up.text
        now = of_phases(phase)
        assert set(newcomer.guests()) == now
        # Nothing that was there already was deployed again.
        assert not [name for name in before & now if f"{name}: activates" in up.text], up.text
        before = now
    assert before == set(HOSTS)
    assert set(newcomer.preview().changes()) == {"unchanged"}


@pytest.mark.long
def test_each_phase_goes_back_alone_and_comes_again(newcomer: Checkout) -> None:
    """From the last to the first, as a preview announces, and on again: nothing that stays is deployed again."""
    phases = range(max(host.phase for host in HOSTS.values()), 0, -1)
    assert newcomer.up("--config", f"aether:phase={phases[0]}").code == 0
    for phase in phases[1:]:
        leaving = of_phases(phase + 1) - of_phases(phase)
        announced = newcomer.preview("--config", f"aether:phase={phase}")
        assert announced.code == 0, announced.text
        assert leaving <= {name for name in HOSTS if name in announced.text}
        up = newcomer.up("--config", f"aether:phase={phase}")
        assert up.code == 0, up.text
        assert set(newcomer.guests()) == of_phases(phase)
        assert not [name for name in of_phases(phase) if f"{name}: activates" in up.text], up.text
    for phase in reversed(phases[:-1]):
        up = newcomer.up("--config", f"aether:phase={phase}")
        assert up.code == 0, up.text
        assert set(newcomer.guests()) == of_phases(phase)
        assert not [name for name in of_phases(phase - 1) if f"{name}: activates" in up.text], up.text
