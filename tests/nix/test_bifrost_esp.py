"""Bifrost's ESP as it will be: every path in it is followed."""

import re
from pathlib import Path

import pytest

from .esp import fill
from .refind import on_esp, stanzas


@pytest.fixture(scope="module")
def esp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("esp"))


def entries(esp: Path) -> dict[str, list[tuple[str, str]]]:
    """Loader entries by file name, as keys and values in order."""
    found = {}
    for file in sorted((esp / "loader/entries").glob("*.conf")):
        lines = [line.split(maxsplit=1) for line in file.read_text().splitlines() if line]
        found[file.name] = [(key, value) for key, value in lines]
    return found


def test_each_generation_has_both_kernels(esp: Path) -> None:
    titles = sorted(dict(entry)["title"] for entry in entries(esp).values())
    assert titles == ["Kinoite", "NixOS", "NixOS", "NixOS (mainline)", "NixOS (mainline)"]


def test_every_path_of_every_entry_exists(esp: Path) -> None:
    followed = 0
    for name, entry in entries(esp).items():
        for key, value in entry:
            if key in ("linux", "initrd", "efi", "devicetree"):
                assert (esp / on_esp(value)).is_file(), (name, key, value)
                followed += 1
    assert followed == 9


def test_every_path_of_the_menu_exists(esp: Path) -> None:
    conf = (esp / "EFI/refind/refind.conf").read_text()
    for title, entry in stanzas(conf).items():
        for key in ("loader", "icon"):
            assert (esp / on_esp(entry[key])).is_file(), (title, key)
    (theme,) = re.findall(r"^include (.*)$", conf, re.MULTILINE)
    assert "banner" in (esp / "EFI/refind" / theme).read_text()
    assert (esp / "EFI/refind/refind_x64.efi").is_file()


def test_new_entries_are_counted_and_the_newest_is_preferred(esp: Path) -> None:
    nixos = [name for name in entries(esp) if name.startswith("nixos-")]
    assert len(nixos) == 4 and all(re.search(r"\+3\.conf$", name) for name in nixos)
    loader = (esp / "loader/loader.conf").read_text()
    (preferred,) = re.findall(r"^preferred (\S+)\.conf$", loader, re.MULTILINE)
    assert any(name.startswith(preferred) for name in nixos) and "editor 0" in loader
