"""Image files are one machine's: another checkout, or a runner that starts clean, goes on where the last one stopped."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.lab import Lab
from tests.system.small import small_lab

LATER = "[hosts.log]\n"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The fleet but for the guest of the second node, which is of a later phase."""
    lab = small_lab(tmp_path_factory.mktemp("images"))
    lab.replace("inventory/homelab.toml", LATER, f"{LATER}phase = 7\n")
    try:
        up = lab.up("--config", "aether:phase=6")
        assert up.code == 0, up.text[-6000:]
        yield lab
    finally:
        lab.close()


def clean_checkout(lab: Lab) -> None:
    """What `git clean -ffdx` of a runner does to images."""
    shutil.rmtree(lab.path / ".aether/images")


def test_a_later_phase_uploads_to_another_node(lab: Lab) -> None:
    clean_checkout(lab)
    up = lab.up("--config", "aether:phase=9")
    assert up.code == 0, up.text[-6000:]
    assert set(lab.guests()) == {"web", "dns", "log"}


def test_a_refresh_without_the_files_changes_nothing(lab: Lab) -> None:
    clean_checkout(lab)
    refresh = lab.ops("refresh")
    assert refresh.code == 0, refresh.text[-6000:]
    up = lab.up()
    assert up.code == 0, up.text[-6000:]
    assert set(up.changes()) == {"unchanged"}, up.text[-3000:]
    assert not Path(lab.path / ".aether/images").exists(), "nothing needed the files"
