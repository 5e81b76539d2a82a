"""Homelab and cloud side by side on one simulator: each deploys apart; the homelab asks the cloud for images."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from aether_sim.registry import images
from tests.system.checkout import Checkout
from tests.system.cloud_checkout import CloudCheckout

pytestmark = pytest.mark.long


@dataclass
class Both:
    """The same checkout and simulator, seen from each stack."""

    homelab: Checkout
    cloud: CloudCheckout

    def supervisor(self) -> int:
        """Process id of the simulator."""
        return int(json.loads((self.cloud.simulator / "supervisor.json").read_text())["pid"])

    def booted(self, host: str) -> dict[str, str]:
        """The deployment that an Atomic host has booted."""
        deployments = json.loads(self.homelab.ssh(host, "rpm-ostree status --json").text)["deployments"]
        found: dict[str, str] = next(item for item in deployments if item["booted"])
        return found


def applied(checkout: Checkout) -> str:
    result = checkout.up()
    assert result.code == 0, result.text[-5000:]
    return result.text


@pytest.fixture(scope="module")
def both(checkout: Checkout) -> Iterator[Both]:
    """The deployed homelab and, beside it, the cloud; taken away again afterwards."""
    made = Both(checkout, CloudCheckout(Checkout(checkout.path, stack="sim-cloud")))
    try:
        before = made.supervisor()
        applied(made.cloud.checkout)
        applied(made.homelab)
        assert made.supervisor() == before, "the second stack found the simulator running"
        yield made
    finally:
        made.cloud.checkout.ops("down")
        applied(checkout)


def test_both_second_previews_are_empty(both: Both) -> None:
    for stack in (both.homelab, both.cloud.checkout):
        result = stack.preview()
        assert set(result.changes()) == {"unchanged"}, result.text[-3000:]


def test_the_public_gateway_is_told_where_home_is(both: Both) -> None:
    never_banned = both.cloud.checkout.ssh("public-gateway", "grep ignoreip /etc/fail2ban/jail.local")
    assert "192.168.10.10" in never_banned.text


def test_atomic_hosts_run_what_the_image_repository_published(both: Both) -> None:
    digest = both.cloud.images()["aether-kinoite-nvidia"].partition("@")[2]
    now = both.booted("workstation")
    assert now["container-image-reference"] == f"ostree-image-signed:docker://ghcr.io/example/aether-kinoite-nvidia@{digest}"


def test_an_image_that_was_built_again_changes_the_hosts_that_run_it_and_no_other(both: Both) -> None:
    """As the weekly build does, which no commit asks for: another text in aether:imageBuild looks for it."""
    simulator, tools = both.cloud.simulator, both.cloud.checkout.path / ".aether/engine/bin"
    registry = both.cloud.images()["aether-kinoite-nvidia"].partition("@")[0]
    digest = images.push(tools, f"{registry}:latest", "the second build\n")
    images.Signer(simulator / "keys/image", tools).sign(f"{registry}@{digest}")
    applied(both.cloud.checkout)
    assert both.cloud.images()["aether-kinoite-nvidia"] != f"{registry}@{digest}", "nothing changed, so nobody was asked"
    weekly = both.cloud.checkout.up("--config", "aether:imageBuild=weekly")
    assert weekly.code == 0, weekly.text[-3000:]
    assert both.cloud.images()["aether-kinoite-nvidia"] == f"{registry}@{digest}"
    assert both.homelab.preview().changes()["to update"] == 1
    applied(both.homelab)
    assert both.booted("workstation")["container-image-reference"].endswith(digest)


def test_either_goes_without_the_other(both: Both) -> None:
    """Last of this module: the cloud is gone afterwards."""
    down = both.cloud.checkout.ops("down")
    assert down.code == 0, down.text[-4000:]
    assert "The simulator goes on" in down.text
    assert both.cloud.instances() == {}
    assert both.homelab.ssh("gateway", "hostname").text.strip() == "gateway"
    booted = both.booted("workstation")
    applied(both.homelab)
    assert set(both.homelab.preview().changes()) == {"unchanged"}
    assert both.booted("workstation") == booted, "what was published stays where it runs"
