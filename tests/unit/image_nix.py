"""A Nix that answers what the image builder asks, and what builds of each format leave."""

import json
import os
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inventory.files import REPOSITORY
from ops.image import builder as building

# Answers as Nix does, and writes down what it was asked. FACTS: see `Nix` below.
STAND_IN = r"""#!PYTHON -IS
import json, os, pathlib, re, shutil, sys

facts = json.loads(pathlib.Path(os.environ["FACTS"]).read_text())
arguments = sys.argv[1:]
with open(os.environ["FACTS"] + ".log", "a") as log:
    log.write(json.dumps(arguments) + "\n")
if arguments[:2] == facts.get("fails"):
    sys.exit("fake: told to fail")


def applied(image, expression):
    # What `{ inherit (image) a b; c = image.d or e; }` gives.
    found = {name: image[name] for names in re.findall(r"inherit \(image\)([^;]*);", expression) for name in names.split()}
    for key, name, other in re.findall(r"(\w+) = image\.(\w+)(?: or ([^;]+))?;", expression):
        if name in image:
            found[key] = image[name]
        else:
            found[key] = image[other[6:]] if other.startswith("image.") else {"false": False, "{ }": {}, '""': ""}[other]
    # As in Nix, a set with outPath is that path.
    return found.get("outPath", found)


if arguments[:2] == ["flake", "metadata"]:
    print(json.dumps(facts["metadata"]))
elif arguments[0] == "eval":
    place = arguments[2].split("#", 1)[1]
    assert place.startswith("legacyPackages.x86_64-linux.images"), place
    host = place.removeprefix("legacyPackages.x86_64-linux.images").removeprefix(".")
    value = facts["images"][host] if host else facts["images"]
    kind = re.match(r"formats: if formats \? (\w+) then", arguments[4])
    print(json.dumps(applied(value[kind[1]], arguments[4]) if kind and kind[1] in value else sorted(value)))
elif arguments[:2] == ["config", "show"]:
    print(json.dumps(facts["config"]))
elif arguments[0] == "build":
    image = next(i for formats in facts["images"].values() for i in formats.values() if i["drvPath"] + "^*" == arguments[-1])
    if "content" in image and not os.path.exists(image["outPath"]):
        shutil.copytree(image["content"], image["outPath"])
    link = pathlib.Path(arguments[arguments.index("--out-link") + 1])
    link.unlink(missing_ok=True)
    link.symlink_to(image["outPath"])
    print(image["outPath"])
"""
OWN = f"{os.uname().machine}-linux"
URL = f"git+file://{REPOSITORY}?rev={'a' * 40}"
IMAGES = f"{URL}#legacyPackages.x86_64-linux.images"


class Nix:
    """The fake: what it knows, and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "facts.json"
        self.facts: dict[str, Any] = {
            "metadata": {
                "revision": "a" * 40,
                "fingerprint": "f1",
                "lastModified": 1,
                "url": URL,
                "path": "/nix/store/1-source",
                "locks": {
                    "nodes": {
                        "root": {"inputs": {"nixpkgs": "nixpkgs", "disko": "disko_2"}},
                        "nixpkgs": {"locked": {"rev": "b" * 40}},
                        "disko_2": {"locked": {"narHash": "sha256-x"}},
                    }
                },
            },
            "images": {},
            # As Nix has it where nobody set anything: the file need not exist.
            "config": {"extra-platforms": {"value": ["i686-linux"]}, "builders": {"value": f"@{directory}/machines"}},
        }

    def add(self, host: str, kind: str, output: Path, **more: Any) -> None:
        described = {"drvPath": f"/nix/store/0-{host}-{kind}.drv", "outPath": str(output), "system": OWN, **more}
        self.facts["images"].setdefault(host, {})[kind] = described
        self.save()

    def save(self) -> None:
        self.file.write_text(json.dumps(self.facts))

    def asked(self, *words: str) -> list[list[str]]:
        """Command lines so far; with WORDS those that begin with them."""
        log = Path(f"{self.file}.log")
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in lines if line[: len(words)] == list(words)]


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    program = tmp_path / "nix"
    program.write_text(STAND_IN.replace("PYTHON", str(Path(sys.executable).resolve()), 1))
    program.chmod(0o755)
    found = Nix(tmp_path)
    found.save()
    monkeypatch.setenv("AETHER_NIX", str(program))
    monkeypatch.setenv("FACTS", str(found.file))
    return found


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return result(tmp_path, "system.raw", "nix-support/hydra-build-products")


def result(tmp_path: Path, *names: str, folder: str = "store/1-image") -> Path:
    """What a build left."""
    made = tmp_path / folder
    for name in names:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(os.urandom(3_000_000))
    return made


def builder(tmp_path: Path) -> tuple[building.Builder, list[str]]:
    said: list[str] = []
    return building.Builder(tmp_path / "dist", said.append), said


def manifest(tmp_path: Path, name: str = "box-raw") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / f"dist/3_deploy/{name}.json").read_text())
    return found


def files(tmp_path: Path) -> list[str]:
    """What lies in dist, but for notes of the builder's own."""
    found = (path.relative_to(tmp_path / "dist") for path in (tmp_path / "dist").rglob("*") if path.is_file())
    return sorted(str(path) for path in found if not str(path).startswith("."))


def sums_hold(tmp_path: Path) -> bool:
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    return subprocess.run(check, cwd=tmp_path / "dist/3_deploy", check=False, capture_output=True).returncode == 0


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.05)


def free_space(monkeypatch: pytest.MonkeyPatch, free: Callable[[Path], float]) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("ops.image.dist.shutil.disk_usage", lambda path: usage(0, 0, free(Path(path))))


# What each format's build leaves, and where it belongs. The names are those of disko, nixpkgs and nixos-generators.
FORMATS = {
    "raw": (["system.raw"], "2_raw/box.raw"),
    "qcow": (["main.qcow2"], "2_raw/box.qcow2"),
    "iso": (["iso/nixos-box-26.11-x86_64-linux.iso", "nix-support/hydra-build-products"], "2_raw/box.iso"),
    "proxmox": (["vzdump-qemu-nixos-26.11.vma.zst", "nix-support/hydra-build-products"], "2_raw/box.vma.zst"),
    "lxc": (["tarball/nixos-lxc-image-x86_64-linux.tar.xz", "nix-support/hydra-build-products"], "1_oci/box.tar.xz"),
    "oci": (["step-ca.tar.gz"], "1_oci/box.tar.gz"),
    "amazon": (["nixos-amazon-image-26.11-x86_64-linux.vhd", "nix-support/image-info.json"], "2_raw/box.vhd"),
}
# A shell's background jobs ignore SIGINT, and so would what they start.
HEEDS_CTRL_C = "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
