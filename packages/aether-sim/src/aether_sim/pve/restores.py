"""Guests made of vzdump archives: what `archive` of POST …/qemu and `restore` of POST …/lxc do, which fakepve leaves out."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from fakepve import FakeCt, FakePve, FakeVm, PveError, TaskError
from fakepve.routing import die

from aether_sim.pve import archives

Values = dict[str, Any]


class Restores(FakePve):  # type: ignore[misc]  # fakepve has no types
    """Restoring (PVE::API2::Qemu and PVE::API2::LXC, create_vm)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # The bytes of an archive of a node, by its volume name; raises OSError where there is none.
        self.read_archive: Callable[[str, str], bytes] = lambda node, volume: b""
        # Lays an archive's disk down for a guest that was just made of what is KEPT in it.
        self.fill: Callable[[Any, Values, bytes], Awaitable[None]]
        self.notes_of: Callable[[str | None, str], str | None] = lambda node, volume: None

    async def _qm_create(self, v: Values, user: str) -> Any:
        if not v.get("archive"):
            return await super()._qm_create(v, user)
        return await self._restore(v, user, "qemu", str(v["archive"]), v.get("storage"))

    async def _lxc_create(self, user: str, v: Values) -> Any:
        if not v.get("restore"):
            return await super()._lxc_create(user, v)
        return await self._restore(v, user, "lxc", str(v["ostemplate"]), v.get("storage") or "local")

    async def _restore(self, v: Values, user: str, kind: str, volid: str, storage: str | None) -> Any:
        node, vmid = str(v["node"]), int(v["vmid"])
        what = "VM" if kind == "qemu" else "CT"
        words = f"unable to restore {what} {vmid} -"
        self.need_quorum()
        pool = v.get("pool")
        if not (
            self.allowed(user, f"/vms/{vmid}", "VM.Allocate") or (pool and self.allowed(user, f"/pool/{pool}", "VM.Allocate"))
        ):
            raise PveError(403, "Permission check failed")
        self._check_room(user, kind, storage)
        archive = self._archive(node, user, kind, volid)
        try:
            self._check_vmid_unused(vmid)
        except PveError as error:
            raise die(f"{words} {error.message}") from None
        kept = archives.configuration(archive)
        guest = self._born(kind, vmid, node)
        unique = str(v.get("unique") or "0") not in ("0", "false")

        async def body() -> None:
            made: list[str] = []
            try:
                if kind == "qemu":
                    guest.config, made = archives.machine(self, vmid, kept["config"], storage, unique=unique)
                    guest.name = guest.config.get("name", guest.name)
                else:
                    assert storage is not None
                    guest.config = archives.container(self, vmid, kept["config"], storage, unique=unique)
                await self.fill(guest, kept, archive)
            except (PveError, OSError) as error:
                for volume in made:
                    self._qm_free(volume)
                (self.vms if kind == "qemu" else self.cts).remove(guest)
                raise TaskError(f"{words} {getattr(error, 'message', None) or error}") from error
            guest.lock = None
            guest.config.pop("lock", None)
            if v.get("start"):
                guest.status, guest.started_at = "running", time.time()

        return await self.task(node, "qmrestore" if kind == "qemu" else "vzrestore", vmid, user, body, vm=guest)

    def _check_room(self, user: str, kind: str, storage: str | None) -> None:
        if storage is None:
            return
        store = self._store(storage)
        self.require(user, f"/storage/{storage}", "Datastore.AllocateSpace")
        wanted = "images" if kind == "qemu" else "rootdir"
        if wanted not in str(store.get("content", "")).split(","):
            words = "does not support vm images" if kind == "qemu" else "does not support container directories"
            raise die(f"storage '{storage}' {words}")

    def _archive(self, node: str, user: str, kind: str, volid: str) -> bytes:
        sid, _, name = volid.partition(":")
        store = self._store(sid)
        vtype, owner, _ = self._parse_volname(store, name)
        if vtype != "backup":
            raise die(f"unable to use volume {volid} - content type needs to be 'backup'")
        self._check_access(user, sid, vtype, owner, volid)
        found = archives.NAME.match(name.removeprefix("backup/"))
        if found is None or found["kind"] != kind:
            raise die(f"ERROR: '{volid}' is no backup of a {'virtual machine' if kind == 'qemu' else 'container'}")
        try:
            return self.read_archive(node, name)
        except OSError:
            raise die(f"volume '{volid}' does not exist") from None

    def _born(self, kind: str, vmid: int, node: str) -> Any:
        """The guest's empty configuration, locked, as create_and_lock_config writes it."""
        if kind == "qemu":
            vm = FakeVm(vmid, f"VM {vmid}", node=node)
            self._qm_lock(vm, "create")
            self.vms.append(vm)
            return vm
        ct = FakeCt(vmid, node=node, defaults=False, config={"lock": "create"})
        self.cts.append(ct)
        return ct

    def _item(self, name: str, volname: str, vol: Values) -> Values:
        item: Values = super()._item(name, volname, vol)
        if vol["content"] == "backup":
            item["subtype"] = vol.get("subtype", "qemu")
            notes = self.notes_of(None, volname)
            if notes is not None:
                item["notes"] = notes
        return item
