"""Roll-outs: who waits for whom."""

from pathlib import Path

import pytest

from inventory.load import Inventory, load
from inventory.models import Rollout
from stacks.rollout import activation_order


def inventory(**rollout: object) -> Inventory:
    homelab = load("inventory/homelab.toml")
    content = homelab.content.model_copy(update={"rollout": Rollout.model_validate(rollout)})
    return Inventory(Path("inventory/homelab.toml"), content)


HOSTS = list(load("inventory/homelab.toml").guests())


def test_all_waits_for_dependencies_only() -> None:
    order = activation_order(inventory(), HOSTS)
    assert set(order["gateway"]) == {"step-ca", "adguard", "keycloak"}
    assert order["cockpit"] == []


def test_everybody_but_what_it_needs_waits_for_the_canary() -> None:
    order = activation_order(inventory(strategy="canary", canary="gateway"), HOSTS)
    assert "gateway" in order["cockpit"]
    assert "gateway" not in order["keycloak"]
    assert "gateway" not in order["gateway"]


def test_a_host_of_another_phase_is_waited_for_by_nobody() -> None:
    order = activation_order(inventory(strategy="canary", canary="gateway"), [name for name in HOSTS if name != "gateway"])
    assert set(order) == set(HOSTS) - {"gateway"}
    assert not [name for name, before in order.items() if "gateway" in before]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_no_more_than_a_batch_at_a_time(size: int) -> None:
    order = activation_order(inventory(strategy="batches", batch=size), HOSTS)
    done: set[str] = set()
    while len(done) < len(HOSTS):
        at_once = {name for name, before in order.items() if name not in done and set(before) <= done}
        assert 0 < len(at_once) <= size
        done |= at_once


@pytest.mark.parametrize(
    "rollout",
    [
        {},
        *({"strategy": "canary", "canary": name} for name in HOSTS),
        *({"strategy": "batches", "batch": size} for size in range(1, 6)),
    ],
)
def test_every_host_comes_after_those_that_it_waits_for(rollout: dict[str, object]) -> None:
    done: set[str] = set()
    for name, before in activation_order(inventory(**rollout), HOSTS).items():
        assert set(before) <= done, f"{name} waits for {set(before) - done}, which come later"
        done.add(name)
    assert done == set(HOSTS)
