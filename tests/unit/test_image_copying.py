"""Copies of images: they continue, leave out what is empty, and say how far they are."""

import hashlib
import itertools
import os
from pathlib import Path

import pytest

from ops.image import copying

CHUNK = 4096


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "CHUNK", CHUNK)


def begun(source: Path, target: Path, content: bytes) -> None:
    """What an interrupted copy left."""
    target.parent.mkdir(exist_ok=True)
    target.with_name(f"{target.name}.part").write_bytes(content)
    target.with_name(f"{target.name}.from").write_text(str(source))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("torn", [False, True])
def test_an_interrupted_copy_continues(tmp_path: Path, torn: bool) -> None:
    source, target = tmp_path / "a.raw", tmp_path / "dist/a.raw"
    source.write_bytes(os.urandom(10 * CHUNK + 500))
    there = source.read_bytes()[: 4 * CHUNK + 700]
    begun(source, target, there[:-300] + b"x" * 300 if torn else there)
    said: list[str] = []
    assert copying.copy(source, target, said.append) == digest(source) == digest(target)
    assert any("continues at" in line for line in said)
    copying.settle(target)
    assert [path.name for path in target.parent.iterdir()] == ["a.raw"]


def test_a_copy_of_something_else_starts_again(tmp_path: Path) -> None:
    source, target = tmp_path / "a.raw", tmp_path / "dist/a.raw"
    source.write_bytes(b"new")
    begun(Path("/nix/store/another"), target, b"old and longer")
    said: list[str] = []
    copying.copy(source, target, said.append)
    assert target.read_bytes() == b"new" and said == []


def test_a_file_that_was_complete_is_not_copied_again(tmp_path: Path) -> None:
    """Its result was not: the note of its source is still there."""
    source, target = tmp_path / "a.raw", tmp_path / "dist/a.raw"
    source.write_bytes(os.urandom(3 * CHUNK))
    copying.copy(source, target, lambda _: None)
    assert copying.missing(source, target) == 0
    said: list[str] = []
    assert copying.copy(source, target, said.append) == digest(source) == digest(target)
    assert any("continues at" in line for line in said)
    copying.settle(target)
    assert copying.missing(source, target) == copying.allocated(source)


def sparse(path: Path, *, data: dict[int, bytes], size: int) -> None:
    with path.open("wb") as writer:
        for position, content in data.items():
            writer.seek(position)
            writer.write(content)
        writer.truncate(size)


def test_holes_stay_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "a.raw", tmp_path / "dist/a.raw"
    size = 2000 * CHUNK + 17
    sparse(source, data={0: os.urandom(CHUNK), 1000 * CHUNK + 5: b"in the middle"}, size=size)
    assert copying.copy(source, target, lambda _: None) == digest(source) == digest(target)
    assert target.stat().st_size == size and copying.allocated(target) <= 8 * CHUNK


@pytest.mark.parametrize("length", [0, 1, 500 * CHUNK, 500 * CHUNK + 9, 1000 * CHUNK + 300])
def test_a_sparse_copy_continues(tmp_path: Path, length: int) -> None:
    """What is empty in the source is empty in the copy, even where garbage was."""
    source, target = tmp_path / "a.raw", tmp_path / "dist/a.raw"
    sparse(source, data={0: os.urandom(CHUNK), 1000 * CHUNK: b"in the middle"}, size=2000 * CHUNK)
    there = bytearray(source.read_bytes()[:length])
    there[-100:] = b"x" * len(there[-100:])
    begun(source, target, bytes(there))
    assert copying.copy(source, target, lambda _: None) == digest(source) == digest(target)


def test_a_longer_part_is_cut(tmp_path: Path) -> None:
    source, target = tmp_path / "a.raw", tmp_path / "dist/a.raw"
    source.write_bytes(b"a" * (CHUNK + 5))
    begun(source, target, b"a" * (3 * CHUNK))
    copying.copy(source, target, lambda _: None)
    assert digest(target) == digest(source)


def test_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a.raw"
    # The second half is empty: progress is that of the image, not of what is written.
    source.write_bytes(os.urandom(2 * CHUNK) + bytes(2 * CHUNK))
    clock = itertools.count(step=3)
    monkeypatch.setattr("ops.image.copying.time.monotonic", lambda: next(clock))
    said: list[str] = []
    copying.copy(source, tmp_path / "dist/a.raw", said.append)
    assert [line.strip() for line in said] == ["25 %", "50 %", "75 %", "100 %"]
    said.clear()
    monkeypatch.setattr("ops.image.copying.time.monotonic", lambda: 0)
    copying.copy(source, tmp_path / "dist/b.raw", said.append)
    assert said == []
