"""nix/lib on a small fixture, by a bare Nix."""

import json
from pathlib import Path
from typing import Any

import pytest

from nix.tools import evaluate

HERE = Path(__file__).parent
LIB = f"import {evaluate.path_literal(evaluate.ROOT / 'nix/lib')}"
FIXTURE = evaluate.path_literal(HERE / "fixture")

pytestmark = pytest.mark.usefixtures("nix")


def value(expression: str) -> Any:
    return evaluate.run(["eval", "--json", "--impure", "--expr", expression], json_output=True).value


def lib(expression: str) -> Any:
    return value(f"with ({LIB} {{ root = {FIXTURE}; }}); {expression}")


def test_units() -> None:
    results = value(f"import {evaluate.path_literal(HERE / 'lib.nix')} {{ lib = {LIB}; fixture = {FIXTURE}; }}")
    assert len(results) > 20
    wrong = {name: result for name, result in results.items() if result["expr"] != result["expected"]}
    assert wrong == {}


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ('inventory.address "nobody"', r"'nobody' is neither a host nor a node of the inventory"),
        ('hosts.file "nobody"', r"'nobody' is not a NixOS host of the inventory \(those are cloudy, lonely"),
        (
            'hosts.file "vanished"',
            r"(?s)'vanished' has no NixOS configuration.*Write nix/hosts/node1/vanished\.nix:",
        ),
        (
            'hosts.file "twice"',
            r"written twice: nix/hosts/node1/twice\.nix and nix/hosts/twice\.nix",
        ),
        ('net.octets "10.0.0"', r"'10\.0\.0' is not an IPv4 address"),
        ('net.prefixLength "10.0.0.0"', r"'10\.0\.0\.0' is not a network; write it as"),
    ],
)
def test_mistakes_say_what_to_write(expression: str, message: str) -> None:
    with pytest.raises(evaluate.NixError, match=message):
        lib(expression)


def test_a_kind_that_is_new_is_nixos_unless_it_says_otherwise() -> None:
    """A provider's kind is added to the models alone (docs/extending.md)."""
    hosts = {
        "new": {"kind": "outland-vm"}, "vm": {"kind": "nixos-vm"}, "cloud": {"kind": "cloud-vm", "os": "nixos"},
        "gateway": {"kind": "cloud-vm", "os": "amazon-linux"}, "router": {"kind": "ansible", "os": "vyos"},
        "desktop": {"kind": "atomic"}, "switch": {"kind": "external"},
    }  # fmt: skip
    others = "builtins.filter (name: !wanted hosts.${name}) (builtins.attrNames hosts)"
    where = f"{{ hostsWhere = wanted: builtins.removeAttrs hosts ({others}); }}"
    file = evaluate.path_literal(evaluate.ROOT / "nix/lib/hosts.nix")
    given = f"let hosts = builtins.fromJSON ''{json.dumps(hosts)}''; in"
    found = value(f"{given} builtins.attrNames (import {file} {{ root = {FIXTURE}; inventory = {where}; }}).nixos")
    assert found == ["cloud", "new", "vm"]


def test_the_real_inventory_is_read() -> None:
    hosts = value(f"builtins.attrNames ({LIB} {{ root = {evaluate.path_literal(evaluate.ROOT)}; }}).hosts.nixos")
    assert {"gateway", "cockpit", "keycloak"} <= set(hosts)
