"""An ephemeral home after a reboot: only what persists is there, and the service's own program brings back the rest."""

import shutil
import subprocess

import pytest

from inventory.models import Home as Facts
from tests.home.conftest import BIN, KEPT, Home, program

PACKAGES = "Documents Pictures Workspace"
MACHINE = "laptop"


def tree(home: Home) -> dict[str, str]:
    """Every dotfile and link that dotfiles and Stow make: place to content or target."""
    found = {}
    for path in sorted(home.path.rglob("*")):
        place = str(path.relative_to(home.path))
        if place.startswith((".local/share/aether", ".local/state", ".config/chezmoi", "SharedHome")):
            continue
        if path.is_symlink():
            found[place] = f"-> {path.readlink()}"
        elif path.is_file():
            found[place] = path.read_text()
    return found


def reboot(home: Home) -> None:
    """Take away what does not persist."""
    before = home.path.with_name("before")
    shutil.rmtree(before, ignore_errors=True)
    home.path.rename(before)
    for place in KEPT:
        (home.path / place).parent.mkdir(parents=True, exist_ok=True)
        (before / place).rename(home.path / place)


def restore(home: Home, check: bool = True) -> subprocess.CompletedProcess[str]:
    """What the service runs at login."""
    return home.run(home.source / "home/bin/restore-home", PACKAGES, check=check)


@pytest.fixture
def settled(home: Home) -> Home:
    """A home that the bootstrap finished."""
    program("chezmoi")
    program("stow")
    home.run(BIN / "chezmoi-home", home.source / "home/chezmoi", f"machine={MACHINE}")
    home.run("chezmoi", "apply", "--no-tty")
    home.run(home.source / "home/bin/link-home", PACKAGES)
    return home


def test_dotfiles_and_links_are_back_after_a_reboot(settled: Home) -> None:
    before = tree(settled)
    assert {".config/kitty/kitty.conf", ".ssh/config", ".local/bin/shared-home-status", "Workspace"} <= set(before)
    for _ in range(2):
        reboot(settled)
        assert set(tree(settled)) < set(before)
        restore(settled)
        assert tree(settled) == before
    for name in PACKAGES.split():
        assert (settled.path / name).resolve() == settled.path / "SharedHome" / name / name


def test_a_restored_home_is_what_the_bootstrap_leaves(settled: Home) -> None:
    """Its next run changes nothing, and asks about no file."""
    reboot(settled)
    restore(settled)
    assert settled.run(BIN / "chezmoi-home", settled.source / "home/chezmoi", f"machine={MACHINE}").stdout == ""
    done = settled.run("chezmoi", "apply", "--verbose", "--no-tty", "--no-pager", "--color=false")
    assert (done.stdout, done.stderr) == ("", "")
    assert settled.run(settled.source / "home/bin/link-home", PACKAGES).stdout == ""
    assert restore(settled).stdout == ""


def test_scripts_run_again_in_a_new_home(settled: Home) -> None:
    """What they write does not persist either."""
    calls = settled.path.with_name("calls")
    reboot(settled)
    tool = settled.path / ".local/bin/kwriteconfig6"
    tool.parent.mkdir(parents=True)
    tool.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n')
    tool.chmod(0o755)
    script = 'PATH=~/.local/bin:$PATH exec "$0" "$@"'
    settled.run("bash", "-c", script, settled.source / "home/bin/restore-home", PACKAGES)
    assert "--group KDE --key SingleClick false" in calls.read_text()


def test_the_new_source_is_taken_though_the_kept_files_are_older(settled: Home) -> None:
    reboot(settled)
    template = settled.source / "home/chezmoi/private_dot_ssh/private_config.tmpl"
    template.write_text(template.read_text() + "# newer\n")
    restore(settled)
    assert (settled.path / ".ssh/config").read_text().endswith("# newer\n")


def test_one_that_fails_keeps_nothing_else_away(settled: Home) -> None:
    before = tree(settled)
    reboot(settled)
    (settled.path / "Pictures").write_text("a file of its own")
    broken = settled.source / "home/chezmoi/dot_config/aaa.tmpl"
    broken.write_text('{{ fail "no password" }}')
    failed = restore(settled, check=False)
    assert failed.returncode == 1
    assert "Pictures" in failed.stderr and "no password" in failed.stderr
    assert {place for place in before if place.startswith((".config", ".ssh"))} <= set(tree(settled))
    (settled.path / "Pictures").unlink()
    broken.unlink()
    restore(settled)
    assert tree(settled) == before


def test_packages_are_those_of_the_inventory() -> None:
    assert " ".join(Facts(configuration="me@here").stow) == PACKAGES
    assert sorted(path.name for path in (BIN.parent / "shared-home").iterdir() if path.is_dir()) == PACKAGES.split()
