"""Waves in the graph of the whole homelab: who waits for the end of which wave, whatever kind it is of."""

from typing import Any

import pytest

from components.base import Operator
from components.requests import SoakRequest
from components.rollout.soak import watched
from inventory.load import Inventory, load
from inventory.models import AtomicHost, Rollout
from ops.review import render
from ops.stack import OpsError, Stack
from ops.waves import up_to
from stacks import homelab
from stacks.rollout import waves
from stacks.waves import Waves
from tests.unit.homelab_settings import HOMELAB, settings
from tests.unit.recorder import record

CANARIES = ("cockpit", "gaming", "gpu")


def inventory(**more: Any) -> Inventory:
    known = load(HOMELAB)
    hosts = {
        name: host.model_copy(update={"digest": f"sha256:{'0' * 64}"}) if isinstance(host, AtomicHost) else host
        for name, host in known.hosts.items()
    }
    rollout = Rollout.model_validate({"strategy": "waves", "canary": CANARIES, "soak": 60, "batch": "50%", **more})
    return Inventory(HOMELAB, known.content.model_copy(update={"hosts": hosts, "rollout": rollout}))


def test_a_host_of_any_kind_waits_for_the_wave_before_its_own() -> None:
    found = inventory()
    recorded = record(lambda: homelab.compose(settings(), found))
    wave = {name: number for number, each in enumerate(waves(found, settings().phase)) for name in each.hosts}
    ends = ["after-canary", *(f"after-wave-{wave.name}" for wave in waves(found, settings().phase)[1:-1])]
    waits = {
        (item.name, item.parent.rsplit("$", 1)[-1].split("::")[0]): {urn.rsplit("::", 1)[1] for urn in item.depends_on}
        for item in recorded.resources
        if "Command" in item.type
    }
    deployments = ("aether:nixos:NixosSystem", "aether:atomic:AtomicHost", "aether:ansible:Playbook")
    asked = 0
    for (name, kind), before in waits.items():
        host = name.removesuffix("-home")
        if kind in deployments and host in wave:
            asked += 1
            assert before & {*ends} == ({ends[wave[host] - 1]} if wave[host] else set()), name
    assert asked > len(wave), "homes count, too"
    first, second = (recorded.one("Command", end) for end in ends[:2])
    assert {*CANARIES} <= {urn.rsplit("::", 1)[1] for urn in first.depends_on}
    assert "after-canary" in {urn.rsplit("::", 1)[1] for urn in second.depends_on}
    assert (first.environment["AETHER_SOAK"], second.environment["AETHER_SOAK"]) == ("60", "0")
    assert first.inputs["stdin"].splitlines()[0] == "cockpit\tnixos" and "stdin" not in second.inputs


def test_a_fleet_without_waves_has_none_of_it() -> None:
    recorded = record(lambda: homelab.compose(settings(), inventory(strategy="all", canary=(), soak=0)))
    assert not [item for item in recorded.resources if item.type == "aether:rollout:Soak"]


def test_a_program_that_fails_in_between_does_not_wait_for_ever() -> None:
    def program() -> None:
        with Waves(settings(), inventory(), Operator(ssh_config="x")) as made:
            assert made.before("adguard")
            raise LookupError("something else is wrong")

    with pytest.raises(LookupError):
        record(program)


def test_who_is_watched_is_told_with_all_checks() -> None:
    hosts = load(HOMELAB).managed()
    lines = [line.split("\t") for line in watched({"gateway": hosts["gateway"], "gpu": hosts["gpu"]}).splitlines()]
    assert lines[0] == ["gateway", "nixos"] and lines[-1][:2] == ["gpu", "other"]
    assert len(lines) == 2 + len(hosts["gateway"].health) + len(hosts["gpu"].health)


def test_a_review_says_that_canaries_are_watched_and_nothing_of_other_waves_ends() -> None:
    def step(name: str, soak: str) -> dict[str, Any]:
        inputs = {"create": SoakRequest.program(), "environment": {"AETHER_HOST": name, "AETHER_SOAK": soak}}
        urn = f"urn:pulumi:s::aether::aether:rollout:Soak$command:local:Command::{name}"
        return {"op": "update", "urn": urn, "oldState": {"inputs": inputs}, "newState": {"inputs": inputs}}

    text = render([step("after-canary", "900"), step("after-wave-2", "0")], "homelab")
    assert "### after-canary\n\n- its wave is watched for 900 s" in text and "after-wave-2" not in text


def test_a_wave_is_an_option_of_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.waves.inventory_of", lambda _: inventory())
    monkeypatch.setattr(Stack, "setting", lambda *_: None)
    stack = Stack("homelab")
    later = [name for wave in waves(inventory())[1:] for name in wave.hosts]
    words = up_to(stack, "canary", [])
    assert [word for word in words if word.startswith("**")] == [f"**::{name}{end}" for name in later for end in ("", "-home")]
    assert words[-1] == "--exclude-dependents"
    assert up_to(stack, None, []) == up_to(stack, waves(inventory())[-1].name, []) == []
    with pytest.raises(OpsError, match="no wave 'canari', did you mean 'canary'"):
        up_to(stack, "canari", [])
    with pytest.raises(OpsError, match="--target"):
        up_to(stack, "2", ["--target", "**web"])
