"""The image builder's own behaviour, with a stand-in Nix: order, formats, refusals, resuming, manifest, ports."""

import hashlib
import json
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops import image
from ops.stack import OpsError

# Answers as Nix does, and writes down what it was asked. FACTS: see `nix` below.
STAND_IN = """#!{python}
import json, os, pathlib, sys
facts = json.loads(pathlib.Path(os.environ["FACTS"]).read_text())
arguments = sys.argv[1:]
with open(os.environ["FACTS"] + ".log", "a") as log:
    log.write(" ".join(arguments[:2]) + "\\n")
if arguments[:2] == facts.get("fails"):
    sys.exit("stand-in: told to fail")
if arguments[:2] == ["flake", "metadata"]:
    print(json.dumps(facts["metadata"]))
elif arguments[0] == "eval":
    place = arguments[2].split("images", 1)[1].strip(".").split(".")
    value = facts["images"]
    for name in filter(None, place):
        if name not in value:
            sys.exit(f"error: attribute '{{name}}' missing")
        value = value[name]
    print(json.dumps(value if "drvPath" in value else sorted(value)))
elif arguments[:2] == ["config", "show"]:
    print(json.dumps(facts.get("config", {{}})))
elif arguments[0] == "build":
    host, kind = arguments[-1].split(".")[-2:]
    print(facts["images"][host][kind]["outPath"])
"""


class Nix:
    """The stand-in: what it knows, and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "facts.json"
        self.facts: dict[str, Any] = {
            "metadata": {
                "revision": "a" * 40,
                "fingerprint": "f1",
                "lastModified": 1,
                "locks": {
                    "nodes": {
                        "root": {"inputs": {"nixpkgs": "nixpkgs", "disko": "disko_2"}},
                        "nixpkgs": {"locked": {"rev": "b" * 40}},
                        "disko_2": {"locked": {"narHash": "sha256-x"}},
                    }
                },
            },
            "images": {},
        }

    def add(self, host: str, kind: str, output: Path, *, plain: bool = False, system: str | None = None) -> None:
        described = {
            "drvPath": f"/nix/store/0-{host}.drv",
            "outPath": str(output),
            "system": system or f"{os.uname().machine}-linux",
            "plain": plain,
        }
        self.facts["images"].setdefault(host, {})[kind] = described
        self.save()

    def save(self) -> None:
        self.file.write_text(json.dumps(self.facts))

    def asked(self) -> list[str]:
        log = Path(f"{self.file}.log")
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nix]:
    program = tmp_path / "nix"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    found = Nix(tmp_path)
    found.save()
    monkeypatch.setenv("AETHER_NIX", str(program))
    monkeypatch.setenv("FACTS", str(found.file))
    monkeypatch.setitem(image.FORMATS, "raw", ("2_raw", 0))
    return found


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "main.raw").write_bytes(os.urandom(3_000_000))
    (folder / "nix-support").write_text("file raw")
    return folder


def builder(tmp_path: Path) -> tuple[image.Builder, list[str]]:
    said: list[str] = []
    return image.Builder(tmp_path / "dist", said.append), said


def test_checks_then_evaluates_then_builds_then_copies(nix: Nix, output: Path, tmp_path: Path) -> None:
    nix.add("box", "raw", output)
    made, said = builder(tmp_path)
    assert made.make("box", "raw") == 0
    assert nix.asked() == ["flake metadata", "flake check", "eval --json", "build --print-out-paths"]
    assert [line[:3] for line in said if line[1:3] == "/4"] == ["1/4", "2/4", "3/4", "4/4"]
    assert (tmp_path / "dist/2_raw/box.raw").read_bytes() == (output / "main.raw").read_bytes()


def test_manifest_and_checksums_say_what_was_made(nix: Nix, output: Path, tmp_path: Path) -> None:
    nix.add("box", "raw", output)
    builder(tmp_path)[0].make("box", "raw")
    deploy = tmp_path / "dist/3_deploy"
    manifest = json.loads((deploy / "box-raw.json").read_text())
    digest = hashlib.sha256((output / "main.raw").read_bytes()).hexdigest()
    assert manifest["files"] == [{"path": "2_raw/box.raw", "size": 3_000_000, "sha256": digest}]
    assert manifest["flake"]["revision"] == "a" * 40 and manifest["encrypted"] is True
    assert manifest["inputs"] == {"disko": "sha256-x", "nixpkgs": "b" * 40}
    assert manifest["output"] == str(output)
    assert subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=deploy, check=False).returncode == 0


def test_a_state_that_was_checked_is_not_checked_again(nix: Nix, output: Path, tmp_path: Path) -> None:
    nix.add("box", "raw", output)
    for _ in range(2):
        builder(tmp_path)[0].make("box", "raw")
    assert nix.asked().count("flake check") == 1
    nix.facts["metadata"]["fingerprint"] = "f2"
    nix.save()
    builder(tmp_path)[0].make("box", "raw")
    assert nix.asked().count("flake check") == 2


def test_a_failed_check_builds_nothing_and_is_asked_again(nix: Nix, output: Path, tmp_path: Path) -> None:
    nix.add("box", "raw", output)
    nix.facts["fails"] = ["flake", "check"]
    nix.save()
    for _ in range(2):
        with pytest.raises(OpsError, match="nix flake check failed"):
            builder(tmp_path)[0].make("box", "raw")
    assert nix.asked().count("flake check") == 2 and "build --print-out-paths" not in nix.asked()


def test_a_failed_build_goes_on_where_it_was(nix: Nix, output: Path, tmp_path: Path) -> None:
    nix.add("box", "raw", output)
    nix.facts["fails"] = ["build", "--print-out-paths"]
    nix.save()
    with pytest.raises(OpsError, match="run the same command again"):
        builder(tmp_path)[0].make("box", "raw")
    assert not (tmp_path / "dist/3_deploy").exists()
    del nix.facts["fails"]
    nix.save()
    assert builder(tmp_path)[0].make("box", "raw") == 0
    assert nix.asked().count("flake check") == 1


def test_refuses_to_write_an_encrypted_host_in_the_clear(nix: Nix, output: Path, tmp_path: Path) -> None:
    nix.add("laptop", "raw", output, plain=True)
    with pytest.raises(OpsError, match=r"(?s)laptop's disk is encrypted.*FORMAT=iso"):
        builder(tmp_path)[0].make("laptop", "raw")
    assert "build --print-out-paths" not in nix.asked()
    builder(tmp_path)[0].make("laptop", "raw", plain=True)
    assert json.loads((tmp_path / "dist/3_deploy/laptop-raw.json").read_text())["encrypted"] is False


def test_refuses_when_space_is_short(nix: Nix, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nix.add("box", "raw", output)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setitem(image.FORMATS, "raw", ("2_raw", 26))
    monkeypatch.setattr(image.shutil, "disk_usage", lambda _: usage(100, 99, 1 * image.GIB))
    with pytest.raises(OpsError, match=r"has 1\.0 GiB left, a raw image of box takes about 26\.0 GiB"):
        builder(tmp_path)[0].make("box", "raw")
    assert "build --print-out-paths" not in nix.asked()


def test_knows_from_last_time_how_much_is_needed(nix: Nix, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nix.add("box", "raw", output)
    builder(tmp_path)[0].make("box", "raw")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(image.shutil, "disk_usage", lambda _: usage(100, 99, 4_400_000))
    with pytest.raises(OpsError, match="left"):
        builder(tmp_path)[0].make("box", "raw")
    monkeypatch.setattr(image.shutil, "disk_usage", lambda _: usage(100, 99, 4_600_000))
    assert builder(tmp_path)[0].make("box", "raw") == 0


def test_names_hosts_and_formats(nix: Nix, output: Path, tmp_path: Path) -> None:
    nix.add("box", "raw", output)
    nix.add("box", "qcow", output)
    with pytest.raises(OpsError, match=r"no host 'bax'\. Name one, HOST=\{box\}"):
        builder(tmp_path)[0].make("bax", "raw")
    with pytest.raises(OpsError, match=r"box has no image of format lxc\. Fix: FORMAT=\{qcow,raw\}"):
        builder(tmp_path)[0].make("box", "lxc")


def test_another_architecture_needs_a_builder(nix: Nix, output: Path, tmp_path: Path) -> None:
    nix.add("arm", "raw", output, system="riscv64-linux")
    with pytest.raises(OpsError, match=r"for riscv64-linux, .*emulatedSystems"):
        builder(tmp_path)[0].make("arm", "raw")
    nix.facts["config"] = {"extra-platforms": {"value": ["riscv64-linux"]}}
    nix.save()
    assert builder(tmp_path)[0].make("arm", "raw") == 0


def test_a_result_without_an_image_is_an_error(nix: Nix, tmp_path: Path) -> None:
    empty = tmp_path / "store"
    empty.mkdir()
    nix.add("box", "raw", empty)
    with pytest.raises(OpsError, match="holds no image"):
        builder(tmp_path)[0].make("box", "raw")


@pytest.mark.parametrize("torn", [False, True])
def test_an_interrupted_copy_continues(tmp_path: Path, torn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "CHUNK", 1000)
    source, target = tmp_path / "a.raw", tmp_path / "dist/a.raw"
    source.write_bytes(os.urandom(10_500))
    target.parent.mkdir()
    begun = source.read_bytes()[:4_700]
    (tmp_path / "dist/a.raw.part").write_bytes(begun[:-300] + b"x" * 300 if torn else begun)
    (tmp_path / "dist/a.raw.from").write_text(str(source))
    said: list[str] = []
    digest = image.copy(source, target, said.append)
    assert target.read_bytes() == source.read_bytes()
    assert digest == hashlib.sha256(source.read_bytes()).hexdigest()
    assert any("continues at" in line for line in said)
    assert sorted(path.name for path in target.parent.iterdir()) == ["a.raw"]


def test_a_copy_of_something_else_starts_anew(tmp_path: Path) -> None:
    source, target = tmp_path / "a.raw", tmp_path / "dist/a.raw"
    source.write_bytes(b"new")
    target.parent.mkdir()
    (tmp_path / "dist/a.raw.part").write_bytes(b"old and longer")
    (tmp_path / "dist/a.raw.from").write_text("/nix/store/another")
    image.copy(source, target, lambda _: None)
    assert target.read_bytes() == b"new"


def test_a_vm_says_its_ports_and_keeps_its_disk(nix: Nix, tmp_path: Path) -> None:
    script = tmp_path / "store/bin/run-box-vm"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n# -netdev user,hostfwd=tcp::8443-:443,hostfwd=udp:127.0.0.1:5353-:53\ntouch box.qcow2\n")
    script.chmod(0o755)
    nix.add("box", "vm", tmp_path / "store")
    made, said = builder(tmp_path)
    assert made.make("box", "vm") == 0
    text = "\n".join(said)
    assert "localhost:8443 -> port 443/tcp" in text and "localhost:5353 -> port 53/udp" in text
    assert (tmp_path / "dist/vm/box.qcow2").exists()


@pytest.mark.parametrize("kind", ["docker", ""])
def test_an_unknown_format_is_refused(kind: str) -> None:
    with pytest.raises(SystemExit):
        image.image(["box", kind])
