"""The script that has an image made: once a version for the whole machine, whatever becomes of the checkout."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SCRIPT = Path("components/proxmox/scripts/build-image.sh").absolute()
OUTPUT = ".aether/images/nixos-vm-0123456789ab.qcow2"
# Builds slowly enough for a second one to start, notes it, and prints where the result is.
NIX = """\
#!/bin/sh
echo built >>"$BUILDS"
sleep 0.2
mkdir -p "$STORE/result"
echo "an image" >"$STORE/result/disk.qcow2"
echo "$STORE/result"
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    nix = tmp_path / "bin/nix"
    nix.parent.mkdir()
    nix.write_text(NIX)
    nix.chmod(0o755)
    return tmp_path


def build(machine: Path, checkout: str, nix: str = "nix") -> Path:
    folder = machine / checkout
    folder.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PATH": f"{machine / 'bin'}:{os.environ['PATH']}",
        "AETHER_CACHE": str(machine / "cache"),
        "BUILDS": str(machine / "builds"),
        "STORE": str(machine / "store"),
        "AETHER_NIX": nix,
        "AETHER_IMAGE": "proxmox-vm",
        "AETHER_OUTPUT": OUTPUT,
    }
    done = subprocess.run([SCRIPT], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == OUTPUT
    return folder / OUTPUT


def builds(machine: Path) -> int:
    return len((machine / "builds").read_text().splitlines())


def test_a_clean_checkout_takes_it_from_the_cache(machine: Path) -> None:
    assert build(machine, "first").read_text() == "an image\n"
    assert build(machine, "second").read_text() == "an image\n"
    assert builds(machine) == 1


def test_what_is_there_is_not_made_again(machine: Path) -> None:
    build(machine, "first")
    build(machine, "first")
    assert builds(machine) == 1


def test_uploads_to_several_nodes_wait_for_one_build(machine: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: build(machine, "first"), range(3)))
    assert builds(machine) == 1


def test_what_was_not_asked_for_in_a_long_time_is_cleared_away(machine: Path) -> None:
    old = machine / "cache/images/nixos-vm-ffffffffffff.qcow2"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    os.utime(old, (0, 0))
    build(machine, "first")
    assert [path.name for path in old.parent.iterdir()] == [Path(OUTPUT).name]


def test_images_of_a_nix_of_the_checkouts_own_stay_with_it(machine: Path) -> None:
    """The simulator's image has the name of a real one: it must never be found by a real deployment."""
    own = machine / "first/sim/nix"
    own.parent.mkdir(parents=True)
    own.write_text(NIX)
    own.chmod(0o755)
    build(machine, "first", str(own))
    assert not (machine / "cache").exists()
    build(machine, "second")
    assert builds(machine) == 2
