"""The image builder's own behaviour, with a fake Nix: order, refusals, resuming."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from inventory.files import REPOSITORY
from ops.image import builder as building
from ops.image import nix as asking
from ops.stack import OpsError
from tests.unit.image_nix import IMAGES, URL, Nix, builder, files, free_space, manifest, nix, output, result, sums_hold

__all__ = ["nix", "output"]


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
