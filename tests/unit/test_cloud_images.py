"""`./aether cloud images` against moto: the newest official image, as the lines to write."""

import pytest
from moto import mock_aws

from ops.cloud import NIXOS_OWNER, newest, show_images
from tests.unit.machine_images import publish


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")


@mock_aws
def test_the_newest_of_the_projects_own_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    publish("nixos/25.11.1-aarch64-linux", "2026-01-01", "arm64", NIXOS_OWNER)
    wanted = publish("nixos/25.11.2-aarch64-linux", "2026-02-01", "arm64", NIXOS_OWNER)
    publish("nixos/25.11.3-aarch64-linux", "2026-03-01", "arm64", "999999999999")
    assert show_images("eu-central-1") == 1, "the other three are not there"
    said = capsys.readouterr().out
    assert f'# nixos, arm64, eu-central-1, of 2026-02-01\nami = "{wanted}"\nami_name = "nixos/25.11.2-aarch64-linux"\n' in said
    assert "# none: nixos/25.11* of 427812963091 is not in this region" in said


def test_no_image_is_no_image() -> None:
    assert newest([]) is None
