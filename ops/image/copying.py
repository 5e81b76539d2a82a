"""Copies that continue after an interruption, leave out what is empty, and are hashed on the way."""

import hashlib
import os
import time
from pathlib import Path

from ops.image.child import Say

GIB = 1024**3
CHUNK = 1024**2


def copy(source: Path, target: Path, say: Say = print) -> str:
    """Copies with progress; returns the sha256. A copy of the same source that was interrupted continues.

    A note of the source stays beside the target until `settle`: a result of several files is not copied again for its last.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part, note = _part(target), _note(target)
    if not _is_of(source, target):
        part.write_bytes(b"")
        note.write_text(str(source))
    elif not part.exists():
        target.replace(part)
    digest, size = hashlib.sha256(), source.stat().st_size
    done, position, shown = part.stat().st_size, 0, time.monotonic()
    empty = bytes(CHUNK)
    if done:
        say(f"    continues at {done / GIB:.2f} GiB")
    with source.open("rb") as reader, part.open("r+b") as writer:
        # What an interrupted copy wrote last may be torn: the source is what is hashed, and is compared with it.
        while chunk := reader.read(CHUNK):
            digest.update(chunk)
            writer.seek(position)
            if position >= done:
                there = chunk == empty[: len(chunk)]
            else:
                there = writer.read(len(chunk)) == chunk
            if not there:
                writer.seek(position)
                writer.write(chunk)
            position += len(chunk)
            if time.monotonic() - shown > 2:
                shown = time.monotonic()
                say(f"    {100 * position // max(size, 1)} %")
        writer.truncate(size)
        writer.flush()
        os.fsync(writer.fileno())
    part.replace(target)
    return digest.hexdigest()


def settle(target: Path) -> None:
    """The result that a copy belongs to is complete."""
    _note(target).unlink(missing_ok=True)


def missing(source: Path, target: Path) -> int:
    """Bytes that a copy still takes."""
    begun = next((path for path in (_part(target), target) if path.exists()), None)
    there = allocated(begun) if begun and _is_of(source, target) else 0
    return max(0, allocated(source) - there)


def allocated(path: Path) -> int:
    """Bytes of the disk that a file takes: images are full of holes."""
    found = path.stat()
    return min(found.st_size, found.st_blocks * 512)


def sha256(path: Path) -> str:
    with path.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _note(target: Path) -> Path:
    return target.with_name(f"{target.name}.from")


def _is_of(source: Path, target: Path) -> bool:
    """Whether what lies there, complete or in part, is a copy of SOURCE."""
    note = _note(target)
    return note.exists() and note.read_text() == str(source) and (_part(target).exists() or target.exists())
