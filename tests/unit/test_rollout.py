"""Roll-outs: who waits for whom."""

from pathlib import Path

import pytest

from inventory.load import Inventory, load
from inventory.models import Rollout
from stacks.rollout import waits_for


def inventory(**rollout: object) -> Inventory:
    homelab = load("inventory/homelab.toml")
    content = homelab.content.model_copy(update={"rollout": Rollout.model_validate(rollout)})
    return Inventory(Path("inventory/homelab.toml"), content)


HOSTS = list(load("inventory/homelab.toml").guests())


def test_all_waits_for_dependencies_only() -> None:
    assert set(waits_for("gateway", inventory(), HOSTS)) == {"step-ca", "adguard", "keycloak"}
    assert waits_for("cockpit", inventory(), HOSTS) == []


def test_everybody_but_what_it_needs_waits_for_the_canary() -> None:
    canary = inventory(strategy="canary", canary="gateway")
    assert "gateway" in waits_for("cockpit", canary, HOSTS)
    assert "gateway" not in waits_for("keycloak", canary, HOSTS)
    assert "gateway" not in waits_for("gateway", canary, HOSTS)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_each_batch_waits_for_the_one_before(size: int) -> None:
    batches = inventory(strategy="batches", batch=size)
    for index, name in enumerate(HOSTS):
        first = (index // size) * size
        assert set(waits_for(name, batches, HOSTS)) >= set(HOSTS[max(0, first - size) : first])


def test_no_strategy_makes_a_cycle() -> None:
    for rollout in (inventory(), inventory(strategy="canary", canary="media"), inventory(strategy="batches", batch=3)):
        needs = {name: set(waits_for(name, rollout, HOSTS)) for name in HOSTS}
        done: set[str] = set()
        while len(done) < len(HOSTS):
            ready = {name for name in HOSTS if name not in done and needs[name] <= done}
            assert ready, f"a cycle among {set(HOSTS) - done}"
            done |= ready
