"""`aether status` and `drift`: what is told of each host, to people and to programs."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from inventory.edges import KINDS, Edge, edges
from inventory.load import load_all
from ops import drift, fleet
from ops.orders.document import Order
from ops.stack import Stack
from ops.status import command, facts
from ops.status.facts import HostStatus, ago, problems
from stacks.live import Report
from tests.unit.status_fleet import GATEWAY, NOW, answers, reached, seen

__all__ = ["answers", "reached", "seen"]


def test_programs_are_told_all_that_is_known(answers: dict[str, Report], capsys: pytest.CaptureFixture[str]) -> None:
    code = command.status(Stack("homelab"), ["--json"])
    told = json.loads(capsys.readouterr().out)
    hosts = {entry["host"]: entry for entry in told["hosts"]}
    assert (code, told["stack"], told["at"]) == (1, "homelab", NOW), "a deployed host does not answer"
    gateway = hosts["gateway"]
    assert (gateway["state"], gateway["generation"], gateway["system"]) == ("running", "7", "nixos-system-gateway-25.11")
    assert (gateway["deployed_by"], gateway["revision"], gateway["deployed_at"]) == ("ada@desk", "0123456789ab", NOW - 7200)
    assert (gateway["behind"], gateway["drift"], gateway["reboot"]) == (False, "", False)
    assert (gateway["memory"], gateway["available"], gateway["load"]) == (2048, 1024, 0.5)
    keycloak = hosts["keycloak"]
    assert (keycloak["state"], keycloak["behind"], keycloak["reboot"]) == ("running, needs a reboot", True, True)
    assert keycloak["unhealthy"] == ["tcp 8443"]
    assert keycloak["drift"].startswith("runs /nix/store/other-system instead of ")
    assert (hosts["media"]["state"], hosts["media"]["answers"]) == ("does not answer (No route to host)", False)
    assert (hosts["niobe"]["planned"], hosts["niobe"]["available"]) == (8192 + 4096 + 1024, 1000)
    assert told["problems"]["gateway"] == ["last backup 40 h ago"]
    assert [each.split(":")[0] for each in told["problems"]["keycloak"]] == [
        "tcp 8443 does not hold", "x<y>.service has failed", "drifted", "behind", "waits for a reboot",
    ]  # fmt: skip
    assert "public-gateway" in hosts and hosts["public-gateway"]["state"] == "another stack"


def test_people_see_a_table_and_what_wants_attention(answers: dict[str, Report], capsys: pytest.CaptureFixture[str]) -> None:
    answers["media"] = Report("media", True, facts=dict(GATEWAY))
    assert command.status(Stack("homelab"), []) == 0
    shown = capsys.readouterr().out
    assert re.search(r"gateway +nixos-vm +oracle +192.168.10.10 +running +7 +2 h ago", shown)
    assert "keycloak: tcp 8443 does not hold; x<y>.service has failed" in shown
    assert "public-gateway" not in shown, "of another stack: it was not asked"


def test_what_is_right_wants_no_attention() -> None:
    good = HostStatus(
        "web", "nixos-vm", "pve", "192.0.2.1", "running", answers=True, backup=NOW - 3600, certificate=NOW, reboot=False
    )
    assert problems(good, NOW) == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(5, "just now"), (120, "2 min ago"), (7200, "2 h ago"), (86400, "24 h ago"), (200000, "2 d ago"), (-5, "just now")],
)
def test_distances_in_words(seconds: int, told: str) -> None:
    assert ago(NOW - seconds, NOW) == told


def test_every_kind_of_edge_is_found_in_the_inventories() -> None:
    found = edges(load_all(["inventory/homelab.toml", "inventory/cloud.toml"]))
    assert {edge.kind for edge in found} == set(KINDS)
    assert Edge("depends_on", "gateway", "media") in found
    assert Edge("service", "gateway", "media", "jellyfin, torrent, books") in found
    assert Edge("service", "monitoring", "keycloak", "logins of grafana") in found
    assert Edge("tunnel", "public-gateway", "gateway", "WireGuard") in found
    assert Edge("tunnel", "public-gateway", "smith-storage", "backups, port 22") in found
    assert Edge("network", "clients", "laptop") in found
    assert not [edge for edge in edges(load_all(["inventory/homelab.toml"])) if edge.kind == "tunnel"], "its end is elsewhere"


def test_drift_tells_programs_the_hosts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    own, other = "/nix/store/a-system", "/nix/store/b-system"
    found = {"media": Report("media", True, facts={"current": other, "deployed": own, "since": "-"})}
    monkeypatch.setattr(drift, "systems", lambda *_: found)
    assert drift.drift(Stack("homelab"), ["--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"media": f"runs {other} instead of {own}"}
    found.clear()
    assert drift.drift(Stack("homelab"), ["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {}


def test_a_host_that_nobody_takes_back_is_told_by_both(
    answers: dict[str, Report], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no drift: nothing that a deployment repairs."""
    answers.clear()
    why = "greenboot-healthcheck.service is not enabled. Fix: systemctl enable greenboot-healthcheck.service"
    answers["gaming"] = Report("gaming", True, facts={"deployments": [], "unarmed": why})
    monkeypatch.setattr(drift, "systems", lambda *_: answers)
    assert command.status(Stack("homelab"), []) == 0
    told = capsys.readouterr().out
    assert re.search(r"gaming .*running, not armed", told)
    assert f"gaming: not armed, nobody takes a bad image back in its boot: {why}" in told
    assert drift.drift(Stack("homelab"), ["--json"]) == 0
    found = capsys.readouterr()
    assert (found.out, found.err) == (
        "{}\n", f"WARNING: gaming is not armed, nobody takes a bad image back in its boot: {why}\n",
    )  # fmt: skip


ORDER = Order("laptop", "/nix/store/x", "source:2", "ada@desk", "-", NOW - 100, NOW - 7200, NOW + 1000, 60, 2)


def told_of_order(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Report], order: Order | None, told: dict[str, Any] | None, **more: Any
) -> HostStatus:
    """The laptop, with ORDER at the cache; it says TOLD of its last one, or is away (None)."""
    monkeypatch.setattr(facts, "lying", lambda _: {"laptop": order} if order else {})
    away = Report("laptop", False, reason="No route to host")
    answers["laptop"] = away if told is None else Report("laptop", True, facts={**GATEWAY, "order": told or None, **more})
    stack = Stack("homelab")
    return facts.look(stack, fleet.inventory_of(stack), set(answers)).host("laptop")


def test_an_order_is_pending_until_its_host_has_dealt_with_it(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Report], capsys: pytest.CaptureFixture[str]
) -> None:
    away = told_of_order(monkeypatch, answers, ORDER, None)
    assert (away.state, away.pending, away.answers, problems(away, NOW)) == ("pending", NOW - 7200, None, [])
    assert command.status(Stack("homelab"), []) == 1
    shown = capsys.readouterr().out
    assert re.search(r"laptop +nixos-metal +- +192.168.20.11 +pending, order left 2 h ago ", shown), shown
    assert told_of_order(monkeypatch, answers, None, None).state == "away"
    assert told_of_order(monkeypatch, answers, replace(ORDER, expires=NOW), None).state == "away"
    here = told_of_order(monkeypatch, answers, ORDER, {})
    assert (here.state, here.pending, here.ordered) == ("running", NOW - 7200, None)
    taken = told_of_order(monkeypatch, answers, ORDER, {"at": ORDER.at, "outcome": "taken", "ended": NOW - 50})
    assert (taken.state, taken.pending, taken.ordered, taken.order) == ("running", None, NOW - 50, "")
    # A deployment brought it what was ordered.
    assert told_of_order(monkeypatch, answers, ORDER, {}, desired="source:2").pending is None
    older = told_of_order(monkeypatch, answers, ORDER, {"at": ORDER.at - 1, "outcome": "taken", "ended": NOW - 50})
    assert (older.pending, older.ordered) == (NOW - 7200, NOW - 50)


@pytest.mark.parametrize(
    ("outcome", "says", "pending"),
    [
        ("reverted", "took the system of its order back, 50 min ago: not healthy", False),
        ("failed", "could not take its order, 50 min ago: not healthy", False),
        ("boot", "could not take its order, 50 min ago: not healthy", True),
        ("refused", "refused an order, 50 min ago: not healthy", True),
        ("waiting", "could not take its order yet, 50 min ago: not healthy", True),
        ("superseded", "", False),
    ],
)
def test_how_an_order_ended_is_told_until_the_next_deployment(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Report], outcome: str, says: str, pending: bool
) -> None:
    told = {"at": ORDER.at, "outcome": outcome, "why": "not healthy", "ended": NOW - 3000}
    seen = told_of_order(monkeypatch, answers, ORDER, told)
    assert (seen.order, seen.pending is not None) == (says, pending)
    assert (says in problems(seen, NOW)) is bool(says)
    assert told_of_order(monkeypatch, answers, ORDER, told, deployed_at=NOW - 2000).order == ""


def test_an_order_that_was_begun_and_never_ended_is_told(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Report]) -> None:
    begun = {"at": ORDER.at, "outcome": "begun", "ended": NOW - 60}
    assert told_of_order(monkeypatch, answers, ORDER, begun).order == ""
    broken_off = told_of_order(monkeypatch, answers, ORDER, begun | {"ended": NOW - 5000})
    assert broken_off.order == "began to take its order 1 h ago, and never ended"


def test_who_does_not_answer_is_not_called_undrifted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    silent = {"gateway": Report("gateway", False, "no route"), "keycloak": Report("keycloak", True, facts=None)}
    monkeypatch.setattr(drift, "systems", lambda *_: silent)
    monkeypatch.setattr(drift, "drifted", lambda *_: {})
    assert drift.drift(Stack("homelab"), []) == 0
    said = capsys.readouterr().out
    assert "gateway does not answer: whether it drifted is not known." in said and "Of the 1 that answer none drifted." in said
