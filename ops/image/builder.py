"""One image from beginning to end."""

import time
from pathlib import Path
from typing import Any

from inventory.files import write_whole
from ops.image import vm
from ops.image.child import Say
from ops.image.copying import GIB, copy
from ops.image.dist import Dist
from ops.image.nix import Flake
from ops.stack import OpsError


class Builder:
    """Builds into one directory; SAY gets the lines that people read."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.dist = Dist(folder, say)
        self.say = say

    def make(self, host: str, kind: str, *, plain: bool = False, run: bool = True) -> int:
        """Look up, check, build, collect. Raises OpsError before anything is waited for when it cannot end well."""
        try:
            return self._make(host, kind, plain=plain, run=run)
        except OSError as error:
            raise self.dist.explain(error) from error

    def _make(self, host: str, kind: str, *, plain: bool, run: bool) -> int:
        begin = time.monotonic()
        self.dist.prepare()
        flake = Flake(self.say)
        self.say(f"1/4 evaluate: {host} as {kind}")
        image = flake.describe(host, kind)
        if image.plain and not plain:
            raise OpsError(
                f"{host}'s disk is encrypted, a {kind} image of it is not: whoever has the file can read it. "
                f"Fix: make image HOST={host} FORMAT=iso (the installer encrypts), or ARGS=--plain for a test"
            )
        if kind != "vm" and (made := self.dist.made(host, kind, image.output)):
            self.dist.sums()
            self.say("Already made: " + ", ".join(str(file) for file in made))
            return 0
        flake.can_build(image)
        self.dist.has_room(host, kind, image)
        self._check(flake)
        self.say(f"3/4 build: {image.derivation}")
        flake.build(image, self.dist.folder / ".roots" / f"{host}-{kind}")
        if kind == "vm":
            return vm.boot(host, image.output, self.dist.folder / "vm", self.say, run=run)
        # Now its size is known.
        self.dist.has_room(host, kind, image)
        files = self._collect(host, kind, image.output)
        self.dist.publish(
            {
                "host": host,
                "format": kind,
                # An image is a file that anybody can copy: none is, whatever the machine's own disk is.
                "encrypted": False,
                "system": image.system,
                "nixos": image.nixos,
                "flake": {key: flake.metadata.get(key) for key in ("revision", "dirtyRevision", "lastModified", "fingerprint")},
                "inputs": flake.inputs(),
                "derivation": image.derivation,
                "output": str(image.output),
                "files": files,
            }
        )
        names = ", ".join(str(self.dist.folder / file["path"]) for file in files)
        self.say(f"Done in {time.monotonic() - begin:.0f} s: {names}")
        return 0

    def _check(self, flake: Flake) -> None:
        """`nix flake check`, once for each state of the repository."""
        stamp = self.dist.folder / ".checked"
        if flake.state and stamp.exists() and stamp.read_text().strip() == flake.state:
            self.say("2/4 check: done before for this state of the repository")
            return
        self.say("2/4 check: nix flake check")
        flake.check()
        write_whole(stamp, f"{flake.state}\n")

    def _collect(self, host: str, kind: str, output: Path) -> list[dict[str, Any]]:
        """Copies the files of a result to where they belong. Name in the result, path relative to dist, size, sha256 of each."""
        found = []
        for source, target in self.dist.places(host, kind, output):
            path, size = target.relative_to(self.dist.folder), source.stat().st_size
            name = source.name if source == output else str(source.relative_to(output))
            self.say(f"4/4 copy: {path} ({size / GIB:.2f} GiB)")
            digest = copy(source, target, self.say)
            found.append({"path": str(path), "source": name, "size": size, "sha256": digest})
        return found
