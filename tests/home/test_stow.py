"""Links into SharedHome, by the real GNU Stow."""

import pytest

from tests.home.conftest import BIN, Home, program

PACKAGES = "Documents Pictures Workspace"


@pytest.fixture
def shared(home: Home) -> Home:
    """A home whose SharedHome is laid out."""
    program("stow")
    made = home.run(BIN / "shared-home", home.source / "home/shared-home", home.path / "SharedHome").stdout
    assert f"made {home.path}/SharedHome/Documents/Documents" in made
    return home


def link(home: Home, packages: str = PACKAGES, check: bool = True):  # type: ignore[no-untyped-def]
    """Run stow-home as the bootstrap does."""
    return home.run(BIN / "stow-home", home.path / "SharedHome", home.path, packages, check=check)


def test_layout_is_made_once_and_nothing_is_overwritten(shared: Home) -> None:
    ignore = shared.path / "SharedHome/.stignore"
    ignore.write_text("mine\n")
    again = shared.run(BIN / "shared-home", shared.source / "home/shared-home", shared.path / "SharedHome").stdout
    assert again == ""
    assert ignore.read_text() == "mine\n"
    assert not list((shared.path / "SharedHome").rglob(".keep"))


def test_folders_become_links_once(shared: Home) -> None:
    assert link(shared).stdout.count("LINK:") == 3
    for name in PACKAGES.split():
        place = shared.path / name
        assert place.is_symlink()
        assert place.resolve() == shared.path / "SharedHome" / name / name
    (shared.path / "Documents/letter.txt").write_text("hello")
    assert (shared.path / "SharedHome/Documents/Documents/letter.txt").read_text() == "hello"
    assert link(shared).stdout == ""


def test_empty_folders_of_the_desktop_make_way(shared: Home) -> None:
    (shared.path / "Documents").mkdir()
    link(shared)
    assert (shared.path / "Documents").is_symlink()


def test_what_is_in_the_way_is_named_and_nothing_is_linked(shared: Home) -> None:
    (shared.path / "Pictures").write_text("a file of its own")
    failed = link(shared, check=False)
    assert failed.returncode == 1
    assert "nothing was linked" in failed.stderr
    assert "Pictures" in failed.stderr
    assert not (shared.path / "Documents").exists(), "a conflict in one package must not leave the others half done"
    assert (shared.path / "Pictures").read_text() == "a file of its own"
    (shared.path / "Pictures").unlink()
    assert link(shared).stdout.count("LINK:") == 3


def test_files_of_a_full_folder_are_kept(shared: Home) -> None:
    (shared.path / "Documents").mkdir()
    own = shared.path / "Documents/own.txt"
    own.write_text("mine")
    link(shared)
    assert own.read_text() == "mine"


def test_unknown_package_says_what_to_do(shared: Home) -> None:
    failed = link(shared, "Documents Musik", check=False)
    assert failed.returncode == 1
    assert "no Stow package Musik" in failed.stderr
    assert "home.stow" in failed.stderr


def test_scripts_of_the_repository(home: Home) -> None:
    program("stow")
    home.run(BIN / "stow-home", home.source / "home/stow", home.path, "scripts")
    link_of = home.path / ".local/bin/shared-home-status"
    assert link_of.resolve() == home.source / "home/stow/scripts/.local/bin/shared-home-status"
    assert home.run(BIN / "stow-home", home.source / "home/stow", home.path, "scripts").stdout == ""
    assert "Documents    is not linked" in home.run(link_of, "Documents").stdout
