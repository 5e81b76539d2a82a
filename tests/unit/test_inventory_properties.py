"""Addresses, sizes and dependency order, on whatever hypothesis thinks of."""

import graphlib
import ipaddress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory import agekey
from inventory.load import Inventory
from inventory.models import External, Network, NixosVm, Node
from inventory.parse import Draft
from inventory.problems import Lines
from inventory.rules import addresses, capacity
from inventory.rules.references import cycles

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBZtKMykG7fawfk0K3z8IgsZ0Y3VhiLbt0QHJBsO+/yG"
NAMES = [f"h{i}" for i in range(8)]

networks = st.builds(
    lambda number, prefix: ipaddress.IPv4Network((number, prefix), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(16, 29),
)
edges = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4).map(tuple))


def draft(**tables: dict[str, Any]) -> Draft:
    return Draft("x.toml", Lines(""), {name: dict(table) for name, table in tables.items()}, **tables)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(networks, st.data())
def test_an_address_is_accepted_exactly_when_a_host_may_have_it(network: ipaddress.IPv4Network, data: Any) -> None:
    inside = st.integers(0, network.num_addresses - 1).map(lambda i: network.network_address + i)
    address = data.draw(st.one_of(inside, st.ip_addresses(v=4)))
    gateway = network.network_address + 1
    one = draft(
        networks={"lan": Network(cidr=str(network), gateway=str(gateway))},
        hosts={"h": External(kind="external", address=str(address), network="lan")},
    )
    addresses.check(one)
    found = [problem for problem in one.problems if problem.where == "hosts.h"]
    special = (network.network_address, network.broadcast_address, gateway)
    assert bool(found) == (address not in network or address in special)
    # The fix is an address that would be accepted.
    for problem in found:
        free = ipaddress.IPv4Address(problem.fix.split('"')[1])
        assert free in network and free not in (*special, address)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1024, 1 << 20),
    st.integers(64, 1 << 16),
    st.lists(st.integers(64, 1 << 18), min_size=1, max_size=6),
)
def test_memory_is_overcommitted_exactly_when_the_sum_is_too_large(memory: int, reserve: int, guests: list[int]) -> None:
    one = draft(
        nodes={"n": Node(address="192.168.1.1", cpu=99, memory=memory, reserve=reserve, host_key=KEY)},
        hosts={f"g{i}": _guest(i, size) for i, size in enumerate(guests)},
    )
    capacity.check(one)
    codes = {problem.code for problem in one.problems}
    if reserve >= memory:
        assert codes == {"reserve-too-large"}
    else:
        assert codes == ({"memory-overcommitted"} if sum(guests) > memory - reserve else set())


@settings(max_examples=80, deadline=None)
@given(edges)
def test_cycles_are_found_exactly_when_there_are_any(depends_on: dict[str, tuple[str, ...]]) -> None:
    graph = {name: depends_on.get(name, ()) for name in NAMES}
    found = cycles(graph)
    for cycle in found:
        assert len(cycle) > 1
        assert all(after in graph[before] for before, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    without_self = {name: [other for other in others if other != name] for name, others in graph.items()}
    try:
        graphlib.TopologicalSorter(without_self).prepare()
    except graphlib.CycleError:
        assert found
    else:
        assert not found


@settings(max_examples=80, deadline=None)
@given(edges, st.permutations(NAMES))
def test_order_puts_each_host_after_those_it_depends_on(depends_on: dict[str, tuple[str, ...]], names: list[str]) -> None:
    # Only edges to a lower number: no cycles.
    graph = {name: tuple(other for other in depends_on.get(name, ()) if other < name) for name in names}
    hosts = {name: SimpleNamespace(depends_on=graph[name]) for name in names}
    order = Inventory(Path("x.toml"), SimpleNamespace(hosts=hosts)).order()  # type: ignore[arg-type]
    assert sorted(order) == sorted(names)
    for name, others in graph.items():
        assert all(order.index(other) < order.index(name) for other in others)


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_the_age_key_is_the_ssh_key(seed: bytes) -> None:
    """Against another implementation of both curves, from seed to recipient."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    assert agekey.public_key(pem) == line
    secret = agekey.identity(pem)
    scalar = _bech32_decode(secret.lower())
    public = X25519PrivateKey.from_private_bytes(scalar).public_key().public_bytes_raw()
    assert agekey.recipient(line) == agekey.bech32_encode("age", public)
    assert agekey.check_recipient(agekey.recipient(line)) is None
    assert agekey.x25519(scalar) == public
    # RFC 7748 decodes any 32 bytes to a scalar, as WireGuard does.
    assert agekey.x25519(seed) == X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 61), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_one_wrong_letter_of_a_recipient_is_noticed(at: int, letter: str) -> None:
    right = agekey.recipient(KEY)
    wrong = right[:at] + letter + right[at + 1 :]
    assert (agekey.check_recipient(wrong) is None) == (wrong == right)


def _guest(number: int, memory: int) -> NixosVm:
    return NixosVm.model_validate_json(
        f'{{"kind":"nixos-vm","node":"n","vmid":{100 + number},"address":"192.168.1.{10 + number}","cpu":1,'
        f'"memory":{memory},"disks":[{{"size":8}}],"host_key":"{KEY}"}}'
    )


def _bech32_decode(text: str) -> bytes:
    words = ["qpzry9x8gf2tvdw0s3jn54khce6mua7l".index(char) for char in text[text.rindex("1") + 1 : -6]]
    number = 0
    for word in words:
        number = number << 5 | word
    extra = len(words) * 5 - 256
    return (number >> extra).to_bytes(32, "big")
