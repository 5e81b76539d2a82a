"""inventory/files.py: files that are written whole or not at all."""

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inventory.files import write_whole


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "SHA256SUMS"
    write_whole(path, "before\n")

    def full(self: Path, text: str, **_: object) -> None:
        self.write_bytes(text[:2].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError):
        write_whole(path, "after\n")
    monkeypatch.undo()
    assert path.read_text() == "before\n" and list(tmp_path.iterdir()) == [path]


def test_who_writes_it_at_once_does_not_meet(tmp_path: Path) -> None:
    """Runs side by side write the same file; with one draft for all of them one would take another's away."""
    path = tmp_path / "folder/known_hosts"
    texts = [f"{number}\n" * 20_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            list(pool.map(lambda text: write_whole(path, text), texts))
            assert path.read_text() in texts
    assert list(path.parent.iterdir()) == [path]


def test_permissions_are_there_before_the_content(tmp_path: Path) -> None:
    write_whole(tmp_path / "key", "secret", mode=0o600)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
