"""Fedora Atomic hosts: from stock to a signed digest, and back when the new image is red or unsigned."""

import json
from collections.abc import Iterator

import pytest

from tests.system.checkout import Checkout
from tests.system.small import atomic, grown, small_checkout

pytestmark = pytest.mark.in_order("each begins with the image that the one before it left")

FIRST, SECOND, THIRD, FOURTH = ("sha256:" + digit * 64 for digit in "abcd")
IMAGE = "ghcr.io/example/aether-kinoite"
FACTS = (f'image = "{IMAGE}"', 'health = [{ unit = "sshd.service" }]')


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The small fleet, and a workstation that nobody gave an image yet."""
    yield from grown(small_checkout(tmp_path_factory.mktemp("atomic"), atomic("workstation", 20, *FACTS)))


def booted(checkout: Checkout) -> dict[str, str]:
    """The deployment that the workstation has booted."""
    deployments = json.loads(checkout.ssh("workstation", "rpm-ostree status --json").text)["deployments"]
    found: dict[str, str] = next(item for item in deployments if item["booted"])
    return found


def test_from_stock_to_a_signed_digest_and_then_nothing_to_do(fleet: Checkout) -> None:
    assert "signed" not in booted(fleet).get("container-image-reference", "")
    fleet.replace("inventory/homelab.toml", FACTS[0], f'{FACTS[0]}\ndigest = "{FIRST}"')
    up = fleet.up()
    assert up.code == 0, up.text
    now = booted(fleet)
    assert now["container-image-reference-digest"] == FIRST
    assert now["container-image-reference"].startswith(f"ostree-image-signed:docker://{IMAGE}")
    # The first boot of the image is unverified, because the image brings the key; it is not where the host ends.
    steps = [line for line in up.text.splitlines() if "workstation: rebases to" in line]
    assert ["ostree-unverified-registry" in steps[0], "ostree-image-signed" in steps[-1]] == [True, True], steps
    assert set(fleet.preview().changes()) == {"unchanged"}


def test_a_host_that_roams_is_away_and_catches_up(fleet: Checkout) -> None:
    """It is no failure that it does not answer, and what it missed comes with the first run that finds it."""
    fleet.replace("inventory/homelab.toml", FACTS[0], f"roams = true\n{FACTS[0]}")
    fleet.replace("inventory/homelab.toml", FIRST, SECOND)
    fleet.fault("workstation", "unreachable")
    up = fleet.up()
    assert up.code == 0, up.text
    assert "workstation is away: its changes wait for the first run that finds it." in up.text
    (row,) = [line for line in fleet.ops("status").text.splitlines() if line.startswith("workstation ")]
    assert " away " in row, row
    fleet.clear_faults()
    back = fleet.up()
    assert back.code == 0, back.text
    assert booted(fleet)["container-image-reference-digest"] == SECOND
    assert set(fleet.preview().changes()) == {"unchanged"}


@pytest.mark.fault
@pytest.mark.parametrize(
    ("fault", "before", "after", "says"),
    [
        ("greenboot-red", SECOND, THIRD, "workstation: greenboot"),
        ("bad-signature", THIRD, FOURTH, "workstation: the image's signature was not accepted; the host stays on"),
    ],
)
def test_a_bad_image_leaves_the_host_on_the_one_before(fleet: Checkout, fault: str, before: str, after: str, says: str) -> None:
    assert booted(fleet)["container-image-reference-digest"] == before
    fleet.replace("inventory/homelab.toml", before, after)
    fleet.fault("workstation", fault)
    up = fleet.up()
    assert up.code != 0
    assert says in up.text, up.text
    assert booted(fleet)["container-image-reference-digest"] == before
    fleet.clear_faults()
    healed = fleet.up()
    assert healed.code == 0, healed.text
    assert booted(fleet)["container-image-reference-digest"] == after
