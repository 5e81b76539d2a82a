"""Nodes that are down, hosts that are away, and what is left out for them."""

import socket
from pathlib import Path

import pytest

from inventory.load import load
from ops import unreachable
from ops.stack import Stack
from stacks import ssh

INVENTORY = load(Path("inventory/homelab.toml"))


def reach(monkeypatch: pytest.MonkeyPatch, answering: set[str]) -> None:
    monkeypatch.setattr(unreachable, "_answers", lambda access, seconds: access.address in answering)


def test_one_that_does_not_answer_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = {name: access.address for name, access in ssh.accesses(INVENTORY, "").items()}
    everywhere = {addresses[name] for name in INVENTORY.nodes}
    reach(monkeypatch, everywhere - {addresses["niobe"]})
    assert unreachable.silent(Stack("homelab"), INVENTORY).down == ["niobe"]
    reach(monkeypatch, everywhere)
    assert unreachable.silent(Stack("homelab"), INVENTORY).down == []


def test_none_is_down_where_none_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's own network, rather: the engine says what is wrong."""
    reach(monkeypatch, set())
    assert unreachable.silent(Stack("homelab"), INVENTORY).down == []


def test_what_is_on_it_is_left_out() -> None:
    left_out = unreachable.exclusions(INVENTORY, ["niobe"])
    assert left_out[-1] == "--exclude-dependents"
    names = {word.removeprefix("**::") for word in left_out if word.startswith("**")}
    assert names == {"niobe", "nixos-vm-niobe", "nixos-lxc-niobe", "monitoring", "iot", "cockpit"}


def test_only_a_host_that_roams_may_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {name for name, host in INVENTORY.hosts.items() if getattr(host, "roams", False)} == {"laptop"}
    reach(monkeypatch, set())
    assert unreachable.silent(Stack("homelab"), INVENTORY).away == ["laptop"]
    assert unreachable.left_out(unreachable.homes_of(["laptop"])) == [
        "--exclude", "**::laptop", "--exclude", "**::laptop-home", "--exclude-dependents",
    ]  # fmt: skip
    reach(monkeypatch, {ssh.accesses(INVENTORY, "")["laptop"].address})
    assert unreachable.silent(Stack("homelab"), INVENTORY).away == []


def test_an_open_port_is_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        access = ssh.Access("127.0.0.1", server.getsockname()[1], "root", "")
        assert unreachable._answers(access, 5)
    assert not unreachable._answers(access, 5)
