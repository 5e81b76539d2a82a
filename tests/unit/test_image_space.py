"""Space for images: what is needed is counted before anything is built."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ops.image import builder as building
from ops.image import copying
from ops.image import nix as asking
from ops.stack import OpsError
from tests.unit.image_nix import FORMATS, Nix, builder, files, free_space, nix, output, result, sums_hold

__all__ = ["nix", "output"]


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
