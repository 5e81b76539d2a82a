"""A binary cache as the simulated nix writes it: files as Nix's own (nix-cache-info, HASH.narinfo, nar/), an archive being a tar.

https://nix.dev/manual/nix/2.28/store/types/local-binary-cache-store; of a narinfo: NixOS/nix, src/libstore/nar-info.cc.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path


def push(cache: Path, store: Path, names: Sequence[str], signatures: Callable[[str], list[str]]) -> list[str]:
    """Write paths NAMES of STORE into CACHE; those that it has already are left as they are. The names of those that were new."""
    (cache / "nar").mkdir(parents=True, exist_ok=True)
    info = cache / "nix-cache-info"
    if not info.exists():
        info.write_text("StoreDir: /nix/store\n")
    missing = [name for name in names if not (cache / f"{name[:32]}.narinfo").exists()]
    for name in missing:
        data = _archive(store, name)
        digest = hashlib.sha256(data).hexdigest()
        (cache / "nar" / f"{digest}.nar").write_bytes(data)
        lines = [
            f"StorePath: /nix/store/{name}",
            f"URL: nar/{digest}.nar",
            "Compression: none",
            f"NarHash: sha256:{digest}",
            f"NarSize: {len(data)}",
            "References: ",
            *(f"Sig: {signature}" for signature in signatures(name)),
        ]
        (cache / f"{name[:32]}.narinfo").write_text("".join(f"{line}\n" for line in lines))
    return missing


def _archive(store: Path, name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(store / name, name, filter=as_root)
    return buffer.getvalue()


def as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """ENTRY as a store has it: root's, and of no time."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 1
    return entry
