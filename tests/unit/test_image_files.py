"""Images' files: each format in its place, with a manifest and checksums."""

import hashlib
from pathlib import Path

import pytest

from ops.image import dist
from ops.stack import OpsError
from tests.unit.image_nix import FORMATS, OWN, Nix, builder, files, manifest, nix, output, result, sums_hold

__all__ = ["nix", "output"]


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
