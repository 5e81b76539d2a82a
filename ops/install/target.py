"""The machine that is to be installed: what it is, its disks, and what stands against installing a host on it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LINK = "/dev/aether/system"
"""Device of a layout that leads to no disk until somebody chose one (nix/modules/features/disk.nix)."""
# nixos-anywhere's docs/requirements.md; the installer runs in memory.
LEAST_MEMORY = 1500
_IN_USE = ("[SWAP]",)


@dataclass(frozen=True)
class Layout:
    """What the host's configuration says of the machine under it (facts.nix)."""

    disks: Mapping[str, str]
    """disko's name of each disk, and its device."""
    platform: str
    efi: bool
    encrypted: bool
    store: str
    host_key: str

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "Layout":
        return cls(dict(said["disks"]), said["platform"], said["efi"], said["encrypted"], said["store"], said["hostKey"])

    @property
    def choice(self) -> bool:
        """Whether a person says which disk it is."""
        return LINK in self.disks.values()


@dataclass(frozen=True)
class Disk:
    path: str
    size: int
    """Bytes."""
    serial: str
    model: str
    holds: tuple[str, ...]
    """Partitions and file systems that are on it."""
    read_only: bool = False
    used: bool = False
    """Something of it is mounted now."""

    def __str__(self) -> str:
        what = ", ".join(self.holds) or "empty"
        return f"{self.path}  {self.size / 10**9:.0f} GB  {self.model or '-'}  serial {self.serial or 'none'}  ({what})"


@dataclass(frozen=True)
class Machine:
    """What look.sh said of a machine."""

    hostname: str
    system: str
    installer: bool
    machine: str
    user: int
    memory: int
    """MiB."""
    efi: bool
    container: str
    disks: tuple[Disk, ...]
    devices: Mapping[str, str] = field(default_factory=dict)
    """Device names that were asked for and exist, with the disk that each leads to."""

    @classmethod
    def of(cls, text: str) -> "Machine":
        """Of the lines NAME=VALUE that look.sh prints. Raises ValueError where they are not that."""
        said = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
        try:
            listed = json.loads(said["disks"])["blockdevices"]
            return cls(
                hostname=said["hostname"],
                system=said["system"] or "an unknown system",
                installer=said["variant"] == "installer",
                machine=said["machine"],
                user=int(said["user"]),
                memory=int(said["memory"]),
                efi=said["firmware"] == "efi",
                container="" if said["container"] in ("", "none") else said["container"],
                disks=tuple(_disk(item) for item in listed if item["type"] == "disk" and int(item["size"] or 0)),
                devices={key.partition(":")[2]: value for key, value in said.items() if key.startswith("device:")},
            )
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"the machine's answer cannot be read ({error!r})") from None

    def __str__(self) -> str:
        firmware = "UEFI" if self.efi else "BIOS"
        return f"{self.hostname}: {self.system}, {self.machine}, {self.memory} MiB, {firmware}"


def _disk(item: Mapping[str, Any]) -> Disk:
    parts = list(_below(item))
    return Disk(
        path=str(item["path"]),
        size=int(item["size"]),
        serial=str(item.get("serial") or "").strip(),
        model=str(item.get("model") or "").strip(),
        holds=tuple(filter(None, map(_what, parts))),
        read_only=str(item.get("ro")).lower() in ("1", "true"),
        used=any(part.get("mountpoint") for part in parts),
    )


def _below(item: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield item
    for child in item.get("children") or ():
        yield from _below(child)


def _what(item: Mapping[str, Any]) -> str:
    """A partition or file system, in few words; nothing of a disk that has none of its own."""
    if item["type"] == "disk" and not item.get("fstype"):
        return ""
    words = [str(item["name"]), item.get("fstype"), item.get("label"), item.get("mountpoint")]
    return " ".join(str(word) for word in words if word)


def chosen(machine: Machine, layout: Layout, serial: str) -> dict[str, Disk]:
    """The disk of each of the layout's; those that are not found are left out. SERIAL names the one that a person chose."""
    found = {}
    for name, device in layout.disks.items():
        path = machine.devices.get(device)
        fits = [disk for disk in machine.disks if (disk.serial == serial != "" if device == LINK else disk.path == path)]
        if len(fits) == 1:
            found[name] = fits[0]
    return found


def refusals(machine: Machine, layout: Layout, serial: str) -> list[str]:
    """Everything that stands against installing it, each with what to do. Nothing has been changed."""
    found = list(_of_machine(machine, layout))
    disks = chosen(machine, layout, serial)
    there = "\n    ".join(map(str, machine.disks)) or "none"
    for name, device in layout.disks.items():
        if name in disks:
            if disks[name].read_only:
                found.append(f"{disks[name].path} cannot be written to. Fix: look at its switch, or choose another disk")
            continue
        if device != LINK:
            found.append(
                f"the layout's disk '{name}' is {device}, and the machine has none of that name. Fix: attach it so (a virtual "
                f"machine's first disk as scsi0), or change the layout. Its disks:\n    {there}"
            )
        elif not serial:
            found.append(f"which disk it is installed on is not said. Fix: --disk SERIAL. Its disks:\n    {there}")
        else:
            same = sum(disk.serial == serial for disk in machine.disks)
            why = f"{same} disks have the serial '{serial}'" if same else f"no disk has the serial '{serial}'"
            found.append(f"{why}. Fix: {'unplug one' if same else '--disk SERIAL'}. Its disks:\n    {there}")
    return found


def _of_machine(machine: Machine, layout: Layout) -> Iterator[str]:
    if machine.container:
        yield f"it is a container ({machine.container}), which has its node's kernel. Fix: make it again instead (replace = true)"
    if machine.user != 0:
        yield "the login is not root. Fix: --user root"
    if machine.memory < LEAST_MEMORY and not machine.installer:
        yield (
            f"it has {machine.memory} MiB of memory, and the installer that is loaded into it takes {LEAST_MEMORY}. Fix: give it "
            "more, or boot the host's own medium (./aether image HOST iso)"
        )
    if layout.efi and not machine.efi:
        yield (
            "it was started by BIOS, and the host's boot loader needs UEFI. Fix: choose UEFI in its set-up and start the rescue "
            "system so; a virtual machine: qm set VMID --bios ovmf --efidisk0 STORAGE:1,efitype=4m"
        )
    ours = layout.platform.partition("-")[0]
    if machine.machine != ours:
        yield f"it is {machine.machine}, and the host is built for {ours}. Fix: the host's nixpkgs.hostPlatform"


def data(disks: Sequence[Disk]) -> list[Disk]:
    """Those of DISKS that hold anything."""
    return [disk for disk in disks if disk.holds]
