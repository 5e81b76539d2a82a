"""What is asked of `vzdump`, `qmrestore`, `pct restore` and their archives on a Proxmox node, and what they answer.

The answers are from Proxmox' sources, for Proxmox VE cannot be had here: pve-manager 9 (PVE/VZDump.pm), pve-storage (Plugin.pm),
qemu-server (API2/Qemu.pm, QemuServer.pm), pve-container (API2/LXC.pm). The lab's node has no storage, so the simulator's is asked
alone. Cases run in their order, after those of the node: ``$vm`` and ``$ct`` run, ``$copy`` is a VMID that is free.
"""

from tests.contract.cases import Case

_NAME = "pve-storage: src/PVE/Storage.pm, archive_info"
_LIST = "pvesh get /nodes/pve1/storage/local/content --content backup --output-format json"
_ARCHIVE = "local:backup/$(basename /var/lib/vz/dump/vzdump-{}.zst)"


def _case(program: str, promise: str, ask: str, code: int | None, says: str = "", source: str = "") -> Case:
    return Case(program, promise, ask, code, says, source)


BACKUP_CASES = (
    _case(
        "vzdump",
        "an archive has its guest's kind, VMID and time in its name",
        "vzdump $vm --mode snapshot --storage local --notes-template '{{guestname}} noted' && ls /var/lib/vz/dump",
        0,
        r"(?s)INFO: starting new backup job: vzdump \d+.*INFO: Finished Backup of VM \d+.*"
        r"^vzdump-qemu-\d+-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\.vma\.zst$",
        _NAME,
    ),
    _case(
        "vzdump",
        "a container's is a tar",
        "vzdump $ct --storage local >/dev/null && ls /var/lib/vz/dump",
        0,
        r"(?m)^vzdump-lxc-\d+-[\d_-]+\.tar\.zst$",
        _NAME,
    ),
    _case(
        "vzdump",
        "the storage lists it, with guest, time, kind and notes",
        f"{_LIST} --vmid $vm",
        0,
        r'(?=.*"content": "backup")(?=.*"format": "vma.zst")(?=.*"vmid": 100)(?=.*"ctime": \d{10})(?=.*"notes": "vm noted")'
        r'(?=.*"subtype": "qemu")(?!.*lxc)',
        "pve-storage: src/PVE/API2/Storage/Content.pm",
    ),
    _case("vzdump", "a storage that takes none", "vzdump $vm --storage local-zfs", None, "does not support backups"),
    _case("vzdump", "a guest that is not on this node", "vzdump 9999 --storage local", None, "9999"),
    _case(
        "qmrestore",
        "a VMID that is taken",
        f"qmrestore {_ARCHIVE.format('qemu-$vm-*')} $ct --storage local-zfs",
        None,
        r"unable to restore VM 101 - CT 101 already exists on node 'pve1'",
        "qemu-server: src/PVE/API2/Qemu.pm, create_vm",
    ),
    _case("qmrestore", "a storage that takes no disks", f"qmrestore {_ARCHIVE.format('qemu-$vm-*')} $copy --storage local", None),
    _case(
        "qmrestore",
        "an archive that is not there",
        "qmrestore local:backup/vzdump-qemu-1-2026_01_01-00_00_00.vma.zst $copy",
        None,
    ),
    _case("qmrestore", "and none of these made anything", "qm status $copy", 2, "does not exist"),
    _case(
        "qmrestore",
        "it is stopped, its disks are its own, and cards, uuid and generation are new ones when asked for",
        f"qmrestore {_ARCHIVE.format('qemu-$vm-*')} $copy --storage local-zfs --unique 1 >/dev/null && qm status $copy && "
        "qm config $copy | grep -c vm-$copy-disk && for key in net0 smbios1 vmgenid; do "
        '[ "$(qm config $vm | grep ^$key)" != "$(qm config $copy | grep ^$key)" ] || exit 1; done; '
        "qm config $copy | grep ^memory",
        0,
        r"(?s)\Astatus: stopped\n[1-9]\n.*^memory: ",
        "qemu-server: src/PVE/QemuServer.pm, restore_update_config_line",
    ),
    _case("qmrestore", "it goes with its disks", "qm destroy $copy --purge 1 >/dev/null; qm status $copy", 2, "does not exist"),
    _case(
        "pct restore",
        "a VMID that is taken",
        f"pct restore $vm {_ARCHIVE.format('lxc-$ct-*')} --storage local-zfs",
        None,
        r"unable to restore CT 100 - VM 100 already exists on node 'pve1'",
        "pve-container: src/PVE/API2/LXC.pm, create_vm",
    ),
    _case(
        "pct restore",
        "without a storage it is local's, which takes no containers",
        f"pct restore $copy {_ARCHIVE.format('lxc-$ct-*')}",
        None,
        "storage 'local' does not support container directories",
        "pve-container: src/PVE/API2/LXC.pm, create_vm",
    ),
    _case(
        "pct restore",
        "it has what was backed up, volumes of its own and a new card",
        f"pct exec $ct -- /run/current-system/sw/bin/touch /root/since && pct restore $copy {_ARCHIVE.format('lxc-$ct-*')} "
        "--storage local-zfs --unique 1 >/dev/null && "
        "pct set $copy --net0 name=eth0,bridge=vmbr0,ip=192.168.10.11/24,link_down=1 && "
        "pct start $copy && pct config $copy | grep ^rootfs && "
        "pct exec $copy -- /run/current-system/sw/bin/sh -c '[ ! -e /root/since ] && [ -e /root/plain ]'",
        0,
        r"rootfs: local-zfs:subvol-\d+-disk-0",
    ),
    _case(
        "pct restore",
        "unplugged, it reaches nobody",
        "pct exec $copy -- /run/current-system/sw/bin/bash -c 'timeout 3 bash -c \"</dev/tcp/192.168.1.11/22\"'",
        None,
    ),
    _case("pct restore", "one that runs is not destroyed", "pct destroy $copy", None, "container is running"),
    _case("pct restore", "it goes", "pct stop $copy && pct destroy $copy --purge 1 && pct status $copy", 2, "does not exist"),
    _case(
        "ip link",
        "a bridge is made, is there, is not made twice, and goes",
        "ip link add lab0 type bridge && ip link set dev lab0 up && ip link show dev lab0 && ! ip link add lab0 type bridge && "
        "ip link delete lab0 && ! ip link show dev lab0",
        0,
        r"(?s)lab0: <.*File exists.*does not exist",
        "iproute2",
    ),
)
