"""Disk images with content and holes, and what a snapshot has of one."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from inventory.files import write_whole
from ops.image import publish
from ops.image.copying import sha256
from ops.image.dist import Dist

BLOCK = 512 * 1024
# Partitions as nixpkgs lays them out for EC2, and as another image might be.
LAYOUTS = {
    "uefi": "label: gpt\nsize=8MiB, type=U\nsize=8MiB, type=L\n",
    "legacy-bios": "label: gpt\nsize=1MiB, type=21686148-6449-6E6F-744E-656564454649\nsize=8MiB, type=L\n",
    "uefi-preferred": "label: gpt\nsize=1MiB, type=21686148-6449-6E6F-744E-656564454649\nsize=8MiB, type=U\n",
}


def blocks(ebs: Any, snapshot: str) -> dict[int, bytes]:
    """What a snapshot holds, read back, by index."""
    found = {}
    for block in ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]:
        answer = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=block["BlockIndex"], BlockToken=block["BlockToken"])
        found[block["BlockIndex"]] = answer["BlockData"].read()
    return found


def image(
    folder: Path, name: str = "vps", system: str = "aarch64-linux", layout: str = "uefi", blocks: int = 40
) -> publish.Built:
    """A disk of dist/ with its manifest: partitions, BLOCKS of content with holes between, and an end that fills no block."""
    dist = folder / "dist"
    (dist / "2_raw").mkdir(parents=True, exist_ok=True)
    (dist / "3_deploy").mkdir(exist_ok=True)
    file = dist / "2_raw" / f"{name}.raw"
    with file.open("wb") as disk:
        disk.truncate(80 * 1024**2)
    subprocess.run(["sfdisk", "--quiet", str(file)], input=LAYOUTS[layout], text=True, check=True, timeout=60)
    with file.open("r+b") as disk:
        for index in range(3, 3 + 3 * blocks, 3):
            disk.seek(index * BLOCK + 17)
            disk.write(os.urandom(1000))
        disk.truncate(80 * 1024**2 + 1000)
        disk.seek(80 * 1024**2)
        disk.write(b"end" * 300)
    digest = sha256(file)
    manifest = {
        "host": name, "format": "raw", "output": "/nix/store/x", "system": system, "nixos": "25.11.20251120.abcdef0",
        "files": [{"path": f"2_raw/{name}.raw", "size": file.stat().st_size, "sha256": digest}],
    }  # fmt: skip
    write_whole(dist / "3_deploy" / f"{name}-raw.json", json.dumps(manifest))
    return publish.read(Dist(dist, lambda line: None), name)


def content(file: Path) -> dict[int, bytes]:
    """The blocks of a file that are not zeros."""
    whole = file.read_bytes()
    cut = {index: whole[index * BLOCK : (index + 1) * BLOCK].ljust(BLOCK, b"\0") for index in range(-(-len(whole) // BLOCK))}
    return {index: block for index, block in cut.items() if block.strip(b"\0")}
