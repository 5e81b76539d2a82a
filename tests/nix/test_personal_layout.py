"""Disk layouts as disko evaluates them, made for real on a loop device: partitions, LUKS2 with Argon2id, FAT, BTRFS."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ask, sections

Checker = Callable[[str], str]
PROGRAMS = ["cryptsetup", "mkfs.btrfs", "btrfs", "mkfs.vfat", "fsck.fat", "sgdisk", "partx"]
Sections = dict[str, str]

made: dict[str, Sections] = {}


@pytest.fixture
def layout(checker: Checker, tmp_path: Path) -> Callable[[str], Sections]:
    """Function from a host's name to what its disk holds after disko's script ran twice, by section."""
    if os.geteuid() != 0:
        pytest.skip("partition layouts need root: loop devices and mounts")
    if not Path("/dev/loop-control").exists():
        pytest.skip("no loop devices here: /dev/loop-control does not exist")
    if "\tbtrfs" not in Path("/proc/filesystems").read_text():
        pytest.skip("this kernel cannot mount BTRFS (/proc/filesystems)")
    tools = tmp_path / "tools"
    tools.mkdir()
    for program in PROGRAMS:
        (tools / program).symlink_to(checker(program))

    def make(host: str) -> Sections:
        if host not in made:
            script, image = tmp_path / "create", tmp_path / "disk.img"
            script.write_text(str(ask(f"nixosConfigurations.{host}.config.disko.devices._create")))
            with image.open("wb") as file:
                file.truncate(64 * 1024**3)
            done = subprocess.run(
                [str(Path(__file__).with_name("personal_layout.sh")), str(image), str(script), str(tools)],
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            image.unlink()
            assert done.returncode == 0, done.stderr[-3000:]
            made[host] = sections(done.stdout)
        return made[host]

    return make


@pytest.mark.parametrize("host", ["bifrost", "laptop"])
class TestLayout:
    def test_the_esp_is_fat_and_whole(self, host: str, layout: Callable[[str], Sections]) -> None:
        found = layout(host)
        assert re.search(r"^ +1 .*1024\.0 MiB +EF00 +disk-main-ESP$", found["partitions"], re.MULTILINE)
        assert "TYPE=vfat" in found["disk-main-ESP"] and "0 files" in found["disk-main-ESP"]

    def test_the_pool_is_luks2_with_argon2id_at_a_fixed_cost(self, host: str, layout: Callable[[str], Sections]) -> None:
        header = layout(host)["disk-main-pool"]
        assert re.search(r"^Version:\s+2$", header, re.MULTILINE)
        for key, value in {"PBKDF": "argon2id", "Memory": "1048576", "Time cost": "4", "Cipher key": "512 bits"}.items():
            assert re.search(rf"^\s+{key}:\s+{value}$", header, re.MULTILINE), key

    def test_a_second_run_keeps_what_is_there(self, host: str, layout: Callable[[str], Sections]) -> None:
        assert "kept" in layout(host)["again"] and "snapshot ro=true" in layout(host)["again"]


def subvolumes(sections: Sections) -> set[str]:
    return set(re.findall(r" path (\S+)$", sections["subvolumes"], re.MULTILINE))


def test_both_halves_of_bifrost_have_their_subvolumes(layout: Callable[[str], Sections]) -> None:
    found = layout("bifrost")
    assert subvolumes(found) == {"@root", "@nixos", "@nix", "@home", "@snapshots", "@shared"}
    assert "TYPE=ext4" in found["disk-main-kinoite-boot"]


def test_a_laptop_has_a_swap_file_to_hibernate_to(layout: Callable[[str], Sections]) -> None:
    found = layout("laptop")
    assert subvolumes(found) == {"@nix", "@persist", "@snapshots", "@swap"}
    assert found["swap"].split() == [str(16 * 1024**3), "@swap/swapfile"]


def test_the_opened_container_is_a_mapping_of_the_kernel(layout: Callable[[str], Sections]) -> None:
    if "device-mapper" not in Path("/proc/misc").read_text():
        pytest.skip("this kernel has no device mapper (/proc/misc): the opened container was a loop device behind the header")
    assert "TYPE=btrfs" not in layout("bifrost")["disk-main-pool"]


@pytest.mark.parametrize("host", ["bifrost", "laptop", "desktop"])
def test_no_script_knows_a_disk_by_itself(host: str) -> None:
    """The device is a link that only the installer makes, so a script that is started by mistake finds nothing."""
    script = str(ask(f"nixosConfigurations.{host}.config.disko.devices._create"))
    lines = [line.split(" # ")[0] for line in script.splitlines() if not line.strip().startswith("#")]
    devices = set(re.findall(r"/dev/[a-z][^\"\s);]*", "\n".join(lines)))
    assert {device for device in devices if not device.startswith(("/dev/disk/by-partlabel/disk-main-", "/dev/mapper/"))} <= {
        "/dev/aether/system",
        "/dev/null",
    }
