"""vzdump archives: what a guest is and what is on its disk, as a file of its node; and the guest that is made of one.

A real archive is a VMA or a tar stream, compressed. This one is a tar with the guest's configuration in front, under the real
one's name; its disk is the layer that the simulated host has changed. Notes lie beside it, as in a directory storage of Proxmox.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import subprocess
import tarfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakepve.lxc import mount_type, parse_mount, parse_size, print_mount
from fakepve.qemu import DRIVE_KEY, join_drive, split_drive, with_mac

FOLDER = "/var/lib/vz/dump"
NAME = re.compile(r"^vzdump-(?P<kind>qemu|lxc)-(?P<vmid>\d+)-(?P<at>\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d)\.(?P<format>vma|tar)\.zst$")
# What a host keeps of its own (hosts/host.py).
_LAYERS = ("upper", "usr-upper")
_CONFIGURATION = "guest.json"
# Not in a backup, or another one's: PVE::VZDump::QemuServer and ::LXC leave these out.
_LEFT_OUT = re.compile(r"^(unused\d+|lock|parent|vmstate|snapstate|snaptime|pending)$")

Values = dict[str, Any]


def pack(guest: Mapping[str, Any], directory: Path) -> bytes:
    """The archive of a GUEST (as the simulator's files keep it) whose host lies in DIRECTORY."""
    text = json.dumps(guest).encode()
    member = tarfile.TarInfo(_CONFIGURATION)
    member.size = len(text)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(member, io.BytesIO(text))
    # Without the two empty blocks at its end: the layers follow.
    front = made.getvalue()[: 512 + (len(text) + 511) // 512 * 512]
    layers = [layer for layer in _LAYERS if (directory / layer).is_dir()]
    # Overlay's marks are attributes and devices, which Python's tar does not keep.
    command = ["tar", "--create", *_ATTRIBUTES, "--numeric-owner", f"--directory={directory}", *layers]
    if not layers:
        return made.getvalue()
    done = subprocess.run(command, capture_output=True, check=False)
    # 1: a file changed while it was read, as in a backup of what runs.
    if done.returncode > 1:
        raise OSError(done.stderr.decode(errors="replace").strip())
    return front + done.stdout


_ATTRIBUTES = ("--xattrs", "--xattrs-include=*", "--acls", "--sparse")


def configuration(archive: bytes) -> Values:
    """The guest that an archive holds. Raises ValueError for what is none."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            member = opened.extractfile(_CONFIGURATION)
            assert member is not None
            found: Values = json.loads(member.read())
    except (tarfile.TarError, KeyError, AssertionError, json.JSONDecodeError) as error:
        raise ValueError("no vzdump archive") from error
    return found


def unpack(archive: bytes, directory: Path) -> None:
    """Lay the disk of an archive into DIRECTORY, where a host is to be that has none yet."""
    directory.mkdir(parents=True)
    command = ["tar", "--extract", *_ATTRIBUTES[:-1], "--numeric-owner", "--same-permissions", f"--directory={directory}"]
    done = subprocess.run([*command, f"--exclude={_CONFIGURATION}"], input=archive, capture_output=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.decode(errors="replace").strip())


def named(kind: str, vmid: int, at: float) -> str:
    """What vzdump calls the archive of a guest (KIND qemu or lxc) that it began AT (seconds since 1970)."""
    return (
        f"vzdump-{kind}-{vmid}-{time.strftime('%Y_%m_%d-%H_%M_%S', time.localtime(at))}.{'vma' if kind == 'qemu' else 'tar'}.zst"
    )


def volume(file: str, size: int) -> Values | None:
    """The storage's entry of an archive, by its file name; None where it is none."""
    found = NAME.match(file)
    if found is None:
        return None
    at = time.mktime(time.strptime(found["at"], "%Y_%m_%d-%H_%M_%S"))
    facts = {"content": "backup", "size": size, "ctime": int(at), "vmid": int(found["vmid"])}
    return {**facts, "format": f"{found['format']}.zst", "subtype": found["kind"]}


def machine(api: Any, vmid: int, kept: Values, storage: str | None, *, unique: bool) -> tuple[Values, list[str]]:
    """Configuration and new volumes of a virtual machine made of what was KEPT (PVE::QemuServer::restore_update_config_line).

    Raises PveError where a storage has no room.
    """
    made: list[str] = []
    config: Values = {}
    try:
        for key, value in kept.items():
            if _LEFT_OUT.match(key):
                continue
            if DRIVE_KEY.match(key):
                drive = _drive(api, vmid, key, str(value), storage, made)
                if drive is not None:
                    config[key] = drive
            elif unique and re.fullmatch(r"net\d+", key):
                config[key] = with_mac(value, fresh=True)
            elif unique and key == "smbios1":
                config[key] = re.sub(r"uuid=[^,]*", f"uuid={uuid.uuid4()}", str(value))
            else:
                config[key] = str(uuid.uuid4()) if key == "vmgenid" else value
    except Exception:
        for volid in made:
            api._qm_free(volid)
        raise
    return config, made


def _drive(api: Any, vmid: int, key: str, value: str, storage: str | None, made: list[str]) -> str | None:
    old, props = split_drive(value)
    fresh = "cloudinit" in old
    if (props.get("media") == "cdrom" and not fresh) or old == "none":
        return value
    if props.get("backup") in ("0", "no"):
        return None
    sid = storage or old.partition(":")[0]
    if fresh:
        text, volumes = api._qm_new_drive(vmid, key, f"{sid}:cloudinit,media=cdrom", None)
        made += volumes
        return str(text)
    volid, _ = api._qm_alloc(sid, vmid, None, parse_size(props.get("size", "0")))
    made.append(volid)
    return str(join_drive(volid, props))


def container(api: Any, vmid: int, kept: Values, storage: str, *, unique: bool) -> Values:
    """Configuration of a container made of what was KEPT, its volumes on STORAGE (PVE::API2::LXC create_vm, PVE::LXC::Create)."""
    taken = api._taken_volumes()
    config: Values = {}
    for key, value in kept.items():
        if _LEFT_OUT.match(key):
            continue
        if key == "rootfs" or re.fullmatch(r"mp\d+", key):
            mount = parse_mount(str(value))
            if mount_type(mount["volume"]) == "volume":
                gib = parse_size(mount.pop("size", "4G")) / 1024**3
                mount["volume"] = f"{storage}:{gib:g}"
                config[key] = api._realise(vmid, key, print_mount(mount, key == "rootfs"), taken)
                continue
        config[key] = _new_card(str(value)) if unique and re.fullmatch(r"net\d+", key) else value
    return config


def _new_card(value: str) -> str:
    card = ":".join(f"{byte:02X}" for byte in secrets.token_bytes(3))
    return re.sub(r"hwaddr=[^,]*", f"hwaddr=BC:24:11:{card}", value)
