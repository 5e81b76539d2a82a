"""What deployments are told of the fleet's cache and its builders: files beside the SSH configuration, not a host's state."""

import base64
from pathlib import Path

import pytest

from inventory.building import Builder, Cache
from inventory.load import Inventory, load
from inventory.readers import UNREAD_BY_SYSTEMS
from stacks import ssh
from stacks.settings import Settings

HOMELAB = Path("inventory/homelab.toml")


def written(monkeypatch: pytest.MonkeyPatch, inventory: Inventory, key: str = "") -> dict[str, list[str]]:
    files: dict[str, str] = {}
    monkeypatch.setattr(ssh, "_write", lambda path, content: files.__setitem__(path.name, content))
    ssh.write_client_config(Settings(stack="unit", composition="homelab", inventory=HOMELAB, operator_key_file=key), inventory)
    return {name: files[name].splitlines() for name in ("cache", "builders")}


def inventory(cache: Cache | None = None, **builders: Builder) -> Inventory:
    known = load(HOMELAB)
    hosts = {name: host.model_copy(update={"pulls": False}) if name == "gateway" else host for name, host in known.hosts.items()}
    return Inventory(HOMELAB, known.content.model_copy(update={"cache": cache, "builders": builders, "hosts": hosts}))


def test_without_either_the_files_are_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(monkeypatch, inventory()) == {"cache": [], "builders": []}


def test_nixos_hosts_take_from_the_cache_but_those_that_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = written(monkeypatch, inventory(Cache(push="s3://cache", pull="https://cache.example.org")))["cache"]
    assert "dev s3://cache https://cache.example.org" in lines
    assert not {"gateway", "gaming", "gpu", "talos-1"} & {line.split()[0] for line in lines}
    assert written(monkeypatch, inventory(Cache(push="https://one")))["cache"][0].split()[1:] == ["https://one", "https://one"]


def test_a_host_that_may_be_away_is_told_to_take_orders_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = written(monkeypatch, inventory(Cache(push="s3://cache", pull="https://cache.example.org")))["cache"]
    assert [line for line in lines if len(line.split()) != 3] == ["laptop s3://cache https://cache.example.org orders"]


def test_a_builder_is_a_line_of_nixs_machines_file_with_its_key_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = inventory(dev=Builder(features=("kvm", "big-parallel"), jobs=4, speed=2), desktop=Builder(systems=("aarch64-linux",)))
    first, second = (line.split(" ") for line in written(monkeypatch, facts, "/srv/aether/key")["builders"])
    host = facts.hosts["dev"]
    assert first[0] == f"ssh-ng://root@{host.address}" and first[1] == "x86_64-linux"
    # Of the checkout's own Nix could not read one whose folder has a space.
    assert first[2] == "/srv/aether/key" and first[3:7] == ["4", "2", "kvm,big-parallel", "-"]
    assert base64.b64decode(first[7]).decode() == " ".join(facts.managed()["dev"].host_key.split()[:2])
    assert second[1] == "aarch64-linux" and second[5] == "-"
    # Words are told apart by spaces.
    assert written(monkeypatch, facts, "a folder/key")["builders"][0].split(" ")[2] == "-"


def test_how_a_system_is_carried_is_no_part_of_it() -> None:
    assert {"pulls", "build_on"} <= UNREAD_BY_SYSTEMS
