"""The source closure: what a host is made of, and what is not part of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.nixos.source_closure import entry_file, image_hash, reachable, source_hash
from inventory.readers import UNREAD_BY_SYSTEMS

INVENTORY = """
[site]
name = "lab"

[hosts.web]
kind = "nixos-vm"
node = "metal"
memory = 1024
address = "192.168.10.10"
secrets = ["hosts/web.yaml"]

[hosts.dns]
kind = "nixos-lxc"
node = "metal"
memory = 512
address = "192.168.10.11"
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    files = {
        "flake.nix": "{ outputs = inputs: import ./nix inputs; }",
        "flake.lock": "{}",
        "nix/default.nix": "inputs: { lib = import ./lib; m = ./modules; hosts = ./hosts; }",
        "nix/lib/default.nix": "{ }",
        "nix/modules/base.nix": "{ }",
        "nix/profiles/server.nix": "{ imports = [ ../modules/base.nix ]; }",
        "nix/hosts/metal/web.nix": "{ imports = [ ../../profiles/server.nix ./web-extra.nix ]; }",
        "nix/hosts/metal/web-extra.nix": "{ # ./commented.nix\n source = ./web-files; }",
        "nix/hosts/metal/web-files/a.txt": "a",
        "nix/hosts/metal/commented.nix": "{ }",
        "nix/hosts/metal/dns/default.nix": "{ }",
        "nix/hosts/metal/dns/zones.json": "{}",
        "nix/images/vm.nix": "{ }",
        "inventory/lab.toml": INVENTORY,
        "secrets/hosts/web.yaml": "x: 1",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digest(repository: Path, host: str) -> str:
    return source_hash(repository, [Path("inventory/lab.toml")], host)


def edit(repository: Path, file: str, text: str) -> None:
    path = repository / file
    before = path.stat().st_mtime_ns
    path.write_text(text)
    # Hashes are kept by modification time; an edit within one tick of the clock must not go unseen here.
    import os

    os.utime(path, ns=(before + 1_000_000, before + 1_000_000))


def test_a_host_is_found_as_a_file_or_as_a_folder(repository: Path) -> None:
    assert entry_file(repository, "web", "metal") == Path("nix/hosts/metal/web.nix")
    assert entry_file(repository, "dns", "metal") == Path("nix/hosts/metal/dns/default.nix")
    assert entry_file(repository, "nobody", "metal") is None


def test_imports_folders_and_files_beside_are_followed_and_comments_are_not(repository: Path) -> None:
    found = {str(path) for path in reachable(repository, [Path("nix/hosts/metal/web.nix")])}
    assert found == {
        "nix/hosts/metal/web.nix",
        "nix/hosts/metal/web-extra.nix",
        "nix/hosts/metal/web-files/a.txt",
        "nix/profiles/server.nix",
        "nix/modules/base.nix",
    }


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("nix/hosts/metal/web.nix", {"web"}),
        ("nix/hosts/metal/web-files/a.txt", {"web"}),
        ("nix/hosts/metal/dns/zones.json", {"dns"}),
        ("nix/modules/base.nix", {"web", "dns"}),
        ("flake.lock", {"web", "dns"}),
        ("nix/hosts/metal/commented.nix", set()),
        ("nix/images/vm.nix", set()),
    ],
)
def test_a_change_is_seen_by_the_hosts_that_read_the_file(repository: Path, file: str, changed: set[str]) -> None:
    before = {host: digest(repository, host) for host in ("web", "dns")}
    edit(repository, file, (repository / file).read_text() + "\n# another\n")
    assert {host for host in before if digest(repository, host) != before[host]} == changed


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("memory = 512", "memory = 768", {"dns"}),
        ("memory = 1024", "memory = 2048", {"web"}),
        ("192.168.10.11", "192.168.10.12", {"web", "dns"}),
        ('name = "lab"', 'name = "house"', {"web", "dns"}),
    ],
)
def test_a_fact_is_seen_by_the_hosts_that_it_can_matter_to(repository: Path, old: str, new: str, changed: set[str]) -> None:
    before = {host: digest(repository, host) for host in ("web", "dns")}
    edit(repository, "inventory/lab.toml", INVENTORY.replace(old, new))
    assert {host for host in before if digest(repository, host) != before[host]} == changed


@given(st.sampled_from(sorted(UNREAD_BY_SYSTEMS)), st.integers(1, 10**6))
def test_no_fact_of_provisioning_or_rebasing_another_host_matters(fact: str, value: int) -> None:
    from components.nixos.source_closure import _visible_to

    def table(own: int) -> dict[str, object]:
        return {"hosts": {"web": {"address": "a"}, "dns": {fact: own}}}

    assert _visible_to("web", table(value)) == _visible_to("web", table(value + 1))
    assert _visible_to("dns", table(value)) != _visible_to("dns", table(value + 1))


def test_a_cache_is_part_of_who_asks_it_for_orders_alone(repository: Path) -> None:
    edit(repository, "inventory/lab.toml", INVENTORY.replace('kind = "nixos-vm"', 'kind = "nixos-metal"\nroams = true'))
    before = {host: digest(repository, host) for host in ("web", "dns")}
    edit(repository, "inventory/lab.toml", (repository / "inventory/lab.toml").read_text() + '[cache]\npush = "https://cache"\n')
    assert {host for host in before if digest(repository, host) != before[host]} == {"web"}


def test_an_image_changes_with_its_own_files_and_the_pins_alone(repository: Path) -> None:
    before = image_hash(repository)
    edit(repository, "nix/modules/base.nix", "{ a = 1; }")
    assert image_hash(repository) == before
    edit(repository, "nix/images/vm.nix", "{ a = 1; }")
    assert image_hash(repository) != before


def test_a_group_that_deploys_a_part_of_the_fleet_is_its_hosts_affair(repository: Path) -> None:
    """And that of those whose files name every group: who gives certificates, and who knows people."""
    edit(repository, "nix/hosts/metal/dns/default.nix", "{ aether, ... }: { names = aether.inventory.deployers; }")
    edit(repository, "inventory/lab.toml", INVENTORY + '[hosts.log]\nkind = "nixos-lxc"\naddress = "192.168.10.12"\n')
    before = {host: digest(repository, host) for host in ("web", "dns", "log")}
    text = (repository / "inventory/lab.toml").read_text()
    edit(repository, "inventory/lab.toml", text + '[deployers.media]\nhosts = ["web"]\n')
    after = {host: digest(repository, host) for host in before}
    assert [host for host in before if before[host] != after[host]] == ["web", "dns"]
    # Whose else a group is says nothing to who knows its name.
    edit(repository, "inventory/lab.toml", text + '[deployers.media]\nhosts = ["web", "log"]\n')
    assert [host for host in before if after[host] != digest(repository, host)] == ["log"]
