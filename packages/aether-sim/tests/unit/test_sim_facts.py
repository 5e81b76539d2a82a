"""Pure parts of the simulator: addresses, store names, the stack file, cloud-init, guests of the API."""

import re
import socket
import tomllib
from pathlib import Path

import pytest
from fakepve import FakeCt, FakeVm
from hypothesis import given
from hypothesis import strategies as st

from aether_sim import block, stackfile, world
from aether_sim.fakes import catalogue
from aether_sim.fakes.store import store_name
from aether_sim.hosts import firstboot
from aether_sim.pve import guests
from aether_sim.pve.storage import NodeStores, current_node, new_stores
from aether_sim.supervisor import _has_service
from aether_sim.world import HostFacts

INVENTORY = """
[site]
domain = "example.org"
user = "mitso"
[nodes.one]
address = "192.168.1.11"
[hosts.web]
kind = "nixos-vm"
address = "192.168.10.20"
node = "one"
vmid = 100
[hosts.talos]
kind = "external"
address = "192.168.30.1"
[hosts.router]
kind = "ansible"
os = "vyos"
address = "192.168.1.1"
ssh_user = "vyos"
"""


@given(st.integers(0, 255), st.integers(0, 255), st.integers(block.FIRST, block.LAST))
def test_every_host_answers_in_the_block(third: int, fourth: int, number: int) -> None:
    assert world.sim_address(f"192.168.{third}.{fourth}", number) == f"127.{number}.{third}.{fourth}"


def test_the_world_of_an_inventory(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(INVENTORY)
    found = world.load([path])
    assert set(found.hosts) == {"one", "web", "router"}
    assert found.hosts["router"].flavour == "vyos"
    assert found.hosts["router"].users == ("root", "vyos", "mitso")
    assert found.hosts["web"].is_guest and not found.hosts["web"].stands_alone
    assert found.hosts["one"].stands_alone


def test_a_broken_inventory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[hosts")
    with pytest.raises(tomllib.TOMLDecodeError, match=re.escape(str(path))):
        world.load([path])


def test_blocks_are_claimed_once_and_freed_with_the_claim() -> None:
    number, claim = block.claim(None, "test")
    other, second = block.claim(number, "test")
    assert other != number
    claim.close()
    again, third = block.claim(number, "test")
    assert again == number
    second.close()
    third.close()


def test_a_taken_port_is_not_chosen() -> None:
    port = block.free_port(200, None, "seed")
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", port))
        taken.listen()
        assert block.free_port(200, port, "seed") != port


@given(st.binary(min_size=20, max_size=64))
def test_store_names_look_like_nix(digest: bytes) -> None:
    assert re.fullmatch(r"[0-9a-df-np-sv-z]{32}-x", store_name(digest, "x"))


def test_stack_file_merges_and_keeps_the_salt(tmp_path: Path) -> None:
    tracked, target = tmp_path / "Pulumi.sim.yaml", tmp_path / "out" / "Pulumi.sim.yaml"
    tracked.write_text("config:\n  aether:a: 1\n  aether:b: 2\n")
    assert stackfile.write(target, tracked, {"aether:b": 3})
    target.write_text("encryptionsalt: v1:x\n" + target.read_text())
    assert stackfile.write(target, tracked, {"aether:b": 3})
    assert not stackfile.write(target, tracked, {"aether:b": 3})
    text = target.read_text()
    assert "encryptionsalt: v1:x" in text
    assert "aether:a: 1" in text and "aether:b: 3" in text


def test_cloud_config() -> None:
    seed = firstboot.seed_of_user_data(
        "#cloud-config\nhostname: h\nssh_keys: {ed25519_private: KEY}\nssh_authorized_keys: [a]\n"
        "users: [default, {name: me, ssh_authorized_keys: [b]}]\n"
        "write_files: [{path: /x, content: aGk=, encoding: b64, permissions: '0600', owner: 'me:me'}]\nruncmd: [[ls], 'true']\n",
        "i-1",
    )
    assert (seed.hostname, seed.host_key, seed.instance) == ("h", "KEY", "i-1")
    assert seed.authorized == {"root": ["a"], "me": ["b"]}
    assert seed.files == [firstboot.WriteFile("/x", "hi", 0o600, "me")]
    assert seed.commands == [["ls"], "true"]
    for bad in ("hostname: h", "#cloud-config\n: ["):
        with pytest.raises(ValueError, match="user data"):
            firstboot.seed_of_user_data(bad, "i")


def test_host_keys_are_real() -> None:
    private = firstboot.random_host_key()
    assert private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert firstboot.public_line(private, "me").startswith("ssh-ed25519 AAAA")


def test_guests_survive_being_written_and_read() -> None:
    vm = FakeVm(100, "web", node="one", status="running", config={"ipconfig0": "ip=192.168.10.20/24,gw=192.168.10.1"})
    ct = FakeCt(101, "ct", node="one", config={"net0": "name=eth0,ip=192.168.10.21/24"})
    for guest in (vm, ct):
        state = guests.dump(guest)
        again = guests.restore(state)
        assert guests.dump(again) == state
    assert guests.identity(vm) == guests.Identity("web", "192.168.10.20")
    assert guests.identity(ct) == guests.Identity("ct", "192.168.10.21")
    vm.lock = "create"
    # A guest that was being made when the simulator ended was never there.
    assert guests.restore(guests.dump(vm)) is None


def test_guests_without_address_answer_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(INVENTORY)
    found = world.load([path])
    stranger = FakeVm(200, "stranger", node="one")
    assert guests.facts_of(stranger, found, "") is None
    stranger.config["ipconfig0"] = "ip=192.168.11.1/24"
    facts = guests.facts_of(stranger, found, "local:import/debian-12.qcow2")
    assert facts is not None and (facts.flavour, facts.address) == ("debian", "192.168.11.1")
    known = guests.facts_of(FakeVm(100, "web", node="one"), found, "")
    assert known is found.hosts["web"]


def test_each_node_has_its_own_storages() -> None:
    stores = NodeStores({name: new_stores("local", "local-zfs") for name in ("one", "two")})
    token = current_node.set("two")
    stores["local"]["volumes"]["iso/x.iso"] = {"content": "iso"}
    current_node.reset(token)
    assert "iso/x.iso" not in stores.of("one")["local"]["volumes"]
    assert "iso/x.iso" in stores.of("two")["local"]["volumes"]


@pytest.mark.parametrize("flavour", ["nixos", "pve", "debian", "alpine", "fedora", "atomic", "vyos", "amazon-linux", "wsl"])
def test_every_command_of_a_flavour_has_its_program(flavour: str) -> None:
    catalog = catalogue.of(flavour)
    sources = {path.name for path in catalog.sources()}
    assert set(catalog.commands().values()) <= sources
    for path in catalog.sources():
        if path.suffix == ".py":
            # Each says at its top what it imitates, or what it is for.
            assert '"""' in path.read_text()[:400], path.name


def test_a_template_is_known_by_what_is_in_it() -> None:
    """Whose name begins with an environment's."""
    from aether_sim.pve.server import ostype_of

    assert ostype_of("local:vztmpl/nixos-lxc-5bc4.tar.xz") == ostype_of("local:vztmpl/staging-nixos-lxc-5bc4.tar.xz") == "nixos"
    assert ostype_of("local:vztmpl/debian-13-standard_13.1-1_amd64.tar.zst") == "debian"
    assert ostype_of("local:vztmpl/own.tar.xz") == "unmanaged"


@pytest.mark.parametrize(
    ("health", "some"),
    [
        ((), True),
        (({"unit": "sshd.service"},), False),
        (({"unit": "sshd.service"}, {"unit": "caddy.service"}), True),
        (({"tcp": 80},), True),
    ],
)
def test_a_fault_of_health_needs_a_service_that_can_fail(health: tuple[dict[str, object], ...], some: bool) -> None:
    assert _has_service(HostFacts("web", "nixos-vm", "nixos", "192.0.2.1", health=health)) is some
