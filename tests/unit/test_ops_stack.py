"""What the operator's commands know of simulated stacks without asking the engine."""

import json
from pathlib import Path

import pytest

from ops import commands, stack
from ops.stack import Stack, settings_in

SETTINGS = "# Written by the simulator\nencryptionsalt: v1:x\nconfig:\n  aether:composition: homelab\n"


@pytest.fixture
def aether(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stack, "AETHER", tmp_path)
    for name in stack.SIMULATED:
        path = tmp_path / f"sim/Pulumi.{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(SETTINGS)
    return tmp_path


def state(aether: Path, name: str, resources: list[dict[str, object]] | None) -> None:
    path = aether / f"state/.pulumi/stacks/aether/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 3, "checkpoint": {"latest": resources and {"resources": resources}}}))


def exported(**outputs: object) -> list[dict[str, object]]:
    return [{"type": "pulumi:pulumi:Stack", "outputs": outputs}]


def settings(aether: Path, name: str) -> str:
    return (aether / f"sim/Pulumi.{name}.yaml").read_text()


def test_the_homelab_names_the_cloud_exactly_while_that_is_deployed(aether: Path) -> None:
    Stack("sim").refer()
    assert settings(aether, "sim") == SETTINGS
    state(aether, "sim-cloud", exported(images={}))
    for _ in range(2):
        Stack("sim").refer()
        line = "  aether:cloudStack: organization/aether/sim-cloud\n"
        assert settings(aether, "sim") == SETTINGS.replace("config:\n", f"config:\n{line}")
    state(aether, "sim-cloud", None)
    Stack("sim").refer()
    assert settings(aether, "sim") == SETTINGS


def test_the_cloud_asks_no_other_stack_and_proves_the_way_home_once_there_is_one(aether: Path) -> None:
    Stack("sim-cloud").refer()
    assert settings(aether, "sim-cloud") == SETTINGS
    state(aether, "sim", exported(addresses={}))
    Stack("sim-cloud").refer()
    assert settings(aether, "sim-cloud") == SETTINGS.replace("config:\n", "config:\n  aether:proveWayHome: 'true'\n")


def test_one_that_failed_before_it_exported_anything_is_not_named(aether: Path) -> None:
    state(aether, "sim-cloud", [{"type": "pulumi:pulumi:Stack"}, {"type": "aws:ec2/vpc:Vpc"}])
    Stack("sim").refer()
    assert settings(aether, "sim") == SETTINGS


def test_an_owners_stack_is_left_alone(aether: Path) -> None:
    Stack("homelab").refer()
    assert not (aether / "sim/Pulumi.homelab.yaml").exists()


def test_what_broke_off_is_named_once(aether: Path) -> None:
    assert Stack("sim").broken_off() == []
    urn = "urn:pulumi:sim::aether::aether:proxmox:NixosLxc$proxmoxve:index/containerLegacy:ContainerLegacy::"
    failed = {"type": "proxmoxve:index/containerLegacy:ContainerLegacy", "initErrors": ["timeout"]}
    whole = {"type": "proxmoxve:index/containerLegacy:ContainerLegacy"}
    state(aether, "sim", [{**failed, "urn": f"{urn}keycloak"}, {**whole, "urn": f"{urn}adguard"}])
    assert Stack("sim").broken_off() == ["keycloak"]


@pytest.mark.parametrize(
    ("broken", "arguments", "added"),
    [
        ([], [], []),
        (["keycloak"], [], ["--refresh"]),
        (["keycloak"], ["--config", "aether:proxmoxTimeout=900"], ["--refresh"]),
        (["keycloak"], ["--refresh=false"], []),
        (["keycloak"], ["-r"], []),
    ],
)
def test_what_broke_off_is_read_back_unless_the_operator_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, broken: list[str], arguments: list[str], added: list[str]
) -> None:
    monkeypatch.setattr(Stack, "broken_off", lambda self: broken)
    assert commands._read_back(Stack("sim"), arguments) == added


def test_the_owners_passphrase_is_not_a_simulated_stacks(aether: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of the real one")
    assert "PULUMI_CONFIG_PASSPHRASE" not in Stack("sim").environment()
    assert Stack("homelab").environment()["PULUMI_CONFIG_PASSPHRASE"] == "of the real one"


def test_settings_are_read_as_yaml(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.home.yaml"
    file.write_text(
        "encryptionsalt: v1:x\nconfig:\n  aether:phase: 3  # until the move\n  'aether:secrets': \"my secrets\"\n"
        "  aether:detectDrift: true\n  aether:githubToken:\n    secure: AAAB\n  aws:region: eu-central-1\n"
    )
    assert settings_in(file) == {"phase": "3", "secrets": "my secrets", "detectDrift": "true"}
    file.write_text("")
    assert settings_in(file) == {}


def test_a_state_that_the_engine_refuses_is_told_how_to_be_repaired() -> None:
    said = "error: The Pulumi CLI encountered a snapshot integrity error. This is a bug!"
    real, simulated = Stack("homelab")._out_of_order(said), Stack("sim")._out_of_order(said)
    assert "Fix: . ops/env.sh, then: pulumi state repair --stack homelab " in real
    assert "PULUMI_BACKEND_URL='file://" in simulated and "pulumi state repair --stack sim " in simulated
    assert Stack("sim")._out_of_order("error: something else") == ""
