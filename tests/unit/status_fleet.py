"""A fleet of which each host answers in a way of its own, as `aether status` sees it."""

from typing import Any

import pytest

from ops import fleet
from ops.stack import Stack
from ops.status import command, facts
from ops.status.facts import Fleet
from stacks.live import Report


@pytest.fixture(autouse=True)
def reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preview has written how hosts are reached; the answers are the tests' own."""
    monkeypatch.setattr("ops.hosts.known", lambda stack: "config")


NOW = 1_800_000_000
GATEWAY: dict[str, Any] = {
    "current": "/nix/store/abc-nixos-system-gateway-25.11", "booted": "/nix/store/abc-nixos-system-gateway-25.11",
    "desired": "source:1", "deployed": "/nix/store/abc-nixos-system-gateway-25.11", "since": str(NOW - 7200),
    "kernel": "same", "generation": "7",
    "deployed_at": NOW - 7200, "last": {"id": "ada@desk:4711", "outcome": "deployed", "revision": "0123456789ab"},
    "certificate": NOW - 3600, "backup": NOW - 40 * 3600, "load": 0.5, "memory": 2048 * 1024, "available": 1024 * 1024,
    "unhealthy": [], "failed": [],
}  # fmt: skip
KEYCLOAK = GATEWAY | {
    "current": "/nix/store/other-system", "kernel": "other", "backup": None, "unhealthy": ["tcp 8443"],
    "failed": ["x<y>.service"],
}  # fmt: skip


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Report]:
    """Hosts' reports by name, all of them deployed, none asked."""
    found = {
        "gateway": Report("gateway", True, facts=dict(GATEWAY)),
        "keycloak": Report("keycloak", True, facts=dict(KEYCLOAK)),
        "media": Report("media", False, reason="No route to host"),
        "niobe": Report("niobe", True, facts={"load": 1.5, "memory": 32768 * 1024, "available": 1000 * 1024}),
    }
    monkeypatch.setattr(facts, "reports", lambda *_, **__: found)
    monkeypatch.setattr(facts, "_wanted", lambda *_: {"gateway": "source:1", "keycloak": "source:2"})
    monkeypatch.setattr("ops.status.facts.time.time", lambda: NOW)
    monkeypatch.setattr(command, "deployed", lambda _: set(found))
    return found


@pytest.fixture
def seen(answers: dict[str, Report]) -> Fleet:
    stack = Stack("homelab")
    return facts.look(stack, fleet.inventory_of(stack), set(answers))
