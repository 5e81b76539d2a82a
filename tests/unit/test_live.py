"""What is told of a host that runs something else than was deployed."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from inventory.load import load
from inventory.models import AtomicHost
from stacks import live
from stacks.live import Report, load_of
from stacks.live import drift as drift_of

DIGEST = f"sha256:{'a' * 64}"


def drift(**deployment: Any) -> str:
    facts: dict[str, Any] = {"digest": DIGEST}
    host = AtomicHost.model_construct(**facts)
    booted = {"booted": True, "container-image-reference-digest": DIGEST, "unlocked": "none", **deployment}
    return drift_of(host, Report("kinoite", True, facts={"deployments": [booted]}))


def test_the_image_of_the_inventory_and_nothing_else_is_no_drift() -> None:
    assert drift(**{"requested-packages": [], "requested-base-removals": []}) == ""


@pytest.mark.parametrize(
    ("deployment", "told"),
    [
        ({"requested-packages": ["tmux", "htop"]}, "htop, tmux layered"),
        ({"requested-local-packages": ["own-1.rpm"]}, "own-1.rpm layered from a file"),
        ({"requested-base-removals": ["firefox"]}, "firefox removed from the image"),
        ({"requested-base-local-replacements": ["kernel-7.rpm"]}, "kernel-7.rpm replaced in the image"),
        ({"unlocked": "hotfix"}, "/usr unlocked (hotfix)"),
    ],
)
def test_what_somebody_put_on_top_of_the_image_is_drift(deployment: dict[str, Any], told: str) -> None:
    assert drift(**deployment) == f"has {told} (`rpm-ostree reset` on the host takes that back)"


def test_an_atomic_host_says_who_counts_its_boots(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the line of armed.sh, behind what rpm-ostree and its account say."""
    why, asked = "its image has no greenboot. Fix: another", []

    def ask(_: str, host: str, command: str) -> "subprocess.CompletedProcess[str]":
        asked.append(command)
        text = f'{{"deployments": []}}\n{{"at": 5, "id": "ada@desk:1"}}\nunarmed: {why}\n'
        return subprocess.CompletedProcess([], 0, text, "")

    monkeypatch.setattr(live, "ask", ask)
    inventory = load(Path("inventory/homelab.toml"))
    (report,) = live.reports("config", inventory, ["gaming"]).values()
    assert report.facts == {"deployments": [], "deployed_at": 5, "last": {"at": 5, "id": "ada@desk:1"}, "unarmed": why}
    assert "boot-counting status" in asked[0]
    why = ""
    (report,) = live.reports("config", inventory, ["gaming"]).values()
    assert report.facts and "unarmed" not in report.facts


def test_a_host_that_is_not_deployed_as_root_is_asked_by_its_own_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No text is sent to be run: not the script's, and not the health checks', which the host has of itself."""
    asked: list[str] = []

    def answer(_config: str, _host: str, command: str, timeout: int = 20) -> "subprocess.CompletedProcess[str]":
        asked.append(command)
        return subprocess.CompletedProcess([], 0, '{"current": "/nix/store/a"}', "")

    monkeypatch.setattr(live, "ask", answer)
    monkeypatch.setattr(live, "own_address", lambda *_: "192.168.10.20")
    text = Path("inventory/homelab.toml").read_text().replace("[hosts.iot]\n", '[hosts.iot]\nssh_user = "deploy"\n')
    (tmp_path / "homelab.toml").write_text(text)
    changed = load(tmp_path / "homelab.toml")
    for health in (False, True):
        told = live.reports("config", changed, ["iot"], health=health)["iot"]
        assert told.answers and told.facts == {"current": "/nix/store/a"}
    entry = "sudo -n /run/current-system/etc/aether/host 1 status"
    assert asked == [f"{entry} '' no", f"{entry} 192.168.10.20 yes"]


def test_both_are_told() -> None:
    found = drift(**{"container-image-reference-digest": "sha256:b", "requested-packages": ["htop"]})
    assert found == "has booted sha256:b and has htop layered (`rpm-ostree reset` on the host takes that back)"


@pytest.mark.parametrize(
    ("deployed", "told"),
    [
        ("/nix/store/b-system", "runs /nix/store/a-system instead of /nix/store/b-system (since 2026-11-28 13:41 UTC)"),
        ("-", "runs /nix/store/a-system, which no deployment left it with (since 2026-11-28 13:41 UTC)"),
        ("/nix/store/a-system", ""),
    ],
)
def test_another_system_is_told_with_the_time_of_the_switch(deployed: str, told: str) -> None:
    facts = {"current": "/nix/store/a-system", "deployed": deployed, "since": "1795873291"}
    assert drift_of(None, Report("web", True, facts=facts)) == told


def test_the_load_of_a_host_that_says_nothing_else() -> None:
    account = '{"at": 5, "id": "ada@desk:1"}\n'
    text = "0.42 0.30 0.20 2/345 6789\nMemTotal:       2048000 kB\nMemFree:  1 kB\nMemAvailable:    512000 kB\n"
    assert load_of(text) == {"load": 0.42, "memory": 2048000, "available": 512000}
    assert load_of(text + account) == {
        "load": 0.42, "memory": 2048000, "available": 512000, "deployed_at": 5, "last": {"at": 5, "id": "ada@desk:1"},
    }  # fmt: skip
    assert load_of('{"at": ') is None
    assert load_of("") is None
