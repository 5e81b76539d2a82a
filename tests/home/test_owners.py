"""Each file of a home has one owner: chezmoi, Stow, Home Manager or the bootstrap (docs/home.md, *Who manages what*)."""

import re
from itertools import combinations
from pathlib import Path

import pytest

from tests.home.conftest import BIN, REPO, Home, program
from tests.nix.conftest import ask
from tests.nix.homes import HOME as FILES

MACHINE = "bifrost"


def of_chezmoi(home: Home) -> set[str]:
    """What chezmoi itself says that it manages, scripts by their names."""
    home.run(BIN / "chezmoi-home", home.source / "home/chezmoi", f"machine={MACHINE}")
    told = home.run("chezmoi", "managed", "--include=files,symlinks,scripts", "--path-style=relative").stdout
    return set(told.split("\n")) - {""}


def of_stow(home: Home) -> set[str]:
    """Links that Stow made."""
    program("stow")
    home.run(home.source / "home/bin/link-home", "Documents Pictures Workspace")
    places = (
        path for path in home.path.rglob("*") if path.is_symlink() and "SharedHome" not in path.relative_to(home.path).parts
    )
    return {str(path.relative_to(home.path)) for path in places}


def of_home_manager() -> set[str]:
    files = ask(f'homeConfigurations."mitso@{MACHINE}".config', FILES)["files"]
    return {file.removeprefix("/home/mitso/") for file in files}


def of_roles() -> set[str]:
    """Files that Ansible's roles write into a home."""
    found: set[str] = set()
    for tasks in (REPO / "ansible/roles").glob("*/tasks/*.yml"):
        found |= set(re.findall(r'(?:dest|path): "\{\{ bootstrap_home \}\}/([^"{]+)"', tasks.read_text()))
    return found


def overlaps(one: set[str], other: set[str]) -> set[str]:
    """Files of both, and files of one below a link of the other."""
    below = {
        file for file in one | other for link in one | other if file.startswith(f"{link}/") and (file in one) != (link in one)
    }
    return (one & other) | below


@pytest.fixture
def owners(home: Home) -> dict[str, set[str]]:
    program("chezmoi")
    folders = {".local/bin", ".config/rclone"}
    return {
        "chezmoi": of_chezmoi(home),
        "Stow": of_stow(home),
        "Home Manager": of_home_manager(),
        "Ansible": of_roles() - folders,
    }


def test_no_file_has_two_owners(owners: dict[str, set[str]]) -> None:
    assert {".config/kitty/kitty.conf", ".ssh/config"} <= owners["chezmoi"]
    assert {"Documents", ".local/bin/shared-home-status"} <= owners["Stow"]
    assert ".config/git/config" in owners["Home Manager"] and ".config/rclone/rclone.conf" in owners["Ansible"]
    for one, other in combinations(owners, 2):
        assert overlaps(owners[one], owners[other]) == set(), f"{one} and {other}"


def test_two_owners_would_be_seen() -> None:
    assert overlaps({".ssh/config"}, {".ssh/config", "x"}) == {".ssh/config"}
    assert overlaps({".config/kitty"}, {".config/kitty/kitty.conf"}) == {".config/kitty/kitty.conf"}


def test_plasma_is_chezmoi_s_alone(owners: dict[str, set[str]]) -> None:
    """By its script, which sets single keys: the rest of Plasma's files is the desktop's own."""
    script = "10-plasma.sh"
    assert any(script in name for name in owners["chezmoi"])
    set_by = re.findall(r"--file (\S+)", (REPO / f"home/chezmoi/run_onchange_after_{script}.tmpl").read_text())
    assert set_by
    files = {f".config/{name}" for name in set_by}
    for owner, held in owners.items():
        assert not held & files, owner
    assert "Plasma" in next(line for line in Path(REPO / "docs/home.md").read_text().splitlines() if "`home/chezmoi/`" in line)
