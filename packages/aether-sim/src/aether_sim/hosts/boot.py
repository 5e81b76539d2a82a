"""A boot: the boot loader picks an entry, the system it names comes up, services start.

For NixOS virtual and physical machines the boot loader is systemd-boot: entries in /boot/loader/entries, the default of
loader.conf, and boot counting (`+LEFT-DONE` in the file name) as in
https://uapi-group.org/specifications/specs/boot_loader_specification/ and systemd-boot(7): each try takes one off LEFT,
an entry with none left comes after all others. Containers have no boot loader: their init is that of the system profile.
A system that does not come up resets the machine while it has tries left (as `panic=` on the kernel command line
does), and hangs for ever without boot counting. One that hangs (fault boot-hangs) does so until somebody resets the machine.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Protocol

from aether_sim.hosts import firstboot, ostree
from aether_sim.hosts.firstboot import Seeded
from aether_sim.hosts.ostree import Deployed, NoBoot

ENTRIES = "/boot/loader/entries"
PROFILE = "/nix/var/nix/profiles/system"
EFI_VARIABLES = "/boot/loader/efivars.json"
_ENTRY = re.compile(r"^(?P<stem>.+?)(?:\+(?P<left>\d+)(?:-(?P<done>\d+))?)?\.conf$")
_SYSTEM = re.compile(r"init=(/nix/store/[^/\s]+)/init")


@dataclass(frozen=True)
class BootEntry:
    """One file of /boot/loader/entries."""

    file: str
    stem: str
    left: int | None
    done: int
    system: str | None

    @property
    def bad(self) -> bool:
        """All its tries are used up."""
        return self.left == 0

    @property
    def order(self) -> tuple[bool, list[tuple[int, str]]]:
        """Sort key: bad entries last, then the newest version first."""
        parts = [(int(p) if p.isdigit() else 0, p) for p in re.findall(r"\d+|\D+", self.stem)]
        return (not self.bad, parts)


class Bootable(Deployed, Seeded, Protocol):
    """A host, as its boot knows it."""

    booted_entry: str


def entries(host: Bootable) -> list[BootEntry]:
    """Boot entries in the menu's order."""
    found = []
    for file in host.root.listdir(ENTRIES):
        match = _ENTRY.match(file)
        if match is None:
            continue
        system = _SYSTEM.search(host.root.read_text(f"{ENTRIES}/{file}", ""))
        left = match["left"]
        found.append(
            BootEntry(
                file,
                match["stem"],
                int(left) if left is not None else None,
                int(match["done"] or 0),
                system[1] if system else None,
            )
        )
    return sorted(found, key=lambda entry: entry.order, reverse=True)


def choose(host: Bootable) -> BootEntry | None:
    """The entry that the boot loader starts: one-shot variable, default variable, loader.conf, first of the menu."""
    menu = entries(host)
    if not menu:
        return None
    variables = efi_variables(host)
    wanted = [str(variables.pop("LoaderEntryOneShot", "") or ""), str(variables.get("LoaderEntryDefault", "") or "")]
    host.root.write(EFI_VARIABLES, json.dumps(variables))
    for line in host.root.read_text("/boot/loader/loader.conf", "").splitlines():
        key, _, value = line.partition(" ")
        if key == "default":
            wanted.append(value.strip())
    for name in wanted:
        for entry in menu:
            if name and not entry.bad and (name in (entry.file, entry.stem, f"{entry.stem}.conf")):
                return entry
    return menu[0]


def efi_variables(host: Bootable) -> dict[str, str]:
    """The boot loader's EFI variables that bootctl sets."""
    try:
        loaded = json.loads(host.root.read_text(EFI_VARIABLES, "{}"))
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _count_try(host: Bootable, entry: BootEntry) -> str:
    """Take one try off an entry's counter; its new file name."""
    if entry.left is None:
        return entry.file
    renamed = f"{entry.stem}+{entry.left - 1}-{entry.done + 1}.conf"
    text = host.root.read_text(f"{ENTRIES}/{entry.file}")
    host.root.unlink(f"{ENTRIES}/{entry.file}")
    host.root.write(f"{ENTRIES}/{renamed}", text)
    return renamed


async def run(host: Bootable) -> None:
    """Bring a standing host up. Raises NoBoot."""
    delay = host.surroundings.boot_seconds if host.facts.is_guest or host.boots > 1 else 0.0
    delay += host.faults.value("boot-slow", 5.0) if host.faults.has("boot-slow") else 0.0
    await asyncio.sleep(delay)
    commands = firstboot.apply(host)
    if host.facts.flavour == "nixos":
        await _boot_nixos(host, delay)
    elif host.facts.flavour == "atomic":
        await ostree.boot(host)
    elif host.faults.refuses_to_boot(None):
        raise NoBoot("injected fault: no-boot")
    hostname = host.root.read_text("/etc/hostname", host.facts.name).strip()
    if host.faults.has("wrong-host"):
        hostname = "some-other-host"
    if hostname != host.facts.name:
        await host.set_hostname(hostname)
    await host.services.boot()
    if host.facts.flavour == "nixos":
        bless(host)
    if host.facts.flavour == "atomic":
        ostree.verdict(host)
    for command in commands:
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else [str(word) for word in command]
        code, output = await host.run(*words)
        if code:
            host.log(f"cloud-init: runcmd {words[-1]!r} ended with {code}: {output.strip()[-500:]}")


async def _boot_nixos(host: Bootable, delay: float) -> None:
    root = host.root
    _install_first_entry(host)
    while True:
        entry = choose(host)
        if entry is None:
            # A container, or a fresh image: the profile's init.
            link = root.readlink(PROFILE)
            system = root.readlink(f"/nix/var/nix/profiles/{link}") if link else None
            file = ""
        else:
            system, file = entry.system, _count_try(host, entry)
        if system is None or not root.exists(f"{system}/init"):
            raise NoBoot(f"no init in {system or 'the system profile'}")
        if host.faults.hangs_in_boot(system):
            raise NoBoot(f"injected fault: boot-hangs ({system})")
        if not host.faults.refuses_to_boot(system):
            break
        host.services.log("kernel", f"Kernel panic - not syncing: injected fault: no-boot ({system})", "kernel")
        if entry is None or entry.left is None:
            raise NoBoot("injected fault: no-boot")
        await asyncio.sleep(max(delay, 0.05))
    root.symlink(system, "/run/booted-system")
    root.symlink(system, "/run/current-system")
    root.symlink(f"{system}/etc", "/etc/static")
    host.booted_entry = file


def bless(host: Bootable) -> None:
    """systemd-bless-boot.service: an entry whose services came up loses its counter (boot-complete.target)."""
    found = _ENTRY.match(host.booted_entry or "")
    if found is None or found["left"] is None:
        return
    broken = [unit.name for unit in host.services.failed()]
    if broken:
        host.services.log("systemd-bless-boot.service", f"not blessed, failed units: {', '.join(broken)}")
        return
    text = host.root.read_text(f"{ENTRIES}/{host.booted_entry}")
    host.root.unlink(f"{ENTRIES}/{host.booted_entry}")
    host.booted_entry = f"{found['stem']}.conf"
    host.root.write(f"{ENTRIES}/{host.booted_entry}", text)
    host.services.log("systemd-bless-boot.service", "Marked boot as 'good'. (Boot attempt counter reached zero.)")


def _install_first_entry(host: Bootable) -> None:
    """An image of a virtual or physical machine comes with a boot entry for its system."""
    root = host.root
    link = root.readlink(PROFILE)
    system = root.readlink(f"/nix/var/nix/profiles/{link}") if link else None
    if host.facts.kind == "nixos-lxc" or system is None or root.listdir(ENTRIES):
        return
    number = re.sub(r"\D", "", link or "1")
    root.write(
        f"{ENTRIES}/nixos-generation-{number}.conf",
        f"title NixOS\nversion Generation {number}\nlinux {system}/kernel\noptions init={system}/init loglevel=4\n",
    )
    root.write("/boot/loader/loader.conf", f"timeout 3\ndefault nixos-generation-{number}.conf\n")
