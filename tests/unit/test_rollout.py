"""Roll-outs: who waits for whom."""

from pathlib import Path

import pytest

from inventory.load import Inventory, load
from inventory.models import Rollout
from stacks.rollout import Wave, activation_order, waves


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
        *({"strategy": "batches", "batch": size} for size in (*range(1, 6), "1%", "30%", "100 %")),
    ],
)
def test_every_host_comes_after_those_that_it_waits_for(rollout: dict[str, object]) -> None:
    done: set[str] = set()
    for name, before in activation_order(inventory(**rollout), HOSTS).items():
        assert set(before) <= done, f"{name} waits for {set(before) - done}, which come later"
        done.add(name)
    assert done == set(HOSTS)


def members(*canary: str, batch: object = 1) -> list[Wave]:
    return waves(inventory(strategy="waves", canary=canary, batch=batch))


def test_waves_are_of_all_kinds_and_every_host_is_in_one() -> None:
    found = members("cockpit", "smith-files", batch=4)
    assert found[0] == Wave("canary", ("cockpit", "smith-files"))
    assert [wave.name for wave in found[1:]] == [str(number) for number in range(2, len(found) + 1)]
    every = [name for wave in found for name in wave.hosts]
    assert sorted(every) == sorted(load("inventory/homelab.toml").managed())
    assert all(len(wave.hosts) <= 4 for wave in found[1:-1])


def test_what_a_canary_depends_on_is_in_its_wave() -> None:
    assert set(members("gateway")[0].hosts) == {"step-ca", "adguard", "keycloak", "gateway"}


@pytest.mark.parametrize("batch", [1, 3, "10%", "50%", "100%"])
def test_no_host_of_a_wave_needs_a_later_one(batch: object) -> None:
    hosts = load("inventory/homelab.toml").hosts
    wave = {name: number for number, found in enumerate(members("gateway", batch=batch)) for name in found.hosts}
    for name, number in wave.items():
        assert all(wave[other] <= number for other in hosts[name].depends_on if other in wave), name


def test_a_share_is_of_those_that_are_no_canaries_and_at_least_one() -> None:
    stay = [name for name, host in load("inventory/homelab.toml").managed().items() if not getattr(host, "roams", False)]
    assert len(members("cockpit", batch="25%")[1].hosts) == -(-(len(stay) - 1) // 4)
    assert len(members("cockpit", batch="1%")[1].hosts) == 1


def test_nobody_waits_for_a_machine_that_may_be_away() -> None:
    homelab = load("inventory/homelab.toml")
    hosts = {name: host.model_copy(update={"roams": True}) if name == "laptop" else host for name, host in homelab.hosts.items()}
    rollout = Rollout.model_validate({"strategy": "waves", "canary": "cockpit", "batch": "50%"})
    content = homelab.content.model_copy(update={"rollout": rollout, "hosts": hosts})
    found = waves(Inventory(Path("inventory/homelab.toml"), content))
    assert "laptop" in found[-1].hosts and not any("laptop" in wave.hosts for wave in found[:-1])


def test_the_public_gateway_is_before_all_waves() -> None:
    cloud = load("inventory/cloud.toml")
    assert cloud.cloud is not None
    assert not any(cloud.cloud.gateway in wave.hosts for wave in waves(cloud))


def test_without_waves_all_hosts_are_in_one() -> None:
    assert [wave.name for wave in waves(inventory())] == ["all"]
