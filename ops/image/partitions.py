"""How a machine starts from a raw disk image: read from its partition table, not from what the image is called."""

import struct
from pathlib import Path

from ops.stack import OpsError

SECTOR = 512
# UEFI specification, "Defined GPT Partition Entry - Partition Type GUIDs"; GRUB's BIOS boot partition. As they lie on the disk.
_ESP = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
_BIOS_BOOT = bytes.fromhex("4861682149646f6e744e656564454649")
_MBR_ESP = 0xEF


def boot_mode(file: Path) -> str:
    """EC2's word for it: ``uefi``, ``legacy-bios``, or ``uefi-preferred`` for a disk that has both.

    Raises:
        OpsError: the file is no raw disk: it has no partition table.
    """
    with file.open("rb") as disk:
        first = disk.read(SECTOR)
        if first[510:512] != b"\x55\xaa":
            raise OpsError(f"{file} has no partition table: it is no raw disk image. Fix: FORMAT raw")
        header = disk.read(SECTOR)
        if not header.startswith(b"EFI PART"):
            # Type of each of the four partitions.
            types = [first[446 + 16 * index + 4] for index in range(4)]
            return "uefi" if _MBR_ESP in types else "legacy-bios"
        start, count, size = struct.unpack_from("<QII", header, 72)
        disk.seek(start * SECTOR)
        kinds = {disk.read(size)[:16] for _ in range(count)}
    if _ESP not in kinds:
        return "legacy-bios"
    return "uefi-preferred" if _BIOS_BOOT in kinds else "uefi"
