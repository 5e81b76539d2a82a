"""Two environments of one composition, side by side on one cluster: neither sees, changes or blocks the other."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.system.checkout import Checkout
from tests.system.small import small_checkout, staging

pytestmark = [
    pytest.mark.long,
]


@dataclass
class Environments:
    """The small fleet, and an environment that is laid over it."""

    production: Checkout
    staging: Checkout


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environments]:
    checkout = small_checkout(tmp_path_factory.mktemp("environments"), added={"inventory/staging.toml": staging("web", "dns")})
    made = Environments(checkout, Checkout(checkout.path, stack="sim-staging"))
    try:
        for each in (made.production, made.staging):
            up = each.up()
            assert up.code == 0, up.text[-6000:]
        yield made
    finally:
        checkout.close()


def test_both_stand_on_one_cluster_and_nothing_is_left_to_do(both: Environments) -> None:
    guests = {name: (guest["vmid"], guest["node"]) for name, guest in both.production.guests().items()}
    assert guests == {
        "web": (110, "pve1"),
        "dns": (111, "pve1"),
        "log": (112, "pve2"),
        "staging-web": (910, "pve1"),
        "staging-dns": (911, "pve1"),
    }
    for each in (both.production, both.staging):
        preview = each.preview()
        assert preview.code == 0, preview.text
        assert set(preview.changes()) == {"unchanged"}, preview.text


def test_an_environment_has_its_own_hosts_and_sets_up_no_node(both: Environments) -> None:
    assert both.staging.ssh("staging-web", "hostname").text.strip() == "staging-web"
    assert both.production.ssh("web", "hostname").text.strip() == "web"
    playbooks = [each["urn"] for each in both.staging.resources() if each["type"] == "aether:ansible:Playbook"]
    assert playbooks == []
    files = {each["outputs"]["fileName"] for each in both.staging.resources() if each["type"].startswith("proxmoxve:index/file")}
    assert files
    assert all(name.startswith("staging-nixos-") for name in files)


def test_a_change_of_the_environment_leaves_production_alone(both: Environments) -> None:
    checkout = both.staging
    checkout.replace("inventory/staging.toml", "[hosts.web]\n", "[hosts.web]\nmemory = 768\n")
    assert set(both.production.preview().changes()) == {"unchanged"}
    preview = checkout.preview()
    # The machine, and its system: a host's own facts are what Nix may read.
    assert re.findall(r"urn=urn:pulumi:\S+::(\S+)\]\n.*\n +~", preview.text) == ["staging-web", "staging-web"], preview.text
    assert preview.changes()["to update"] == 2, preview.text
    up = checkout.up()
    assert up.code == 0, up.text[-4000:]
    guests = [each["outputs"] for each in checkout.resources() if each["type"] == "proxmoxve:index/vmLegacy:VmLegacy"]
    assert [(guest["name"], guest["memory"]["dedicated"]) for guest in guests] == [("staging-web", 768)]


def test_a_change_of_the_sources_goes_through_staging_to_production(both: Environments) -> None:
    before = both.production.system("web")
    both.production.touch("web", "a change for both")
    up = both.staging.up()
    assert up.code == 0, up.text[-4000:]
    assert both.production.system("web") == before
    assert both.production.preview().changes().get("to update") == 1
    up = both.production.up()
    assert up.code == 0, up.text[-4000:]
    assert both.production.system("web") != before


def test_an_environment_goes_and_takes_nothing_along(both: Environments) -> None:
    down = both.staging.ops("down")
    assert down.code == 0, down.text[-4000:]
    assert set(both.production.guests()) == {"web", "dns", "log"}
    preview = both.production.preview("--refresh")
    assert set(preview.changes()) == {"unchanged"}, preview.text
