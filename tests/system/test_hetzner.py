"""A second cloud provider: one NixOS server by the real engine and the real Hetzner provider on the simulated API."""

from collections.abc import Iterator

import pytest

from tests.system.hetzner_checkout import HOST, INVENTORY, Project, checkout_of, needs_the_plugin

pytestmark = [pytest.mark.long, pytest.mark.in_order("the server is made once, changed, and destroyed last")]

PROTECTED = "aether:protect"


@pytest.fixture(scope="module")
def hetzner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One server, deployed."""
    needs_the_plugin()
    with checkout_of(tmp_path_factory.mktemp("hetzner"), "sim-hetzner", {"inventory/hetzner.toml": INVENTORY}) as checkout:
        up = checkout.up()
        assert up.code == 0, up.text[-6000:]
        yield Project(checkout)


def test_the_server_is_as_the_inventory_says_and_answers_with_its_key(hetzner: Project) -> None:
    server = hetzner.server()
    assert (server["name"], server["status"], server["server_type"]["name"]) == (HOST, "running", "cax11")
    (address,) = [each for each in hetzner.list("primary_ips") if each["name"] == HOST]
    assert server["public_net"]["ipv4"]["ip"] == address["ip"] and not address["auto_delete"]
    (firewall,) = hetzner.list("firewalls")
    assert {(rule["protocol"], rule["port"]) for rule in firewall["rules"]} == {("tcp", "22"), ("tcp", "443")}
    (volume,) = hetzner.list("volumes")
    assert (volume["size"], volume["server"]) == (10, server["id"])
    assert hetzner.checkout.ssh(HOST, "hostname").text.strip() == HOST


def test_a_second_preview_has_nothing_to_do_nor_after_a_refresh(hetzner: Project) -> None:
    again = hetzner.checkout.preview()
    assert set(again.changes()) == {"unchanged"}, again.text[-4000:]
    assert hetzner.checkout.ops("refresh").code == 0
    refreshed = hetzner.checkout.preview()
    assert set(refreshed.changes()) == {"unchanged"}, refreshed.text[-4000:]


def test_what_changes_in_place_leaves_the_server(hetzner: Project) -> None:
    before = hetzner.server()["id"]
    hetzner.edit('{ port = 443, purpose = "HTTPS" }', '{ port = 8443, purpose = "Other" }')
    hetzner.edit("volume = 10", "volume = 20")
    hetzner.checkout.touch(HOST, "another system")
    up = hetzner.checkout.up()
    assert up.code == 0, up.text[-5000:]
    assert hetzner.server()["id"] == before
    assert "8443" in {rule["port"] for rule in hetzner.list("firewalls")[0]["rules"]}
    assert hetzner.list("volumes")[0]["size"] == 20
    assert set(hetzner.checkout.preview().changes()) == {"unchanged"}


def test_a_protected_server_is_not_replaced(hetzner: Project) -> None:
    """Another image is another machine: under aether:protect the preview already refuses."""
    checkout, before = hetzner.checkout, hetzner.server()["id"]
    checkout.replace("Pulumi.sim-hetzner.yaml", f"{PROTECTED}: false", f"{PROTECTED}: true")
    assert checkout.sim("restart", "--stack", "sim-hetzner").code == 0
    up = checkout.up()
    assert up.code == 0, up.text[-5000:]
    server = hetzner.server()
    assert server["id"] == before and server["protection"] == {"delete": True, "rebuild": True}
    hetzner.edit('image = "1002"', 'image = "1003"')
    refused = checkout.preview()
    assert refused.code != 0 and "protect" in refused.text, refused.text[-3000:]
    assert hetzner.server()["id"] == before
    hetzner.edit('image = "1003"', 'image = "1002"')
    checkout.replace("Pulumi.sim-hetzner.yaml", f"{PROTECTED}: true", f"{PROTECTED}: false")
    assert checkout.sim("restart", "--stack", "sim-hetzner").code == 0
    up = checkout.up()
    assert up.code == 0, up.text[-5000:]
    assert not hetzner.server()["protection"]["delete"]


def test_destroy_leaves_nothing_in_the_project(hetzner: Project) -> None:
    """Last of this module."""
    endpoint = hetzner.settings()
    down = hetzner.checkout.run(
        hetzner.checkout.python,
        "-c",
        "from ops.stack import Stack; raise SystemExit(Stack('sim-hetzner').hear(print, 'destroy', '--yes', '--skip-preview'))",
    )
    assert down.code == 0, down.text[-4000:]
    assert endpoint == hetzner.settings()
    for kind in ("servers", "primary_ips", "volumes", "firewalls", "ssh_keys"):
        assert hetzner.list(kind) == [], kind
