"""Fedora Atomic hosts: from stock to a signed digest, and back when the new image is red or unsigned."""

import json

import pytest

from tests.system.checkout import Checkout

FIRST, SECOND = ("sha256:" + digit * 64 for digit in "ab")
HOST = '[hosts.workstation]\nkind = "atomic"\n'


def pin(checkout: Checkout, digest: str) -> None:
    checkout.replace("inventory/homelab.toml", HOST, f'{HOST}digest = "{digest}"\n')


def booted(checkout: Checkout) -> dict[str, str]:
    """The deployment that the workstation has booted."""
    deployments = json.loads(checkout.ssh("workstation", "rpm-ostree status --json").text)["deployments"]
    found: dict[str, str] = next(item for item in deployments if item["booted"])
    return found


def test_from_stock_to_a_signed_digest_and_then_nothing_to_do(settled: Checkout) -> None:
    assert "signed" not in booted(settled).get("container-image-reference", "")
    pin(settled, FIRST)
    up = settled.up()
    assert up.code == 0, up.text
    now = booted(settled)
    assert now["container-image-reference-digest"] == FIRST
    assert now["container-image-reference"].startswith("ostree-image-signed:docker://ghcr.io/example/aether-kinoite-nvidia")
    # The first boot of the image is unverified, because the image brings the key; it is not where the host ends.
    steps = [line for line in up.text.splitlines() if "workstation: rebases to" in line]
    assert ["ostree-unverified-registry" in steps[0], "ostree-image-signed" in steps[-1]] == [True, True], steps
    assert set(settled.preview().changes()) == {"unchanged"}


def test_a_host_that_roams_is_away_and_catches_up(settled: Checkout) -> None:
    """It is no failure that it does not answer, and what it missed comes with the first run that finds it."""
    settled.replace("inventory/homelab.toml", HOST, f"{HOST}roams = true\n")
    pin(settled, FIRST)
    settled.fault("workstation", "unreachable")
    up = settled.up()
    assert up.code == 0, up.text
    assert "workstation is away: its changes wait for the first run that finds it." in up.text
    (row,) = [line for line in settled.ops("status").text.splitlines() if line.startswith("workstation ")]
    assert " away " in row, row
    settled.clear_faults()
    back = settled.up()
    assert back.code == 0, back.text
    assert booted(settled)["container-image-reference-digest"] == FIRST
    assert set(settled.preview().changes()) == {"unchanged"}


@pytest.mark.fault
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("greenboot-red", "workstation: greenboot"),
        ("bad-signature", "workstation: the image's signature was not accepted; the host stays on"),
    ],
)
def test_a_bad_image_leaves_the_host_on_the_one_before(settled: Checkout, fault: str, says: str) -> None:
    pin(settled, FIRST)
    assert settled.up().code == 0
    settled.replace("inventory/homelab.toml", FIRST, SECOND)
    settled.fault("workstation", fault)
    up = settled.up()
    assert up.code != 0
    assert says in up.text, up.text
    assert booted(settled)["container-image-reference-digest"] == FIRST
    settled.clear_faults()
    healed = settled.up()
    assert healed.code == 0, healed.text
    assert booted(settled)["container-image-reference-digest"] == SECOND
