"""The privilege that each option of a guest needs, and what only root@pam may set.

PVE decides these inside its handlers, the schema does not hold them: $check_vm_modify_config_perm and its neighbours in
PVE/API2/Qemu.pm of qemu-server 9.2, check_ct_modify_config_perm in PVE/LXC.pm of pve-container 6.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fakepve import PveError
from fakepve.lxc import split_props
from fakepve.qemu import DRIVE_KEY, split_drive
from fakepve.routing import die, param_error

from aether_sim.pve.rights import CHECKED, ROOT, Rights

Values = dict[str, Any]

_VM_OPTIONS = {
    "VM.Config.CPU": "cores cpu runningcpu cpulimit cpuunits numa smp sockets vcpus",
    "VM.Config.Memory": "memory balloon shares allow-ksm",
    "VM.Config.HWType": "acpi hotplug kvm machine runningmachine scsihw smbios1 tablet vga watchdog audio0 rng0",
    "VM.Config.Options": "agent autostart bios description keyboard localtime migrate_downtime migrate_speed name onboot ostype "
    "protection reboot startdate startup tdf template tags",
    "VM.PowerMgmt": "freeze",
    "VM.Config.Disk": "boot bootdisk vmstatestorage",
}
_PRIVILEGE = {option: privilege for privilege, options in _VM_OPTIONS.items() for option in options.split()}
_CLOUD_INIT = frozenset(["cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "nameserver", "searchdomain", "sshkeys"])
# Parameters of a request that are no options of the guest.
_NO_OPTION = frozenset(
    (
        *("node", "vmid", "pool", "storage", "start", "ha-managed", "archive", "force", "unique", "bwlimit", "live-restore"),
        *("import-working-storage", "digest", "skiplock", "background_delay", "revert", "delete"),
    )
)


class OptionRights(Rights):
    """Checks the options of guests before fakepve's handlers look at the request."""

    # Virtual machines

    async def _qm_create(self, v: Values, user: str) -> Any:
        vmid, pool = int(v["vmid"]), v.get("pool")
        if user != ROOT and self._may(user, vmid, pool, "VM.Allocate"):
            self.check_vm(user, vmid, pool, {}, v, (), "set", drives=False)
        return await super()._qm_create(v, user)

    async def _apply_config(self, vm: Any, user: str, p: Values) -> None:
        if user != ROOT:
            deleted = [key for key in str(p.get("delete") or "").split(",") if key]
            self.check_vm(user, vm.vmid, None, {**vm.config, **vm.pending}, p, deleted, "modify")
        await super()._apply_config(vm, user, p)

    def _config_priv(self, key: str) -> str:
        """fakepve's own, coarser check of an option: it has been made."""
        return CHECKED

    def check_vm(
        self,
        user: str,
        vmid: int,
        pool: str | None,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        deleted: Iterable[str],
        verb: str,
        *,
        drives: bool = True,
    ) -> None:
        """Raise PveError unless the user may set and delete these options. Creation checks DRIVES by their storages alone."""
        for key in [*(key for key in new if key not in _NO_OPTION), *deleted]:
            values = [str(value) for value in (old.get(key), new.get(key)) if value is not None]
            if DRIVE_KEY.match(key):
                if drives:
                    self._check_drive(user, vmid, pool, values)
            elif re.fullmatch(r"(serial|usb|hostpci|virtiofs)\d+", key):
                self._check_device(user, vmid, pool, key, values, verb)
            elif re.fullmatch(r"unused\d+", key):
                self._need(user, vmid, pool, "VM.Config.Disk")
            else:
                self._check_vm_option(user, vmid, pool, key)
            if re.fullmatch(r"net\d+", key):
                for value in values:
                    self._check_bridge(user, value)

    def _check_vm_option(self, user: str, vmid: int, pool: str | None, key: str) -> None:
        if key in _CLOUD_INIT or re.fullmatch(r"ipconfig\d+", key):
            self._need(user, vmid, pool, "VM.Config.Cloudinit", "VM.Config.Network")
        elif re.fullmatch(r"net\d+", key):
            self._need(user, vmid, pool, "VM.Config.Network")
        elif re.fullmatch(r"numa\d+", key):
            self._need(user, vmid, pool, "VM.Config.CPU")
        elif key in _PRIVILEGE:
            self._need(user, vmid, pool, _PRIVILEGE[key])
            if key == "startup":
                self.require(user, "/", "Sys.Modify")
        else:
            raise die(f"only root can set '{key}' config")

    def _check_drive(self, user: str, vmid: int, pool: str | None, values: list[str]) -> None:
        for value in values:
            volume, props = split_drive(value)
            if "cloudinit" in volume:
                self._need(user, vmid, pool, "VM.Config.Cloudinit")
                self._need(user, vmid, pool, "VM.Config.CDROM")
            elif volume == "cdrom" or props.get("media") == "cdrom":
                self._need(user, vmid, pool, "VM.Config.CDROM")
            else:
                self._need(user, vmid, pool, "VM.Config.Disk")

    def _check_device(self, user: str, vmid: int, pool: str | None, key: str, values: list[str], verb: str) -> None:
        kind = key.rstrip("0123456789")
        self._need(user, vmid, pool, "VM.Config.Disk" if kind == "virtiofs" else "VM.Config.HWType")
        for value in values:
            first, props = split_props(value)
            host = props.get("host", first if "mapping" not in props else "")
            if kind == "serial":
                if value != "socket":
                    raise die(f"only root can {verb} '{key}' config for real devices")
            elif kind == "virtiofs":
                self.require(user, f"/mapping/dir/{props.get('dirid', first)}", "Mapping.Use")
            elif host and host.lower() != "spice":
                raise die(f"only root can set '{key}' config for {'non-mapped' if kind == 'hostpci' else 'real'} devices")
            elif "mapping" in props:
                self.require(user, f"/mapping/{'pci' if kind == 'hostpci' else 'usb'}/{props['mapping']}", "Mapping.Use")
            if kind == "hostpci" and "romfile" in props:
                raise param_error(**{key: f"only {ROOT} can set 'romfile' option"})

    def _check_source(self, user: str, source: str) -> None:
        """A disk's import-from: PVE::Storage::check_volume_access."""
        if source.startswith("/"):
            if user != ROOT:
                raise die("Only root can pass arbitrary filesystem paths.")
        else:
            self._check_access(user, source.partition(":")[0], "import", None, source)

    # Containers

    def _check_modify_perm(
        self, user: str, vmid: int, pool: Any, old: Any, new: Values, deletes: Iterable[str], unprivileged: Any
    ) -> None:
        if user == ROOT:
            return
        given = set(split_props(str(new.get("features", "")))[1])
        # Where there were none the words count, not their values: keyctl=0 is one that only root may say.
        if given - {"nesting"} and not (old or {}).get("features") and unprivileged:
            raise PveError(403, f"Permission check failed (changing feature flags (except nesting) is only allowed for {ROOT})")
        super()._check_modify_perm(user, vmid, pool, old, new, deletes, unprivileged)

    # Both

    def _check_bridge(self, user: str, net: str) -> None:
        """PVE::GuestHelpers::check_vnet_access: the VLAN of a bridge is a path of its own."""
        _first, props = split_props(net)
        bridge = props.get("bridge")
        if not bridge:
            return
        tags = [tag for tag in (props.get("tag"), *str(props.get("trunks") or "").split(";")) if tag]
        for path in [f"{bridge}/{tag}" for tag in tags] or [bridge]:
            self.require(user, f"/sdn/zones/{self.zone_of(path.partition('/')[0])}/{path}", "SDN.Use")

    def _may(self, user: str, vmid: int, pool: str | None, privilege: str) -> bool:
        on_guest: bool = self.allowed(user, f"/vms/{vmid}", privilege)
        return on_guest or bool(pool and self.allowed(user, f"/pool/{pool}", privilege))

    def _need(self, user: str, vmid: int, pool: str | None, *alternatives: str) -> None:
        if not any(self._may(user, vmid, pool, privilege) for privilege in alternatives):
            raise PveError(403, f"Permission check failed (/vms/{vmid}, {'|'.join(alternatives)})")
