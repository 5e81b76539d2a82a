"""What a running virtual machine takes at once and what waits for its next start (PVE::QemuServer::vmconfig_hotplug_pending).

A machine's `hotplug` is `network,disk,usb` unless it says otherwise. fakepve has everything but the fast options wait.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fakepve.qemu import split_drive

_FAST = frozenset(
    (
        *("shares", "migrate_downtime", "migrate_speed", "vmstatestorage"),
        # The cloud-init options: the drive is written again when the guest starts.
        *("cicustom", "cipassword", "citype", "ciupgrade", "ciuser", "nameserver", "searchdomain", "sshkeys"),
        *("cpulimit", "cpuunits"),
    )
)
_DEFAULT = "network,disk,usb"
_DISK = re.compile(r"(scsi|virtio)\d+")


def effective(config: Mapping[str, Any], pending: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it will be: GET …/config without `current`."""
    merged = {**config, **pending}
    return {key: value for key, value in merged.items() if value is not None}


def hotplug(vm: Any) -> None:
    """Move what the running machine takes at once out of its pending changes."""
    features = str(vm.config.get("hotplug", _DEFAULT)).split(",")
    for key, value in list(vm.pending.items()):
        if not _hot(key, features, str(value if value is not None else vm.config.get(key, "")), str(vm.config.get("ostype", ""))):
            continue
        vm.pending.pop(key)
        if value is not None:
            vm.config[key] = value
            continue
        old = vm.config.pop(key, None)
        if old is not None and _DISK.fullmatch(key):
            number = next(n for n in range(256) if f"unused{n}" not in vm.config)
            vm.config[f"unused{number}"] = split_drive(str(old))[0]


def _hot(key: str, features: list[str], value: str, ostype: str) -> bool:
    if key in _FAST or re.fullmatch(r"ipconfig\d+", key):
        return True
    if re.fullmatch(r"net\d+", key):
        return "network" in features
    if re.fullmatch(r"usb\d+", key):
        # Also of Windows 8 and newer, with a machine type of 7.1 and newer.
        return "usb" in features and ostype == "l26"
    return bool(_DISK.fullmatch(key)) and "disk" in features and "cloudinit" not in value
