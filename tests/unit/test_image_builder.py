"""The image builder's own behaviour, with a fake Nix: order, formats, refusals, resuming, manifest, ports."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
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
from ops.image import command, copying, dist, vm
from ops.image import nix as asking
from ops.stack import OpsError

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


def devices(monkeypatch: pytest.MonkeyPatch, *separate: Path) -> None:
    """As if each of these folders were a disk of its own."""
    real = Path.stat

    def stat(self: Path, **options: Any) -> os.stat_result:
        found = real(self, **options)
        fields = list(found)
        for number, place in enumerate(separate):
            if self == place or place in self.parents:
                fields[2] = 1000 + number
        return os.stat_result(fields, {"st_blocks": found.st_blocks})

    monkeypatch.setattr(Path, "stat", stat)


class TestOrder:
    def test_every_question_is_about_one_state_and_one_derivation(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("box", "qcow", tmp_path / "another")
        nix.add("box", "raw", output)
        made, said = builder(tmp_path)
        assert made.make("box", "raw") == 0
        *head, describe, check, build = nix.asked()
        assert head == [
            ["flake", "metadata", "--json", str(REPOSITORY)],
            ["eval", "--json", IMAGES, "--apply", "builtins.attrNames"],
        ]
        assert describe[:4] == ["eval", "--json", f"{IMAGES}.box", "--apply"]
        assert check == ["flake", "check", "--no-build", URL]
        root = tmp_path / "dist/.roots/box-raw"
        assert build == ["build", "--print-out-paths", "--out-link", str(root), "/nix/store/0-box-raw.drv^*"]
        assert root.readlink() == output
        assert [line[:5] for line in said if line[1:3] == "/4"] == ["1/4 e", "2/4 c", "3/4 b", "4/4 c"]
        assert (tmp_path / "dist/2_raw/box.raw").read_bytes() == (output / "system.raw").read_bytes()

    def test_a_tree_with_changes_is_built_from_its_copy(
        self, nix: Nix, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asking, "STORE", tmp_path / "store")
        (tmp_path / "store/2-source").mkdir()
        nix.add("box", "raw", output)
        del nix.facts["metadata"]["revision"]
        nix.facts["metadata"] |= {
            "dirtyRevision": f"{'a' * 40}-dirty",
            "url": f"git+file://{REPOSITORY}",
            "path": str(tmp_path / "store/2-source"),
        }
        nix.save()
        builder(tmp_path)[0].make("box", "raw")
        copy = f"path:{tmp_path}/store/2-source"
        assert nix.asked("flake", "check") == [["flake", "check", "--no-build", copy]]
        assert all(line[2].startswith(f"{copy}#") for line in nix.asked("eval"))
        assert manifest(tmp_path)["flake"] == {
            "revision": None,
            "dirtyRevision": f"{'a' * 40}-dirty",
            "lastModified": 1,
            "fingerprint": "f1",
        }

    def test_a_state_that_was_checked_is_not_checked_again(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("box", "raw", output)
        nix.add("other", "raw", output)
        for host in ("box", "other"):
            builder(tmp_path)[0].make(host, "raw")
        assert len(nix.asked("flake", "check")) == 1
        nix.facts["metadata"]["fingerprint"] = "f2"
        nix.add("third", "raw", output)
        builder(tmp_path)[0].make("third", "raw")
        assert len(nix.asked("flake", "check")) == 2

    def test_a_failed_check_builds_nothing_and_is_asked_again(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("box", "raw", output)
        nix.facts["fails"] = ["flake", "check"]
        nix.save()
        for _ in range(2):
            with pytest.raises(OpsError, match="nix flake check failed"):
                builder(tmp_path)[0].make("box", "raw")
        assert len(nix.asked("flake", "check")) == 2 and not nix.asked("build")

    def test_a_failed_build_goes_on_where_it_was(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("box", "raw", output)
        nix.facts["fails"] = ["build", "--print-out-paths"]
        nix.save()
        with pytest.raises(OpsError, match=r"nix build failed.*run the same command again"):
            builder(tmp_path)[0].make("box", "raw")
        assert files(tmp_path) == []
        del nix.facts["fails"]
        nix.save()
        assert builder(tmp_path)[0].make("box", "raw") == 0
        assert len(nix.asked("flake", "check")) == 1

    def test_what_was_made_is_not_made_again(
        self, nix: Nix, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nix.add("box", "raw", output)
        builder(tmp_path)[0].make("box", "raw")
        free_space(monkeypatch, lambda _: 0)
        shutil.rmtree(output)
        made, said = builder(tmp_path)
        assert made.make("box", "raw") == 0
        assert said[-1] == f"Already made: {tmp_path}/dist/2_raw/box.raw" and len(nix.asked("build")) == 1

    @pytest.mark.parametrize("harm", ["gone", "shorter", "changed", "another build"])
    def test_what_is_not_what_was_made_is_made_again(self, nix: Nix, output: Path, tmp_path: Path, harm: str) -> None:
        nix.add("box", "raw", output)
        builder(tmp_path)[0].make("box", "raw")
        image = tmp_path / "dist/2_raw/box.raw"
        match harm:
            case "gone":
                image.unlink()
            case "shorter":
                os.truncate(image, 10)
            case "changed":
                image.write_bytes(bytes(3_000_000))
            case _:
                output = result(tmp_path, "system.raw", folder="store/2-image")
                nix.add("box", "raw", output)
        assert builder(tmp_path)[0].make("box", "raw") == 0
        assert image.read_bytes() == (output / "system.raw").read_bytes()
        assert len(nix.asked("build")) == 2 and sums_hold(tmp_path)


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


class TestFiles:
    @pytest.mark.parametrize("kind", FORMATS)
    def test_every_format_has_its_place(self, nix: Nix, tmp_path: Path, kind: str) -> None:
        names, place = FORMATS[kind]
        made = result(tmp_path, *names)
        nix.add("box", kind, made)
        assert builder(tmp_path)[0].make("box", kind) == 0
        assert files(tmp_path) == sorted([place, "3_deploy/SHA256SUMS", f"3_deploy/box-{kind}.json"])
        assert (tmp_path / "dist" / place).read_bytes() == (made / names[0]).read_bytes()

    def test_every_format_is_tested(self) -> None:
        assert {*FORMATS, "vm"} == set(dist.FORMATS)

    def test_a_result_that_is_one_file(self, nix: Nix, tmp_path: Path) -> None:
        nix.add("box", "raw", result(tmp_path, "1-box.raw") / "1-box.raw")
        builder(tmp_path)[0].make("box", "raw")
        assert "2_raw/box.raw" in files(tmp_path)

    def test_of_several_disks_each_keeps_its_name(self, nix: Nix, tmp_path: Path) -> None:
        made = result(tmp_path, "data1.raw", "system.raw", "more/system.raw")
        nix.add("dev", "raw", made)
        builder(tmp_path)[0].make("dev", "raw")
        found = {file["path"]: file["source"] for file in manifest(tmp_path, "dev-raw")["files"]}
        assert found == {
            "2_raw/dev-data1.raw": "data1.raw",
            "2_raw/dev-more-system.raw": "more/system.raw",
            "2_raw/dev-system.raw": "system.raw",
        }
        for place, source in found.items():
            assert (tmp_path / "dist" / place).read_bytes() == (made / source).read_bytes()

    def test_files_of_an_earlier_layout_go(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("dev", "raw", output)
        nix.add("dev", "qcow", result(tmp_path, "system.qcow2", folder="store/q"))
        for kind in ("raw", "qcow"):
            builder(tmp_path)[0].make("dev", kind)
        nix.add("dev", "raw", result(tmp_path, "data1.raw", "system.raw", folder="store/2-image"))
        made, said = builder(tmp_path)
        made.make("dev", "raw")
        assert [name for name in files(tmp_path) if name.startswith("2_raw")] == [
            "2_raw/dev-data1.raw",
            "2_raw/dev-system.raw",
            "2_raw/dev.qcow2",
        ]
        assert any("removed" in line and "2_raw/dev.raw" in line for line in said) and sums_hold(tmp_path)

    def test_a_result_without_an_image_is_an_error(self, nix: Nix, tmp_path: Path) -> None:
        nix.add("box", "raw", result(tmp_path, "notes.txt"))
        with pytest.raises(OpsError, match="holds no image"):
            builder(tmp_path)[0].make("box", "raw")

    def test_manifest_says_what_was_made(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("box", "raw", output)
        builder(tmp_path)[0].make("box", "raw")
        found = manifest(tmp_path)
        digest = hashlib.sha256((output / "system.raw").read_bytes()).hexdigest()
        assert found["files"] == [{"path": "2_raw/box.raw", "source": "system.raw", "size": 3_000_000, "sha256": digest}]
        assert found["flake"]["revision"] == "a" * 40 and found["system"] == OWN
        assert found["inputs"] == {"disko": "sha256-x", "nixpkgs": "b" * 40}
        assert found["output"] == str(output) and found["derivation"] == "/nix/store/0-box-raw.drv"

    @pytest.mark.parametrize("plain", [True, False])
    def test_no_image_is_said_to_be_encrypted(self, nix: Nix, output: Path, tmp_path: Path, plain: bool) -> None:
        nix.add("box", "raw", output, plain=plain)
        builder(tmp_path)[0].make("box", "raw", plain=True)
        assert manifest(tmp_path)["encrypted"] is False

    def test_checksums_are_those_of_every_image_that_is_there(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("box", "raw", output)
        nix.add("box", "lxc", result(tmp_path, "tarball/nixos.tar.xz", folder="store/t"))
        nix.add("other", "raw", output)
        for host, kind in (("box", "raw"), ("box", "lxc"), ("other", "raw")):
            builder(tmp_path)[0].make(host, kind)
        deploy = tmp_path / "dist/3_deploy"
        listed = [line.split()[1] for line in (deploy / "SHA256SUMS").read_text().splitlines()]
        assert sorted(listed) == ["../1_oci/box.tar.xz", "../2_raw/box.raw", "../2_raw/other.raw"] and sums_hold(tmp_path)
        (tmp_path / "dist/2_raw/other.raw").unlink()
        made, said = builder(tmp_path)
        made.make("box", "raw")
        assert "other" not in (deploy / "SHA256SUMS").read_text() and not (deploy / "other-raw.json").exists()
        assert any("other-raw.json" in line for line in said) and sums_hold(tmp_path)

    @pytest.mark.parametrize(
        "text",
        [
            '{"host": "b',
            '{"some": "thing"}',
            "[]",
            '{"host": "x", "format": "raw", "output": "", "files": [{"path": "../../x"}]}',
        ],
    )
    def test_what_is_no_manifest_is_named_and_left_alone(self, nix: Nix, output: Path, tmp_path: Path, text: str) -> None:
        nix.add("box", "raw", output)
        foreign = tmp_path / "dist/3_deploy/x-raw.json"
        foreign.parent.mkdir(parents=True)
        foreign.write_text(text)
        made, said = builder(tmp_path)
        assert made.make("box", "raw") == 0
        assert foreign.read_text() == text and len([line for line in said if str(foreign) in line]) == 1

    def test_a_torn_manifest_of_the_same_image_is_written_again(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("box", "raw", output)
        (tmp_path / "dist/3_deploy").mkdir(parents=True)
        (tmp_path / "dist/3_deploy/box-raw.json").write_text('{"host": "b')
        builder(tmp_path)[0].make("box", "raw")
        assert manifest(tmp_path)["host"] == "box"


class TestRefusals:
    def test_an_encrypted_host_in_the_clear(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("laptop", "raw", output, plain=True)
        with pytest.raises(OpsError, match=r"(?s)laptop's disk is encrypted.*FORMAT=iso"):
            builder(tmp_path)[0].make("laptop", "raw")
        assert not nix.asked("build") and not nix.asked("flake", "check")

    def test_names_hosts_and_formats_before_the_check(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("box", "raw", output)
        nix.add("box", "qcow", output)
        nix.add("laptop", "raw", output)
        with pytest.raises(OpsError, match=r"no host 'lapptop'\. Did you mean laptop\? Name one, HOST=\{box,laptop\}"):
            builder(tmp_path)[0].make("lapptop", "raw")
        with pytest.raises(OpsError, match=r"no host 'zzz'\. Name one, HOST=\{box,laptop\}"):
            builder(tmp_path)[0].make("zzz", "raw")
        with pytest.raises(OpsError, match=r"box has no image of format lxc\. Fix: FORMAT=\{qcow,raw\}"):
            builder(tmp_path)[0].make("box", "lxc")
        assert not nix.asked("flake", "check")

    def test_a_nix_with_a_store_of_its_own(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        """It would build everything from its sources."""
        nix.add("box", "raw", output)
        nix.facts["metadata"]["path"] = "/home/me/.cache/aether/nix/store/1-source"
        nix.save()
        with pytest.raises(OpsError, match=r"own store in /home/me/.cache/aether/nix/store.*install Nix"):
            builder(tmp_path)[0].make("box", "raw")
        assert len(nix.asked()) == 1

    @pytest.mark.parametrize(
        "machines",
        [
            None,
            "",
            "# none\n",
            "ssh://a x86_64-linux,i686-linux\nssh://b - /key 8",
            "ssh://c # riscv64-linux",
            "#ssh://d riscv64-linux",
        ],
    )
    def test_another_architecture_without_a_builder(self, nix: Nix, output: Path, tmp_path: Path, machines: str | None) -> None:
        nix.add("arm", "raw", output, system="riscv64-linux")
        if machines is not None:
            (tmp_path / "machines").write_text(machines)
        with pytest.raises(OpsError, match=r"for riscv64-linux, .*emulatedSystems"):
            builder(tmp_path)[0].make("arm", "raw")
        assert not nix.asked("flake", "check")

    @pytest.mark.parametrize(
        "config",
        [
            {"extra-platforms": {"value": ["riscv64-linux"]}},
            {"builders": {"value": "ssh://a x86_64-linux ; ssh://b riscv64-linux,i686-linux"}},
            {"builders": {"value": "@MACHINES"}},
        ],
    )
    def test_another_architecture_with_a_builder(self, nix: Nix, output: Path, tmp_path: Path, config: dict[str, Any]) -> None:
        (tmp_path / "machines").write_text("# ours\nssh://b riscv64-linux /key\n")
        nix.facts["config"] = json.loads(json.dumps(config).replace("MACHINES", f"{tmp_path}/machines"))
        nix.add("arm", "raw", output, system="riscv64-linux")
        assert builder(tmp_path)[0].make("arm", "raw") == 0

    def test_a_vm_of_another_architecture(self, nix: Nix, tmp_path: Path) -> None:
        """Its script is this machine's, what it boots is not."""
        nix.add("arm", "vm", result(tmp_path, "bin/run-arm-vm"), guestSystem="riscv64-linux")
        with pytest.raises(OpsError, match="for riscv64-linux"):
            builder(tmp_path)[0].make("arm", "vm")

    def test_folders_that_cannot_be_written(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("box", "raw", output)
        (tmp_path / "dist").symlink_to(tmp_path / "unmounted/dist")
        with pytest.raises(OpsError, match=r"is a link to .*/unmounted/dist, which is not there"):
            builder(tmp_path)[0].make("box", "raw")
        with pytest.raises(OpsError, match=r"/proc/dist.*Fix: .*--dist DIR"):
            building.Builder(Path("/proc/dist"), print).make("box", "raw")
        assert not nix.asked()

    def test_a_disk_that_cannot_be_written(self, nix: Nix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def read_only(**_: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system", "/dist/tmp123")

        monkeypatch.setattr("ops.image.dist.tempfile.TemporaryFile", read_only)
        with pytest.raises(OpsError, match=rf"{tmp_path}/dist: Read-only file system. Fix"):
            builder(tmp_path)[0].make("box", "raw")
        assert not nix.asked()

    def test_a_disk_that_fills_up(self, nix: Nix, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        nix.add("box", "raw", output)

        def full(*_: object) -> str:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(building, "copy", full)
        with pytest.raises(OpsError, match=rf"{tmp_path}/dist: the disk is full\. Fix: .*it goes on"):
            builder(tmp_path)[0].make("box", "raw")


class TestSpace:
    """Building fills the store, copying dist."""

    GIB = copying.GIB

    def unbuilt(self, nix: Nix, tmp_path: Path, kind: str = "raw", **more: Any) -> Path:
        (tmp_path / "store").mkdir(exist_ok=True)
        content = result(tmp_path, FORMATS.get(kind, FORMATS["raw"])[0][0], folder="content")
        nix.add("box", kind, tmp_path / "store/2-image", content=str(content), **more)
        return tmp_path / "store"

    def test_both_are_counted_on_one_disk(self, nix: Nix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = self.unbuilt(nix, tmp_path, sizes={"system": "4G", "data1": "2048M"})
        free_space(monkeypatch, lambda _: 12 * self.GIB - 1)
        with pytest.raises(
            OpsError, match=rf"{tmp_path}/dist and {store} together have 12\.0 GiB left, a raw .* about 12\.0 GiB"
        ):
            builder(tmp_path)[0].make("box", "raw")
        assert not nix.asked("flake", "check")
        free_space(monkeypatch, lambda _: 12 * self.GIB)
        assert builder(tmp_path)[0].make("box", "raw") == 0

    @pytest.mark.parametrize("full", ["store", "dist"])
    def test_each_is_looked_at_on_two_disks(self, nix: Nix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str) -> None:
        store = self.unbuilt(nix, tmp_path, sizes={"system": "4G"})
        devices(monkeypatch, store)
        free_space(monkeypatch, lambda path: (3.5 if path.name == full else 4) * self.GIB)
        with pytest.raises(OpsError, match=rf"^{tmp_path}/{full} has 3\.5 GiB left"):
            builder(tmp_path)[0].make("box", "raw")
        free_space(monkeypatch, lambda path: 4 * self.GIB)
        assert builder(tmp_path)[0].make("box", "raw") == 0

    @pytest.mark.parametrize(("kind", "needed"), [("iso", 16), ("proxmox", 12), ("lxc", 4), ("vm", 4), ("qcow", 20)])
    def test_a_format_that_says_nothing_of_its_size(
        self, nix: Nix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, needed: int
    ) -> None:
        self.unbuilt(nix, tmp_path, kind)
        free_space(monkeypatch, lambda _: self.GIB)
        with pytest.raises(OpsError, match=rf"about {needed}\.0 GiB"):
            builder(tmp_path)[0].make("box", kind)

    def test_last_time_tells_how_much_is_needed(self, nix: Nix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = self.unbuilt(nix, tmp_path, sizes={"system": "4G"})
        # Not what this machine has.
        free_space(monkeypatch, lambda _: 12 * self.GIB)
        builder(tmp_path)[0].make("box", "raw")
        made = copying.allocated(tmp_path / "dist/2_raw/box.raw")
        shutil.rmtree(store / "2-image")
        self.unbuilt(nix, tmp_path, sizes={"system": "4G"})
        os.truncate(tmp_path / "dist/2_raw/box.raw", 3_000_001)  # Another than what was made.
        free_space(monkeypatch, lambda _: 2.9 * made)
        with pytest.raises(OpsError, match="left"):
            builder(tmp_path)[0].make("box", "raw")
        free_space(monkeypatch, lambda _: 3.1 * made)
        assert builder(tmp_path)[0].make("box", "raw") == 0

    def test_what_was_built_takes_its_copy_alone(
        self, nix: Nix, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nix.add("box", "raw", output, sizes={"system": "4G"})
        needed = copying.allocated(output / "system.raw")
        free_space(monkeypatch, lambda _: needed - 1)
        with pytest.raises(OpsError, match=rf"^{tmp_path}/dist has"):
            builder(tmp_path)[0].make("box", "raw")
        free_space(monkeypatch, lambda _: needed)
        assert builder(tmp_path)[0].make("box", "raw") == 0

    def test_an_image_that_came_out_too_large(self, nix: Nix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.unbuilt(nix, tmp_path, sizes={"system": "1k"})
        free_space(monkeypatch, lambda _: 1_000_000)
        with pytest.raises(OpsError, match=rf"^{tmp_path}/dist has"):
            builder(tmp_path)[0].make("box", "raw")
        assert len(nix.asked("build")) == 1 and not (tmp_path / "dist/2_raw/box.raw.part").exists()

    def test_what_a_broken_off_copy_left_is_counted(self, nix: Nix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of two files one is there, of the other a part."""
        made = result(tmp_path, "data1.raw", "system.raw")
        nix.add("box", "raw", made)
        whole = copying.copy

        def broken_off(source: Path, target: Path, say: Any) -> str:
            if source.name == "data1.raw":
                return whole(source, target, say)
            target.with_name(f"{target.name}.part").write_bytes(source.read_bytes()[:2_000_000])
            target.with_name(f"{target.name}.from").write_text(str(source))
            raise KeyboardInterrupt

        monkeypatch.setattr(building, "copy", broken_off)
        with pytest.raises(KeyboardInterrupt):
            builder(tmp_path)[0].make("box", "raw")
        monkeypatch.setattr(building, "copy", whole)
        free_space(monkeypatch, lambda _: 1_100_000)
        assert builder(tmp_path)[0].make("box", "raw") == 0
        assert sums_hold(tmp_path) and [name for name in files(tmp_path) if name.startswith("2_raw")] == [
            "2_raw/box-data1.raw",
            "2_raw/box-system.raw",
        ]

    def test_a_part_of_something_else_is_not_counted(
        self, nix: Nix, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nix.add("box", "raw", output)
        (tmp_path / "dist/2_raw").mkdir(parents=True)
        (tmp_path / "dist/2_raw/box.raw.part").write_bytes(b"x" * 2_000_000)
        (tmp_path / "dist/2_raw/box.raw.from").write_text("/nix/store/another/system.raw")
        free_space(monkeypatch, lambda _: 1_100_000)
        with pytest.raises(OpsError, match="left"):
            builder(tmp_path)[0].make("box", "raw")

    def test_sizes_are_those_of_qemu(self) -> None:
        assert [asking.in_bytes(size) for size in ("4G", "2048M", "16k", "16K", "7", "7b", "auto", "1.5G")] == [
            4 * self.GIB, 2 * self.GIB, 16384, 16384, 7, 7, None, None,
        ]  # fmt: skip


SCRIPT = """#!/bin/sh
# -netdev user,hostfwd=tcp:127.0.0.1:8443-:443,hostfwd=udp:192.168.1.5:5353-:53,hostfwd=tcp::9000-:9000
# -netdev user,hostfwd=tcp:0.0.0.0:9001-:1
touch box.qcow2
exit 7
"""


# A shell's background jobs ignore SIGINT, and so would what they start.
HEEDS_CTRL_C = "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "


class TestVm:
    def script(self, tmp_path: Path, text: str = SCRIPT, name: str = "run-box-vm") -> Path:
        found = tmp_path / "store/1-vm/bin" / name
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_text(text)
        found.chmod(0o755)
        return found.parent.parent

    def test_says_its_ports_and_keeps_its_disk(self, nix: Nix, tmp_path: Path) -> None:
        nix.add("box", "vm", self.script(tmp_path))
        made, said = builder(tmp_path)
        assert made.make("box", "vm") == 7
        assert [line.strip() for line in said if "->" in line] == [
            "localhost:8443 -> port 443/tcp",
            "192.168.1.5:5353 -> port 53/udp",
            "every address of this machine:9000 -> port 9000/tcp",
            "every address of this machine:9001 -> port 1/tcp",
        ]
        assert (tmp_path / "dist/vm/box.qcow2").exists()
        assert nix.asked("build")[0][-1] == "/nix/store/0-box-vm.drv^*"

    def test_is_only_built_when_asked(self, nix: Nix, tmp_path: Path) -> None:
        nix.add("box", "vm", self.script(tmp_path))
        made, said = builder(tmp_path)
        assert made.make("box", "vm", run=False) == 0
        assert not (tmp_path / "dist/vm/box.qcow2").exists()
        boot = said[-1].removeprefix("Boot it: ")
        assert subprocess.run(boot, shell=True, check=False).returncode == 7 and (tmp_path / "dist/vm/box.qcow2").exists()

    def test_the_script_is_the_hosts_own_or_the_only_one(self, tmp_path: Path) -> None:
        output = self.script(tmp_path)
        assert vm.boot("renamed", output, tmp_path / "vm", lambda _: None, run=True) == 7
        self.script(tmp_path, name="run-other-vm")
        assert vm.boot("box", output, tmp_path / "vm", lambda _: None, run=True) == 7
        with pytest.raises(OpsError, match="has: run-box-vm, run-other-vm"):
            vm.boot("renamed", output, tmp_path / "vm", lambda _: None, run=True)

    # Writes down that it runs, and what it does on Ctrl-C.
    TRAPS = """#!/bin/bash
trap 'echo "$(date +%s%N)" >>interrupts; sleep 1; echo flushed >disk; exit 3' INT
touch running
for _ in $(seq 100); do sleep 0.1; done
"""
    IGNORES = """#!/bin/bash
trap '' INT
touch running
exec sleep 30
"""

    def started(self, nix: Nix, tmp_path: Path, text: str) -> "subprocess.Popen[str]":
        """The command with a VM that runs, as in a terminal of its own."""
        nix.add("box", "vm", self.script(tmp_path, text))
        program = HEEDS_CTRL_C + "from ops.image.command import image; sys.exit(image(sys.argv[1:]))"
        process = subprocess.Popen(
            [sys.executable, "-c", program, "box", "vm", "--dist", str(tmp_path / "dist")],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        wait_for(tmp_path / "dist/vm/running")
        return process

    def test_ends_in_order_on_ctrl_c(self, nix: Nix, tmp_path: Path) -> None:
        process = self.started(nix, tmp_path, self.TRAPS)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=20)
        assert (tmp_path / "dist/vm/disk").read_text() == "flushed\n" and process.returncode == 3
        assert "The VM is switched off" in said and said.endswith("The VM is off. Its disk is kept.\n")

    def test_ends_at_once_on_a_second_ctrl_c(self, nix: Nix, tmp_path: Path) -> None:
        process = self.started(nix, tmp_path, self.IGNORES)
        begin = time.monotonic()
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(1)
        process.communicate(timeout=20)
        assert process.returncode == 128 + signal.SIGKILL and time.monotonic() - begin < 15


class TestCommand:
    def test_options_arrive(self, nix: Nix, output: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        nix.add("box", "raw", output, plain=True)
        with pytest.raises(OpsError, match="encrypted"):
            command.image(["box", "raw", "--dist", str(tmp_path / "dist")])
        assert command.image(["box", "raw", "--plain", "--dist", str(tmp_path / "dist")]) == 0
        assert "2_raw/box.raw" in files(tmp_path) and "4/4 copy: 2_raw/box.raw" in capfd.readouterr().out
        vm_script = TestVm().script(tmp_path)
        nix.add("box", "vm", vm_script)
        assert command.image(["box", "vm", "--no-run", "--dist", str(tmp_path / "dist")]) == 0
        assert not (tmp_path / "dist/vm/box.qcow2").exists()
        assert command.image(["box", "vm", "--dist", str(tmp_path / "dist")]) == 7
        assert (tmp_path / "dist/vm/box.qcow2").exists()

    def test_dist_is_where_the_caller_is(self, nix: Nix, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nix runs in the repository."""
        nix.add("box", "raw", output)
        monkeypatch.chdir(tmp_path)
        assert command.image(["box", "raw", "--dist", "dist"]) == 0
        assert (tmp_path / "dist/.roots/box-raw").is_symlink() and "2_raw/box.raw" in files(tmp_path)

    def test_lines_are_in_order_with_those_of_nix(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        program = tmp_path / "nix"
        program.write_text(program.read_text() + 'if arguments[:2] == ["flake", "check"]: print("fake: checks")\n')
        nix.add("box", "raw", output)
        script = "import sys; from ops.image.command import image; sys.exit(image(sys.argv[1:]))"
        said = subprocess.run(
            [sys.executable, "-c", script, "box", "raw", "--dist", str(tmp_path / "dist")],
            cwd=REPOSITORY,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert re.search(r"(?s)2/4 check.*fake: checks.*3/4 build", said)

    def test_nix_ends_in_order_on_ctrl_c(self, nix: Nix, output: Path, tmp_path: Path) -> None:
        nix.add("box", "raw", output)
        (tmp_path / "nix").rename(tmp_path / "fake")
        (tmp_path / "nix").write_text(
            f"""#!/bin/bash
[ "$1" = build ] || exec {tmp_path}/fake "$@"
trap 'sleep 1; echo kept >{tmp_path}/ended; exit 0' INT
touch {tmp_path}/building
for _ in $(seq 100); do sleep 0.1; done
"""
        )
        (tmp_path / "nix").chmod(0o755)
        program = HEEDS_CTRL_C + "runpy.run_module('ops', run_name='__main__')"
        process = subprocess.Popen(
            [sys.executable, "-c", program, "image", "box", "raw", "--dist", str(tmp_path / "dist")],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        wait_for(tmp_path / "building")
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=20)
        assert (tmp_path / "ended").read_text() == "kept\n" and process.returncode == 130
        assert "Nix ends in order" in said and "it goes on where this stopped" in said and files(tmp_path) == []

    @pytest.mark.parametrize("kind", ["docker", ""])
    def test_an_unknown_format_is_refused(self, kind: str) -> None:
        with pytest.raises(SystemExit):
            command.image(["box", kind])

    @pytest.mark.parametrize(("given", "missing"), [("FORMAT=raw", "HOST"), ("HOST=box", "FORMAT")])
    def test_make_names_what_is_missing(self, given: str, missing: str) -> None:
        done = subprocess.run(["make", "-n", "image", given], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode and f"{missing}=… is missing" in done.stderr
