"""Images of hosts: check the flake, build one image, put it into dist/ with checksums and a manifest.

    python -m ops image HOST FORMAT [--plain] [--no-run] [--dist DIR]      make image HOST=… FORMAT=…

FORMAT is raw, iso, qcow, vm, proxmox, lxc or amazon (seed 002: `build.sh build raw|iso|qcow|vm`). Results lie in
``1_oci`` (containers), ``2_raw`` (disks and media) and ``3_deploy`` (manifest and SHA256SUMS) of dist/. Run again after
an interruption and it goes on: Nix keeps what it built, a copy continues at its last byte.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.stack import REPOSITORY, OpsError

GIB = 1024**3
CHUNK = 8 * 1024**2

# Where each format's files go, and the GiB that one takes before anything is known of it.
FORMATS: dict[str, tuple[str, int]] = {
    "raw": ("2_raw", 26),
    "iso": ("2_raw", 8),
    "qcow": ("2_raw", 10),
    "vm": ("", 4),
    "proxmox": ("2_raw", 6),
    "lxc": ("1_oci", 2),
    "amazon": ("2_raw", 6),
}
DESCRIBE = "image: { inherit (image) drvPath outPath system; plain = image.plain or false; }"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Image:
    """What the flake says of an image, before it is built."""

    attribute: str
    derivation: str
    output: Path
    system: str
    plain: bool
    """A disk that the machine encrypts, and this image does not."""


def image(arguments: list[str]) -> int:
    """The command: returns its exit code; raises OpsError with what to do."""
    options = _parser().parse_args(arguments)
    return Builder(options.dist, print).make(options.host, options.format, plain=options.plain, run=not options.no_run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make image", description="Build an image of a host.")
    parser.add_argument("host", help="host of the inventory, or local-vm")
    parser.add_argument("format", choices=FORMATS, help="what to build")
    parser.add_argument("--plain", action="store_true", help="accept a disk without the host's encryption")
    parser.add_argument("--no-run", action="store_true", help="build a vm, but do not boot it")
    parser.add_argument("--dist", type=Path, default=REPOSITORY / "dist", help="where results go")
    return parser


class Builder:
    """Builds into one directory; SAY gets the lines that people read."""

    def __init__(self, dist: Path, say: Say) -> None:
        self.dist = dist
        self.say = say

    def make(self, host: str, kind: str, *, plain: bool = False, run: bool = True) -> int:
        """Check, describe, build, collect. Raises OpsError before anything is built when it cannot end well."""
        begin = time.monotonic()
        flake = self.metadata()
        self.check(flake)
        image = self.describe(host, kind)
        if image.plain and not plain:
            raise OpsError(
                f"{host}'s disk is encrypted, a {kind} image of it is not: whoever has the file can read it. "
                f"Fix: make image HOST={host} FORMAT=iso (the installer encrypts), or ARGS=--plain for a test"
            )
        self._can_build(image)
        self._has_room(host, kind)
        output = self.build(image, f"{host}-{kind}")
        if kind == "vm":
            return self.boot(host, output, run=run)
        files = self.collect(host, kind, output)
        manifest = {
            "host": host,
            "format": kind,
            "encrypted": not image.plain,
            "system": image.system,
            "flake": {key: flake.get(key) for key in ("revision", "dirtyRevision", "lastModified", "fingerprint")},
            "inputs": inputs_of(flake),
            "derivation": image.derivation,
            "output": str(output),
            "files": files,
        }
        self._write_manifest(f"{host}-{kind}.json", manifest)
        self.say(f"Done in {time.monotonic() - begin:.0f} s: " + ", ".join(str(self.dist / file["path"]) for file in files))
        return 0

    def metadata(self) -> dict[str, Any]:
        """Revision, fingerprint and locked inputs of the flake."""
        found: dict[str, Any] = json.loads(self._nix("flake", "metadata", "--json", str(REPOSITORY)))
        return found

    def check(self, flake: dict[str, Any]) -> None:
        """`nix flake check`, once for each state of the repository."""
        state = str(flake.get("fingerprint") or flake.get("revision") or "")
        stamp = self.dist / ".checked"
        if state and stamp.exists() and stamp.read_text().strip() == state:
            self.say("1/4 check: done before for this state of the repository")
            return
        self.say("1/4 check: nix flake check")
        self._nix("flake", "check", "--no-build", str(REPOSITORY), capture=False)
        self.dist.mkdir(parents=True, exist_ok=True)
        stamp.write_text(f"{state}\n")

    def describe(self, host: str, kind: str) -> Image:
        """What is to be built; an error that names the formats of the host where it has not this one."""
        self.say(f"2/4 evaluate: {host} as {kind}")
        images = f"{REPOSITORY}#legacyPackages.x86_64-linux.images"
        try:
            found = json.loads(self._nix("eval", "--json", f"{images}.{host}.{kind}", "--apply", DESCRIBE))
        except OpsError:
            names = "set: builtins.attrNames set"
            hosts = json.loads(self._nix("eval", "--json", images, "--apply", names))
            if host not in hosts:
                raise OpsError(f"no host '{host}'. Name one, HOST={{{','.join(hosts)}}}") from None
            formats = json.loads(self._nix("eval", "--json", f"{images}.{host}", "--apply", names))
            if kind not in formats:
                raise OpsError(f"{host} has no image of format {kind}. Fix: FORMAT={{{','.join(formats)}}}") from None
            raise
        return Image(f"{images}.{host}.{kind}", found["drvPath"], Path(found["outPath"]), found["system"], found["plain"])

    def build(self, image: Image, name: str) -> Path:
        """`nix build`, with a link that keeps the result from the garbage collector. Nix shows its own progress."""
        self.say(f"3/4 build: {image.derivation}")
        links = self.dist / ".roots"
        links.mkdir(parents=True, exist_ok=True)
        out = self._nix("build", "--print-out-paths", "--out-link", str(links / name), image.attribute)
        return Path(out.strip().splitlines()[-1])

    def collect(self, host: str, kind: str, output: Path) -> list[dict[str, Any]]:
        """Copies the files of a result to where they belong. Path relative to dist, size in bytes, sha256 of each."""
        files = [output] if output.is_file() else sorted(path for path in output.rglob("*") if path.is_file() and _is_image(path))
        if not files:
            raise OpsError(f"{output} holds no image of format {kind}. Look: ls -R {output}")
        folder = FORMATS[kind][0]
        found = []
        for number, source in enumerate(files):
            suffix = "".join(re.findall(r"\.(?:raw|iso|qcow2|vma|vhd|tar|img|xz|zst|gz)(?=\.|$)", source.name))
            name = f"{host}{f'-{number}' if number else ''}{suffix or source.suffix}"
            target = self.dist / folder / name
            self.say(f"4/4 copy: {folder}/{name} ({source.stat().st_size / GIB:.2f} GiB)")
            digest = copy(source, target, self.say)
            found.append({"path": f"{folder}/{name}", "size": source.stat().st_size, "sha256": digest})
        return found

    def boot(self, host: str, output: Path, *, run: bool) -> int:
        """Boots a VM by the script that Nix wrote for it; says first how to reach it."""
        (script,) = (output / "bin").glob("run-*-vm")
        for line in forwards(script.read_text()):
            self.say(f"  {line}")
        state = self.dist / "vm"
        state.mkdir(parents=True, exist_ok=True)
        self.say(f"Disk: {state / host}.qcow2 (kept between runs; remove it to start anew)")
        if not run:
            self.say(f"Boot it: cd {state} && {script}")
            return 0
        return subprocess.run([str(script)], cwd=state, check=False).returncode

    def _can_build(self, image: Image) -> None:
        """A foreign architecture needs a builder or emulation; say so before hours are spent."""
        own = f"{platform.machine()}-linux"
        if image.system == own:
            return
        config = json.loads(self._nix("config", "show", "--json"))
        platforms = config.get("extra-platforms", {}).get("value") or []
        if image.system in platforms or config.get("builders", {}).get("value"):
            return
        raise OpsError(
            f"this image is for {image.system}, this machine is {own}. Fix: a remote builder (`builders` in nix.conf), "
            f'or on NixOS boot.binfmt.emulatedSystems = [ "{image.system}" ]'
        )

    def _has_room(self, host: str, kind: str) -> None:
        """Refuses when what is left of the disk is less than the image took last time (and half as much again)."""
        before = self.dist / "3_deploy" / f"{host}-{kind}.json"
        needed = FORMATS[kind][1] * GIB
        if before.exists():
            needed = int(1.5 * sum(file["size"] for file in json.loads(before.read_text())["files"]))
        self.dist.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.dist).free
        if free < needed:
            raise OpsError(
                f"{self.dist} has {free / GIB:.1f} GiB left, a {kind} image of {host} takes about {needed / GIB:.1f} GiB. "
                "Fix: nix-collect-garbage, remove old files of dist/, or --dist DIR on another disk"
            )

    def _write_manifest(self, name: str, manifest: dict[str, Any]) -> None:
        deploy = self.dist / "3_deploy"
        deploy.mkdir(parents=True, exist_ok=True)
        (deploy / name).write_text(json.dumps(manifest, indent=2) + "\n")
        sums = [
            f"{file['sha256']}  ../{file['path']}\n"
            for each in sorted(deploy.glob("*.json"))
            for file in json.loads(each.read_text())["files"]
        ]
        (deploy / "SHA256SUMS").write_text("".join(sorted(set(sums))))

    def _nix(self, *arguments: str, capture: bool = True) -> str:
        """Runs Nix; its progress and errors go to the terminal."""
        command = [str(REPOSITORY / "nix/tools/nix.sh"), *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE if capture else None, text=True, check=False)
        if done.returncode:
            raise OpsError(f"nix {' '.join(arguments[:2])} failed (above). Mend it and run the same command again: it goes on")
        return done.stdout or ""


def copy(source: Path, target: Path, say: Say = print) -> str:
    """Copies with progress; returns the sha256. A copy of the same source that was interrupted continues."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part, origin = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.from")
    if not (part.exists() and origin.exists() and origin.read_text() == str(source)):
        part.write_bytes(b"")
        origin.write_text(str(source))
    digest, size = hashlib.sha256(), source.stat().st_size
    done, shown = part.stat().st_size, time.monotonic()
    if done:
        say(f"    continues at {done / GIB:.2f} GiB")
    with source.open("rb") as reader, part.open("r+b") as writer:
        # What an interrupted copy wrote last may be torn: the source is what is hashed, and is compared with it.
        while chunk := reader.read(CHUNK):
            position = writer.tell()
            if position + len(chunk) > done or writer.read(len(chunk)) != chunk:
                writer.seek(position)
                writer.write(chunk)
            digest.update(chunk)
            if time.monotonic() - shown > 2:
                shown = time.monotonic()
                say(f"    {100 * writer.tell() // max(size, 1)} %")
        writer.truncate(size)
        writer.flush()
        os.fsync(writer.fileno())
    part.replace(target)
    origin.unlink()
    return digest.hexdigest()


def forwards(script: str) -> list[str]:
    """Port forwards of a VM's run script, as lines for people."""
    found = re.findall(r"hostfwd=(tcp|udp):([0-9.]*):([0-9]+)-[0-9.]*:([0-9]+)", script)
    return [f"localhost:{outside} -> port {inside}/{protocol}" for protocol, _, outside, inside in found]


def inputs_of(flake: dict[str, Any]) -> dict[str, str]:
    """Locked revision (or hash) of each input."""
    nodes = flake.get("locks", {}).get("nodes", {})
    root = nodes.get("root", {}).get("inputs", {})
    locked = {name: nodes.get(node, {}).get("locked", {}) for name, node in root.items() if isinstance(node, str)}
    return {name: lock.get("rev") or lock.get("narHash", "") for name, lock in sorted(locked.items())}


def _is_image(path: Path) -> bool:
    return re.search(r"\.(raw|img|iso|qcow2|vhd|vma(\.zst)?|tar(\.(xz|zst|gz))?)$", path.name) is not None


if __name__ == "__main__":
    try:
        sys.exit(image(sys.argv[1:]))
    except OpsError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
