"""The six phases of docs/migration.md, one after the other, and one back."""

from inventory.load import load
from tests.system.lab import Lab

HOSTS = load("inventory/homelab.toml").guests()


def of_phases(last: int) -> set[str]:
    return {name for name, host in HOSTS.items() if host.phase <= last}


def test_phase_after_phase_ends_in_the_full_graph_and_one_back_touches_that_phase_only(newcomer: Lab) -> None:
    before: set[str] = set()
    for phase in (1, 2, 3, 4, 5, 4, 5, 6):
        up = newcomer.up("--config", f"aether:phase={phase}")
        assert up.code == 0, up.text
        now = of_phases(phase)
        assert set(newcomer.guests()) == now
        # Nothing that was there already was deployed again.
        assert not [name for name in before & now if f"{name}: activates" in up.text], up.text
        before = now
    assert before == set(HOSTS)
    assert set(newcomer.preview().changes()) == {"unchanged"}
