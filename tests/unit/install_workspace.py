"""The folder in memory that an installation has its keys in."""

import stat
from pathlib import Path

import pytest

from ops.install import files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "shm"
    place.mkdir()
    monkeypatch.setattr(files, "_place", lambda: place)
    return place
