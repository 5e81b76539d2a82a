"""What Nix is asked: the flake's state, what it says of an image, to check it and to build it."""

import difflib
import json
import platform
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inventory.files import REPOSITORY
from ops.image import child
from ops.image.child import Say
from ops.stack import OpsError

STORE = Path("/nix/store")
IMAGES = "legacyPackages.x86_64-linux.images"
# A set with `outPath` would come out as that path alone.
DESCRIBE = """image: {
  inherit (image) drvPath;
  output = image.outPath;
  system = image.guestSystem or image.system;
  plain = image.plain or false;
  sizes = image.sizes or { };
  nixos = image.nixos or "";
}"""


@dataclass(frozen=True)
class Image:
    """What the flake says of an image, before it is built."""

    derivation: str
    output: Path
    system: str
    plain: bool
    """A disk that the machine encrypts, and this image does not."""
    size: int | None
    """The most bytes that it takes, where it says so."""
    nixos: str
    """Its release, like 25.11.20251120.abcdef0; empty where it does not say."""


class Flake:
    """The repository's flake in the one state that it had at first: looked up, checked and built are the same."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.metadata: dict[str, Any] = json.loads(self._nix("flake", "metadata", "--json", str(REPOSITORY)))
        path = self.metadata.get("path")
        # Binary caches have paths of this store alone: any other builds everything from its sources, compilers first.
        if path and Path(path).parent != STORE:
            raise OpsError(
                f"images are built by an installed Nix; the one that is used here keeps its own store in {Path(path).parent}, "
                "for evaluation. Fix: install Nix, https://nixos.org/download, and run the same command again"
            )

    @property
    def reference(self) -> str:
        """Its address in this state. A tree with changes has none but its copy in the store."""
        copy = self.metadata.get("path")
        if not self.metadata.get("revision") and copy and Path(copy).exists():
            return f"path:{copy}"
        return str(self.metadata["url"])

    @property
    def state(self) -> str:
        """The same for the same content."""
        return str(self.metadata.get("fingerprint") or self.metadata.get("revision") or "")

    def inputs(self) -> dict[str, str]:
        """Locked revision (or hash) of each input."""
        nodes = self.metadata.get("locks", {}).get("nodes", {})
        root = nodes.get("root", {}).get("inputs", {})
        locked = {name: nodes.get(node, {}).get("locked", {}) for name, node in root.items() if isinstance(node, str)}
        return {name: lock.get("rev") or lock.get("narHash", "") for name, lock in sorted(locked.items())}

    def describe(self, host: str, kind: str) -> Image:
        """What is to be built; an error that names what there is, where this is not."""
        images = f"{self.reference}#{IMAGES}"
        hosts = json.loads(self._nix("eval", "--json", images, "--apply", "builtins.attrNames"))
        if host not in hosts:
            close = difflib.get_close_matches(host, hosts, n=1)
            meant = f"Did you mean {close[0]}? " if close else ""
            raise OpsError(f"no host '{host}'. {meant}Name one, HOST={{{','.join(hosts)}}}")
        ask = f"formats: if formats ? {kind} then ({DESCRIBE}) formats.{kind} else builtins.attrNames formats"
        found = json.loads(self._nix("eval", "--json", f"{images}.{host}", "--apply", ask))
        if isinstance(found, list):
            raise OpsError(f"{host} has no image of format {kind}. Fix: FORMAT={{{','.join(found)}}}")
        sizes = [in_bytes(size) for size in found["sizes"].values()]
        known = [size for size in sizes if size is not None]
        return Image(
            derivation=found["drvPath"],
            output=Path(found["output"]),
            system=found["system"],
            plain=found["plain"],
            nixos=found["nixos"],
            size=sum(known) if known and len(known) == len(sizes) else None,
        )

    def check(self) -> None:
        """`nix flake check`, which builds nothing."""
        self._nix("flake", "check", "--no-build", self.reference, capture=False)

    def build(self, image: Image, link: Path) -> None:
        """Exactly what was described. LINK keeps it from the garbage collector. Nix shows its own progress."""
        said = self._nix("build", "--print-out-paths", "--out-link", str(link), f"{image.derivation}^*")
        if str(image.output) not in said.split():
            raise OpsError(f"nix build gave {said.strip() or 'nothing'} instead of {image.output}")

    def can_build(self, image: Image) -> None:
        """A foreign architecture needs a builder or emulation; says so before hours are spent."""
        own = f"{platform.machine()}-linux"
        if image.system == own:
            return
        config = json.loads(self._nix("config", "show", "--json"))
        platforms = config.get("extra-platforms", {}).get("value") or []
        builders = machines(config.get("builders", {}).get("value") or "")
        if image.system in platforms or any(image.system in _systems(machine, own) for machine in builders):
            return
        raise OpsError(
            f"this image is for {image.system}, this machine is {own}. Fix: a remote builder (`builders` in nix.conf), "
            f'or on NixOS boot.binfmt.emulatedSystems = [ "{image.system}" ]'
        )

    def _nix(self, *arguments: str, capture: bool = True) -> str:
        """Runs Nix; its progress and errors go to the terminal."""
        command = [str(REPOSITORY / "nix/tools/nix.sh"), *arguments]
        with tempfile.TemporaryFile("w+") as out:
            code, interrupted = child.run(
                command, REPOSITORY, self.say, ends="Nix ends in order and keeps what it built.", stdout=out if capture else None
            )
            if interrupted:
                raise KeyboardInterrupt
            if code:
                what = " ".join(arguments[:2] if arguments[0] == "flake" else arguments[:1])
                raise OpsError(f"nix {what} failed (above). Mend it and run the same command again: it goes on")
            out.seek(0)
            return out.read()


def machines(builders: str) -> list[str]:
    """Lines of Nix's setting `builders`, which may name a file of them (by default one that need not exist)."""
    found = []
    for entry in re.split(r"[;\n]", re.sub(r"#.*", "", builders)):
        line = entry.strip()
        if line.startswith("@"):
            file = Path(line[1:])
            found += machines(file.read_text()) if file.is_file() else []
        elif line:
            found.append(line)
    return found


def _systems(machine: str, own: str) -> list[str]:
    """What a remote builder builds for; without a word, what this machine is."""
    fields = machine.split()
    return fields[1].split(",") if len(fields) > 1 and fields[1] != "-" else [own]


def in_bytes(size: str) -> int | None:
    """A size as qemu-img takes it: 4G. None for what it is not."""
    found = re.fullmatch(r"(\d+)([bkKMGTP]?)", size)
    return int(found[1]) * 1024 ** "bkMGTP".index(found[2].replace("K", "k") or "b") if found else None
