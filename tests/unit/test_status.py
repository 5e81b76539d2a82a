"""`aether status` and `drift` for programs."""

import json

import pytest

from ops import fleet
from ops.stack import Stack
from stacks.live import Report


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Report]:
    """Hosts' reports by name, all of them deployed, none asked."""
    found = {
        "gateway": Report("gateway", True, facts={"generation": 7, "booted": True, "kernel": "same"}),
        "keycloak": Report("keycloak", True, facts={"generation": 3, "booted": True, "kernel": "other"}),
        "media": Report("media", False, reason="No route to host"),
    }
    monkeypatch.setattr(fleet, "reports", lambda *_: found)
    monkeypatch.setattr(fleet, "deployed", lambda _: set(found))
    return found


def test_status_tells_programs_what_it_tells_people(answers: dict[str, Report], capsys: pytest.CaptureFixture[str]) -> None:
    code = fleet.status(Stack("homelab"), ["--json"])
    told = json.loads(capsys.readouterr().out)
    hosts = {entry["host"]: entry for entry in told["hosts"]}
    assert (code, told["stack"]) == (1, "homelab"), "a deployed host does not answer"
    assert (hosts["gateway"]["state"], hosts["gateway"]["generation"]) == ("running", "7")
    assert hosts["keycloak"]["state"] == "running, needs a reboot"
    assert hosts["media"] == {
        "host": "media", "kind": "nixos-vm", "node": "trinity", "address": hosts["media"]["address"],
        "state": "does not answer (No route to host)", "generation": None,
    }  # fmt: skip
    answers["media"] = Report("media", True, facts={"generation": 2})
    assert fleet.status(Stack("homelab"), []) == 0
    assert "media" in capsys.readouterr().out


def test_drift_tells_programs_the_hosts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(fleet, "drifts", lambda *_: {"media": "runs another"})
    assert fleet.drift(Stack("homelab"), ["--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"media": "runs another"}
    monkeypatch.setattr(fleet, "drifts", lambda *_: {})
    assert fleet.drift(Stack("homelab"), ["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {}
