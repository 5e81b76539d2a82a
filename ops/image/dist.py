"""The folder of results: what lies where, manifests and checksums of it, and whether there is room."""

import errno
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from inventory.files import write_whole
from ops.image.child import Say
from ops.image.copying import GIB, allocated, missing, settle, sha256
from ops.image.nix import Image
from ops.stack import OpsError

DEPLOY = "3_deploy"
# Where each format's files go, and the GiB that one takes before anything is known of it.
FORMATS: dict[str, tuple[str, int]] = {
    "raw": ("2_raw", 10),
    "iso": ("2_raw", 8),
    "qcow": ("2_raw", 10),
    "vm": ("", 4),
    "proxmox": ("2_raw", 6),
    "lxc": ("1_oci", 2),
    "oci": ("1_oci", 2),
    "amazon": ("2_raw", 6),
}
IMAGE = re.compile(r"\.(raw|img|iso|qcow2|vhd|vma|tar)(\.(xz|zst|gz))?$")

Manifest = dict[str, Any]


class Dist:
    """One such folder."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder
        self.say = say
        self._ignored: set[Path] = set()

    def prepare(self) -> None:
        """Makes the folders, and writes in each: a full or foreign disk is found before anything is waited for."""
        for folder in (self.folder, *(self.folder / name for name in ("1_oci", "2_raw", DEPLOY, ".roots"))):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with tempfile.TemporaryFile(dir=folder) as file:
                    file.write(b"x")
            except OSError as error:
                error.filename = str(folder)
                raise

    def places(self, host: str, kind: str, output: Path) -> list[tuple[Path, Path]]:
        """Each image of a build's result, and where it belongs. Of several each keeps its name: HOST-DISK.raw."""
        if output.is_file():
            files = [output]
        else:
            files = sorted(path for path in output.rglob("*") if path.is_file() and IMAGE.search(path.name))
        if not files:
            raise OpsError(f"{output} holds no image of format {kind}. Look: ls -R {output}")
        folder = self.folder / FORMATS[kind][0]
        if len(files) > 1:
            return [(file, folder / "-".join((host, *file.relative_to(output).parts))) for file in files]
        (file,) = files
        ending = IMAGE.search(file.name)
        return [(file, folder / f"{host}{ending[0] if ending else file.suffix}")]

    def has_room(self, host: str, kind: str, image: Image) -> None:
        """Refuses when the disks have less left than building and copying take."""
        build, copies = self._needs(host, kind, image)
        disks: dict[int, list[tuple[Path, int]]] = {}
        for place, need in ((self.folder, copies), (image.output.parent, build)):
            there = next(folder for folder in (place, *place.parents) if folder.exists())
            disks.setdefault(there.stat().st_dev, []).append((there, need))
        for needs in disks.values():
            free, needed = shutil.disk_usage(needs[0][0]).free, sum(need for _, need in needs)
            if free < needed:
                places = [str(place) for place, need in needs if need]
                raise OpsError(
                    f"{' and '.join(places)} {'together have' if len(places) > 1 else 'has'} {free / GIB:.1f} GiB left, "
                    f"a {kind} image of {host} takes about {needed / GIB:.1f} GiB more. "
                    "Fix: nix-collect-garbage, remove old files of dist/, or --dist DIR on another disk"
                )

    def _needs(self, host: str, kind: str, image: Image) -> tuple[int, int]:
        """Bytes in the store, and in this folder. What is not built takes half as much again as last time, or its whole size."""
        if image.output.exists():
            places = [] if kind == "vm" else self.places(host, kind, image.output)
            return 0, sum(missing(source, target) for source, target in places)
        before = self.manifests().get(f"{host}-{kind}")
        known = [image.size] if image.size is not None else []
        if before and not self._gone(before):
            known.append(int(1.5 * sum(allocated(self.folder / file["path"]) for file in before["files"])))
        build = min(known, default=FORMATS[kind][1] * GIB)
        return build, 0 if kind == "vm" else build

    def manifests(self) -> dict[str, Manifest]:
        """By HOST-FORMAT. What is none of ours is named once, and left alone."""
        found = {}
        for path in sorted((self.folder / DEPLOY).glob("*.json")):
            try:
                manifest = json.loads(path.read_text())
            except ValueError:
                manifest = None
            if _is_manifest(manifest) and path.stem == f"{manifest['host']}-{manifest['format']}":
                found[path.stem] = manifest
            elif path not in self._ignored:
                self._ignored.add(path)
                self.say(f"ignored, because it is no manifest (any more): {path}")
        return found

    def made(self, host: str, kind: str, output: Path) -> list[Path]:
        """Files that an earlier run made of the same build, if all are there and are still what they were."""
        manifest = self.manifests().get(f"{host}-{kind}")
        if manifest is None or manifest["output"] != str(output) or self._gone(manifest):
            return []
        files = [(self.folder / file["path"], file) for file in manifest["files"]]
        if any(path.stat().st_size != file["size"] for path, file in files):
            return []
        self.say("made before: compares checksums")
        return [path for path, _ in files] if all(sha256(path) == file["sha256"] for path, file in files) else []

    def publish(self, manifest: Manifest) -> None:
        """Writes the manifest of new files, and removes what an earlier one had beside them."""
        name = f"{manifest['host']}-{manifest['format']}"
        manifests = self.manifests()
        before = manifests.pop(name, {"files": []})
        kept = {file["path"] for each in (*manifests.values(), manifest) for file in each["files"]}
        for old in sorted({file["path"] for file in before["files"]} - kept):
            (self.folder / old).unlink(missing_ok=True)
            self.say(f"removed, because {name} has no such file any more: {old}")
        write_whole(self.folder / DEPLOY / f"{name}.json", json.dumps(manifest, indent=2) + "\n")
        for file in manifest["files"]:
            settle(self.folder / file["path"])
        self.sums()

    def sums(self) -> None:
        """SHA256SUMS of everything that is there; a manifest whose files are not goes."""
        lines = set()
        for name, manifest in self.manifests().items():
            if self._gone(manifest):
                (self.folder / DEPLOY / f"{name}.json").unlink()
                self.say(f"removed, because its files are gone: {DEPLOY}/{name}.json")
            else:
                lines |= {f"{file['sha256']}  ../{file['path']}\n" for file in manifest["files"]}
        write_whole(self.folder / DEPLOY / "SHA256SUMS", "".join(sorted(lines)))

    def _gone(self, manifest: Manifest) -> bool:
        return not all((self.folder / file["path"]).is_file() for file in manifest["files"])

    def explain(self, error: OSError) -> OpsError:
        """An error of the disk, as what to do about it."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return OpsError(
                f"{error.filename or self.folder}: the disk is full. Fix: nix-collect-garbage, remove old files of dist/, or "
                "--dist DIR on another disk; then run the same command again: it goes on"
            )
        place = Path(error.filename or self.folder)
        if place.is_symlink() and not place.exists():
            return OpsError(f"{place} is a link to {place.readlink()}, which is not there. Fix: mount or make it, or --dist DIR")
        return OpsError(f"{place}: {error.strerror}. Fix: its owner and rights, or --dist DIR somewhere else")


def _is_manifest(found: object) -> bool:
    """Whether it is one of ours, with files where we put them and nowhere else."""
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("host", "format", "output")):
        return False
    files = found.get("files")
    return isinstance(files, list) and all(
        isinstance(file, dict)
        and re.fullmatch(r"(1_oci|2_raw)/[^/]+", str(file.get("path")))
        and isinstance(file.get("size"), int)
        and isinstance(file.get("sha256"), str)
        for file in files
    )
