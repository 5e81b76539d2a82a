"""The build cache outside the checkout: one entry a part, one a set of parts, shared by all clones of a user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from aether_engine.parts import Part, fleet_digest


def cache_root() -> Path:
    """`$AETHER_CACHE`, `$XDG_CACHE_HOME/aether` or `~/.cache/aether`, with `engine` under it."""
    chosen = os.environ.get("AETHER_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute() / "engine"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "aether" / "engine"


def part_entry(part: Part) -> Path:
    """Where the part of this content lies once it is complete; it has `bin/` and `source` (built or released)."""
    return cache_root() / "parts" / f"{part.name}-{part.digest()}"


def fleet_entry() -> Path:
    """What `.aether/engine` points to: `bin/` with every part that has been made so far."""
    return cache_root() / fleet_digest()


def log_path(part: Part) -> Path:
    """The log of the part's last build."""
    return cache_root() / "logs" / f"{part.name}-{part.digest()}.log"


def is_complete(part: Part) -> bool:
    """An entry is renamed into place when it is whole, so that being there is enough."""
    return part_entry(part).is_dir()


@contextlib.contextmanager
def locked(name: str, when_waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the lock of that name; it goes away with the process, however that ends."""
    path = cache_root() / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            when_waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def fresh_workdir(part: Part) -> Path:
    """An empty folder beside the entry; what a killed build left there goes first. Needs the part's lock."""
    entry = part_entry(part)
    work = entry.with_name(f"{entry.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    (work / "bin").mkdir(parents=True)
    return work


def put_in_place(part: Part, work: Path, source: str) -> None:
    """Makes the finished work the part's entry, in one step."""
    (work / "source").write_text(source + "\n")
    for program in (work / "bin").iterdir():
        program.chmod(0o755)
    work.rename(part_entry(part))


def link_into_fleet(part: Part) -> None:
    """Hard links, not symbolic ones: the language host looks for its script beside its own real path."""
    target = fleet_entry() / "bin"
    target.mkdir(parents=True, exist_ok=True)
    for name in part.outputs:
        program, link = part_entry(part) / "bin" / name, target / name
        if link.exists() and link.samefile(program):
            continue
        beside = target / f".{name}.{os.getpid()}"
        try:
            os.link(program, beside)
        except OSError:
            shutil.copy2(program, beside)
        beside.replace(link)
