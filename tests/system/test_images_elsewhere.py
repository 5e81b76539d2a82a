"""Image files are one machine's: another checkout, or a runner that starts clean, goes on where the last one stopped."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.checkout import Checkout
from tests.system.small import running, small_checkout

LATER = "[hosts.log]\n"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The fleet but for the guest of the second node, which is of a later phase."""
    checkout = small_checkout(tmp_path_factory.mktemp("images"))
    checkout.replace("inventory/homelab.toml", LATER, f"{LATER}phase = 7\n")
    yield from running(checkout, "--config", "aether:phase=6")


def clean_checkout(fleet: Checkout) -> None:
    """What `git clean -ffdx` of a runner does to images."""
    shutil.rmtree(fleet.path / ".aether/images")


def test_a_later_phase_uploads_to_another_node(fleet: Checkout) -> None:
    clean_checkout(fleet)
    up = fleet.up("--config", "aether:phase=9")
    assert up.code == 0, up.text[-6000:]
    assert set(fleet.guests()) == {"web", "dns", "log"}


def test_a_refresh_without_the_files_changes_nothing(fleet: Checkout) -> None:
    clean_checkout(fleet)
    refresh = fleet.ops("refresh")
    assert refresh.code == 0, refresh.text[-6000:]
    up = fleet.up()
    assert up.code == 0, up.text[-6000:]
    assert set(up.changes()) == {"unchanged"}, up.text[-3000:]
    assert not Path(fleet.path / ".aether/images").exists(), "nothing needed the files"
