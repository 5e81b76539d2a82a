"""A blank data disk becomes a file system once, a disk that holds anything is left alone, and one that grew is used whole."""

import pytest

from tests.lab.disk import REPOSITORY
from tests.lab.operator import Operator

# Each step of an emulated machine takes minutes where others work, too.
pytestmark = pytest.mark.timeout(7200)

SCRIPT = (REPOSITORY / "nix/modules/data-disk.sh").read_text()
DEVICE = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1"
LABEL = "disk-data1-data"
PART = f"/dev/disk/by-partlabel/{LABEL}"


def prepare(web: Operator) -> tuple[int, str]:
    web.machine.ssh("cat >/run/data-disk.sh", SCRIPT)
    done = web.machine.ssh(f"bash /run/data-disk.sh {DEVICE} {LABEL}", timeout=300)
    return done.returncode, done.stderr


def clear(web: Operator) -> None:
    """Whatever the test before left of the disk goes, and so does its mount."""
    web.machine.sh(
        f"umount -q /srv/data; wipefs -q -a {DEVICE}; partx -d {DEVICE} 2>/dev/null; "
        f"dd if=/dev/zero of={DEVICE} bs=1M count=20 status=none; blockdev --rereadpt {DEVICE}; udevadm settle"
    )


@pytest.mark.long
def test_blank_disk_is_made_once_and_grows(web: Operator) -> None:
    assert prepare(web) == (0, "")
    web.machine.sh(f"mkdir -p /srv/data && mount {PART} /srv/data && echo kept >/srv/data/file && umount /srv/data")
    assert prepare(web) == (0, "")
    # Proxmox grows a disk of a running machine.
    assert web.machine.boot is not None
    web.machine.boot.ask("block_resize", **{"node-name": "file1", "size": 2 * 1024**3})
    web.machine.sh(f"echo 1 >/sys/block/$(basename $(readlink -f {DEVICE}))/device/rescan")
    # sfdisk says that the table's second copy was not at the disk's end.
    code, said = prepare(web)
    assert code == 0, said
    web.machine.sh(f"mount {PART} /srv/data && /usr/lib/systemd/systemd-growfs /srv/data")
    size = int(web.machine.sh("df --output=size -B1 /srv/data | tail -n 1"))
    assert size > 1.8 * 1024**3
    assert web.machine.sh("cat /srv/data/file; umount /srv/data") == "kept"


@pytest.mark.long
def test_a_draft_is_finished_and_foreign_content_is_left_alone(web: Operator) -> None:
    clear(web)
    # The power went between partition and file system.
    web.machine.sh(f"printf 'label: gpt\\ntype=linux, name=aether-new\\n' | sfdisk --quiet {DEVICE} && udevadm settle")
    assert prepare(web) == (0, "")
    assert web.machine.sh(f"blkid -s TYPE -o value {PART}") == "ext4"
    # A whole-disk file system of somebody else, and bytes that nobody knows.
    clear(web)
    web.machine.sh(f"mkfs.ext4 -q -F {DEVICE} && udevadm settle")
    before = web.machine.sh(f"head -c 64M {DEVICE} | md5sum")
    code, said = prepare(web)
    assert code == 1
    assert "left alone" in said
    assert web.machine.sh(f"head -c 64M {DEVICE} | md5sum") == before
