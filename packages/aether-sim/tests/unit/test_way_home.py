"""The simulated tunnel: what a request at the public gateway is answered with, by what runs at both ends."""

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aether_sim.way_home import FRONT_DOOR, HERE, THERE, WayHome

ROOT = Path(__file__).resolve().parents[4]
KEY = base64.b64encode(bytes(32)).decode()
NAME = "auth.example.org"


def machine(name: str, *active: str, failed: bool = False, conf: str = "") -> Any:
    services = SimpleNamespace(is_active=lambda unit: unit in active, failed=lambda: ["a unit"] if failed else [])
    return SimpleNamespace(name=name, state="up", services=services, root=SimpleNamespace(read_text=lambda _: conf))


def conf(private: str = KEY) -> str:
    public = (ROOT / "nix/pki/gateway-wireguard.pub").read_text().strip()
    return f"[Interface]\nPrivateKey = {private}\n\n[Peer]\nPublicKey = {public}\n"


def world() -> dict[str, Any]:
    """Both ends as they should be."""
    return {
        "public-gateway": machine("public-gateway", FRONT_DOOR, HERE, conf=conf()),
        "gateway": machine("gateway", THERE, FRONT_DOOR),
        "keycloak": machine("keycloak"),
    }


def status(hosts: dict[str, Any], name: str = NAME) -> int:
    files = [ROOT / "inventory/cloud.toml", ROOT / "inventory/homelab.toml"]
    paths = SimpleNamespace(repo=ROOT)
    supervisor: Any = SimpleNamespace(inventory_files=lambda: files, hosts=hosts, paths=paths)
    return WayHome(supervisor).status(hosts["public-gateway"], FRONT_DOOR, name, 200)


def test_home_answers_through_the_tunnel() -> None:
    assert status(world()) == 200


@pytest.mark.parametrize(
    "broken",
    [
        {"public-gateway": machine("public-gateway", FRONT_DOOR, conf=conf())},
        {"public-gateway": machine("public-gateway", FRONT_DOOR, HERE, conf=conf(private="REPLACE-ME"))},
        {"public-gateway": machine("public-gateway", FRONT_DOOR, HERE, conf="[Peer]\nPublicKey = another\n")},
        {"gateway": machine("gateway", FRONT_DOOR)},
        {"gateway": machine("gateway", THERE)},
        {"keycloak": machine("keycloak", failed=True)},
    ],
    ids=["no tunnel", "no key", "another peer", "home does not dial", "home's proxy is down", "the service is down"],
)
def test_a_way_that_is_broken_anywhere_is_a_bad_gateway(broken: dict[str, Any]) -> None:
    assert status(world() | broken) == 502


def test_what_is_no_public_service_has_nothing_to_do_with_the_tunnel() -> None:
    assert status({**world(), "gateway": machine("gateway")}, "grafana.home.example.org") == 200


def test_an_environment_has_its_bases_services_at_its_own_hosts() -> None:
    supervisor: Any = SimpleNamespace(inventory_files=lambda: [ROOT / "inventory/staging.toml"])
    assert "staging-keycloak" in WayHome(supervisor).services.values()
