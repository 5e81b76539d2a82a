"""The Proxmox cluster as a service of the supervisor: API, state on disk, and guests whose power follows it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakepve import FakeVm, TaskError
from fakepve import schema as pve_schema
from fakepve.lxc import split_props

from aether_sim.hosts.host import Host
from aether_sim.paths import write_atomic
from aether_sim.pve import archives, certificates, guests
from aether_sim.pve.backups import Backups
from aether_sim.pve.server import SimPve
from aether_sim.pve.storage import CONTENT_DIRECTORIES, PREPARED, STOCK, NodeStores, current_node, new_stores
from aether_sim.world import DISK_DATASTORE, IMAGE_DATASTORE, World
from inventory import proxmox_rights

FAULTS = {
    "node-offline": "a node and its guests lose power",
    "quorum-lost": "the cluster has no quorum: reads work, changes do not",
    "api-500": "requests for the node (or all of `proxmox`) end with HTTP 500; VALUE: how many",
    "api-503": "requests for the node (or all of `proxmox`) end with HTTP 503, as a proxy that has too many; VALUE: how many",
    "api-timeout": "requests for the node (or all of `proxmox`) are never answered; VALUE: how many",
    "api-429": "requests for the node (or all of `proxmox`) are refused as too many; VALUE: how many",
    "guest-backup": "a backup (vzdump) holds the lock of the node's guests; VALUE: seconds",
    "task-warnings": "tasks of the node end with a warning",
    "storage-full": "no byte is left on the node's storages",
    "bad-password": "the API refuses the password and tokens",
    "missing-right": "the token lacks a privilege everywhere; VALUE: which, like VM.Config.Disk",
}
USER = "root@pam"


class Proxmox:
    """Owns the API server and the hosts that are guests."""

    name = "proxmox"
    faults = FAULTS

    def __init__(
        self, directory: Path, world: World, address: str, make_host: Callable[..., Host], log: Callable[[str], None]
    ) -> None:
        self.directory, self.world, self.address, self.log = directory, world, address, log
        self._make_host = make_host
        nodes = world.nodes or {"pve": {}}
        # Benchmarks of provisioning start where the set-up of the nodes ends.
        prepared = os.environ.get("AETHER_SIM_NODES") == "prepared"
        # Benchmarks of a thousand guests: their agents answer, and nothing of them boots.
        self._agents_only = os.environ.get("AETHER_SIM_GUESTS") == "agents"
        self.stores = NodeStores(
            {
                name: new_stores(
                    facts.get("image_datastore", IMAGE_DATASTORE),
                    facts.get("disk_datastore", DISK_DATASTORE),
                    PREPARED if prepared else STOCK,
                )
                for name, facts in nodes.items()
            }
        )
        self._lacking = ""
        self.backups = Backups(lambda: self.api)
        self.guest_hosts: dict[int, Host] = {}
        self.node_hosts: dict[str, Host] = {}
        self._meta: dict[int, dict[str, Any]] = {}
        self._started: dict[int, float | None] = {}
        self._saved: dict[int, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._on: dict[str, dict[str, str]] = {}
        # Bridges of each node that somebody made by hand (`ip link add`). They lead nowhere, and are gone after a boot.
        self.own_bridges: set[tuple[str, str]] = set()
        self._spare: dict[tuple[str, str], int] = {}
        self._destroying: dict[Path, asyncio.Task[None]] = {}
        self.settings = self._settings()
        self.api = SimPve(
            user=USER, password=self.settings["password"], host=address, port=self.settings["port"], stores=self.stores
        )

    # Life

    def _settings(self) -> dict[str, Any]:
        """Port, password and token: made at first start, kept afterwards."""
        path = self.directory / "settings.json"
        settings: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        settings.setdefault("password", secrets.token_urlsafe(18))
        settings.setdefault("token", f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}")
        settings["port"] = _free_port(self.address, settings.get("port", 8006))
        write_atomic(path, json.dumps(settings, indent=1).encode())
        return settings

    async def start(self) -> None:
        """Load the state and listen. Guests that were running are booted by `resume`."""
        pve_schema.load()
        self._load()
        api = self.api
        self.admit()
        api.touched = self.touched
        api.mapped = self._save_mappings
        api.stored = self._save_entries
        api.pooled = self._save_pools
        api.before_start = self._before_start
        api.address_of = self.address_of
        api.store_upload = self._store_upload
        api.list_files = self._list_files
        api.remove_file = self._remove_file
        api.read_archive, api.notes_of, api.fill = self._read_archive, self._notes_of, self._lay_down
        certificates.ensure(self.directory, self.address)
        await api.start(str(self.directory / certificates.CERTIFICATE), str(self.directory / certificates.KEY))

    def _tokens(self) -> dict[str, str]:
        return {proxmox_rights.TOKEN: self.settings["token"]}

    def admit(self) -> None:
        """The token's user and roles, as an owner sets them up with what `./aether proxmox role` prints, and again with --update
        when the inventory needs more; without what the fault `missing-right` names.
        """
        self.api.apitokens = self._tokens()
        self.api.users[proxmox_rights.USER] = secrets.token_hex(16)
        self.api.acl.clear()
        for path, (privileges, propagate) in self._granted().items():
            for who in (proxmox_rights.USER, proxmox_rights.TOKEN):
                self.api.assign(who, path, set(privileges) - {self._lacking}, propagate)

    def _granted(self) -> dict[str, tuple[list[str], bool]]:
        """Privileges by path. What an inventory needed before stays, for `proxmox role --update` takes nothing away."""
        path = self.directory / "granted.json"
        granted: dict[str, tuple[list[str], bool]] = json.loads(path.read_text()) if path.exists() else {}
        now: dict[str, tuple[list[str], bool]] = {}
        for grant in proxmox_rights.grants(proxmox_rights.Use.of(self.world.tables, self.api.major)):
            more, propagate = now.get(grant.path, ([], grant.propagate))
            now[grant.path] = ([*more, *grant.privileges], propagate)
        for where, (privileges, propagate) in now.items():
            before, _ = granted.get(where, ([], propagate))
            granted[where] = (sorted({*before, *privileges}), propagate)
        write_atomic(path, json.dumps(granted, indent=1).encode())
        return granted

    def tls_context(self) -> ssl.SSLContext:
        """The API's certificate, for simulated services that speak https."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / certificates.CERTIFICATE, self.directory / certificates.KEY)
        return context

    async def stop(self) -> None:
        """Stop listening and power the guests off; what the API knows stays."""
        await self.api.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*(host.power_off() for host in self.guest_hosts.values()))

    def resume(self) -> None:
        """Boot the guests that the API says are running."""
        for guest in self._guests():
            # Bridges that somebody made by hand went with the power, and a guest does not start without its own.
            if guest.status == "running" and self._missing_bridge(guest):
                guest.status = "stopped"
                if isinstance(guest, FakeVm):
                    guest.qmpstatus = "stopped"
            self._follow(guest)

    async def settle(self) -> None:
        """Wait for guests that are changing power."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _guests(self) -> list[Any]:
        return [*self.api.vms, *self.api.cts]

    def stack_settings(self) -> dict[str, Any]:
        """What a stack needs to know about the API."""
        return {
            "aether:proxmoxEndpoint": f"https://{self.address}:{self.settings['port']}/",
            "aether:proxmoxCa": str(self.directory / certificates.AUTHORITY),
            "aether:proxmoxApiToken": f"{proxmox_rights.TOKEN}={self.settings['token']}",
        }

    # State

    def _load(self) -> None:
        for path in sorted((self.directory / "guests").glob("*.json")):
            state = json.loads(path.read_text())
            guest = guests.restore(state)
            if guest is None:
                path.unlink()
                continue
            (self.api.vms if isinstance(guest, FakeVm) else self.api.cts).append(guest)
            self._meta[guest.vmid] = state.get("sim", {})
            self.api.templates[guest.vmid] = self._meta[guest.vmid].get("template", "")
            self.api.ssh_keys[guest.vmid] = self._meta[guest.vmid].get("ssh_keys", "")
            if self._meta[guest.vmid].get("firewall"):
                self.api._fw()["guests"][guest.vmid] = self._meta[guest.vmid]["firewall"]
        path = self.directory / "entries.json"
        if path.exists():
            self.api.entries.update(json.loads(path.read_text()))
            self.api.follow_ha()
        path = self.directory / "pools.json"
        if path.exists():
            self.api.take_pools(json.loads(path.read_text()))
        path = self.directory / "mappings.json"
        if path.exists():
            self.api.mappings.update(json.loads(path.read_text()))
        path = self.directory / "storages.json"
        if path.exists():
            for node, stores in json.loads(path.read_text()).items():
                for name, kept in stores.items():
                    if node in self.stores.nodes and name in self.stores.nodes[node]:
                        self.stores.nodes[node][name].update(kept)
        path = self.directory / "contents.json"
        if path.exists():
            for name, content in json.loads(path.read_text()).items():
                self.stores.take(name, content)

    def touched(self, vmid: int) -> None:
        """A guest may have changed: save it, and let its power follow."""
        guest = self.api.guest(vmid)
        if guest is None:
            self._forget(vmid)
            return
        self._save(guest)
        self._follow(guest)

    def _save(self, guest: Any) -> None:
        meta = self._meta.setdefault(guest.vmid, {})
        meta["template"] = self.api.templates.get(guest.vmid, "")
        meta["ssh_keys"] = self.api.ssh_keys.get(guest.vmid, "")
        meta["firewall"] = self.api._fw()["guests"].get(guest.vmid)
        text = json.dumps({**guests.dump(guest), "sim": meta}, indent=1)
        if self._saved.get(guest.vmid) != text:
            write_atomic(self.directory / "guests" / f"{guest.vmid}.json", text.encode())
            self._saved[guest.vmid] = text
            self._save_storages()

    def take(self, storage: str, content: str) -> None:
        """`pvesm set STORAGE --content`, remembered."""
        self.stores.take(storage, content)
        contents = {name: store["content"] for stores in self.stores.nodes.values() for name, store in stores.items()}
        write_atomic(self.directory / "contents.json", json.dumps(contents, indent=1).encode())

    def _save_entries(self) -> None:
        write_atomic(self.directory / "entries.json", json.dumps(self.api.entries, indent=1).encode())

    def _save_mappings(self) -> None:
        write_atomic(self.directory / "mappings.json", json.dumps(self.api.mappings, indent=1).encode())

    def _save_pools(self) -> None:
        write_atomic(self.directory / "pools.json", json.dumps(self.api.kept_pools(), indent=1).encode())

    def _save_storages(self) -> None:
        kept = {
            node: {
                name: {"avail": store["avail"], "volumes": store["volumes"]}
                for name, store in stores.items()
                if store.get("type") != "dir"
            }
            for node, stores in self.stores.nodes.items()
        }
        if self._spare:
            return
        write_atomic(self.directory / "storages.json", json.dumps(kept).encode())

    def _forget(self, vmid: int) -> None:
        (self.directory / "guests" / f"{vmid}.json").unlink(missing_ok=True)
        self._save_storages()
        kept = self._meta.get(vmid, {}).get("directory")
        for table in (self._meta, self._started, self._saved, self.api.templates, self.api.ssh_keys):
            table.pop(vmid, None)
        host = self.guest_hosts.pop(vmid, None)
        if host is not None:
            self._destroying[host.directory] = self._background(host.destroy())
        elif kept and (directory := self._disks / kept).exists():
            # One that never ran since the simulator's start has a disk all the same.
            self._destroying[directory] = self._background(asyncio.to_thread(shutil.rmtree, directory, True))

    @property
    def _disks(self) -> Path:
        """Where hosts keep theirs."""
        return next(iter(self.node_hosts.values())).directory.parent

    # Power

    def host_of(self, guest: Any) -> Host | None:
        """The host that a guest is, made when it is first needed."""
        host = self.guest_hosts.get(guest.vmid)
        if host is None:
            facts = guests.facts_of(guest, self.world, self.api.templates.get(guest.vmid, ""))
            if facts is None:
                return None
            meta = self._meta.setdefault(guest.vmid, {})
            kept = meta.get("directory")
            # A host that the inventory renamed took its folder along (supervisor.py).
            there = kept and (self._disks / kept).exists()
            host = self.guest_hosts[guest.vmid] = self._make_host(facts, kept if there else None)
            meta["directory"] = host.directory.name
            made = host
            host.is_elsewhere = lambda: guests.asks_for_address(guest) and self.address_of(guest) not in (None, made.address)
        return host

    def address_of(self, guest: Any) -> str | None:
        """The address that a guest has: its configuration's, or what the router gives it."""
        if not guests.asks_for_address(guest):
            return guests.identity(guest).address
        host = self.guest_hosts.get(guest.vmid)
        return guests.leased(guest, self.world, forgotten=host is not None and host.faults.has("lease"))

    def _follow(self, guest: Any) -> None:
        """Boot, reboot or cut the power of a guest's host, as the API's view of it changed."""
        online = self.api.nodes.get(guest.node, {}).get("online", True)
        running = guest.status == "running" and online
        before = self._started.get(guest.vmid)
        now = (guest.started_at or 0.0) if running else None
        self._started[guest.vmid] = now
        if now == before and guest.vmid in self._started:
            self._readdress(guest)
            return
        host = self.host_of(guest)
        if host is None:
            if running:
                self.log(f"guest {guest.vmid} has no address that the simulator could answer on")
            return
        self._background(self._apply_power(guest, host, now is not None, before is not None))

    def _readdress(self, guest: Any) -> None:
        """A running container has a changed address at once (PVE::LXC::update_net); a machine's is its system's."""
        host, address = self.guest_hosts.get(guest.vmid), guests.identity(guest).address
        if host is not None and host.state == "up" and not isinstance(guest, FakeVm) and address and address != host.address:
            self._background(host.move(address))

    async def _apply_power(self, guest: Any, host: Host, on: bool, was_on: bool) -> None:
        if not on:
            if isinstance(guest, FakeVm):
                guest.agent = None
            await host.power_off()
            return
        if was_on:
            await host.power_off()
        if self._agents_only:
            guest.agent = {"get-host-name": {"host-name": host.name}}
            return
        try:
            host.seed = guests.seed(guest, self.api.ssh_keys.get(guest.vmid, ""), lambda volume: self._snippet(guest, volume))
        except (OSError, ValueError) as error:
            self.log(f"guest {guest.vmid}: cloud-init: {error}")
        # A guest of the same name that was just destroyed must be gone before this one takes its place on disk.
        await self._gone(host.directory)
        host.isolated = self.cut_off(guest)
        await host.power_on()
        if isinstance(guest, FakeVm) and host.state == "up":
            guest.agent = {
                "get-host-name": {"host-name": host.name},
                "os": {"id": host.facts.flavour, "name": host.facts.flavour},
            }

    async def _gone(self, directory: Path) -> None:
        destroying = self._destroying.pop(directory, None)
        if destroying is not None:
            await asyncio.wait([destroying])

    def cut_off(self, guest: Any) -> bool:
        """Whether nothing but the guest itself is on its network: its cards are unplugged, or on bridges that lead nowhere."""
        cards = guests.cards(guest)
        return bool(cards) and all(
            card.get("link_down") == "1" or (guest.node, card.get("bridge", "")) in self.own_bridges for card in cards
        )

    def _background(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.log(f"guest power: {task.exception()!r}")

    def guest_powered_off(self, host: Host) -> None:
        """A guest turned itself off: the API says stopped."""
        for guest in self._guests():
            if self.guest_hosts.get(guest.vmid) is host:
                guest.status = "stopped"
                if isinstance(guest, FakeVm):
                    guest.qmpstatus = "stopped"
                self.touched(guest.vmid)

    # Files of the nodes

    def _missing_bridge(self, guest: Any) -> str:
        """The bridge of a card that its node does not have; empty where all are there."""
        vnets = self.api.entries["/cluster/sdn/vnets"]
        for card in guests.cards(guest):
            bridge = card.get("bridge", "")
            if bridge and not bridge.startswith("vmbr") and bridge not in vnets and (guest.node, bridge) not in self.own_bridges:
                return bridge
        return ""

    def _before_start(self, guest: Any) -> None:
        if missing := self._missing_bridge(guest):
            raise TaskError(f"bridge '{missing}' does not exist")
        custom = split_props(guest.config.get("cicustom", ""))[1]
        for volume in custom.values():
            try:
                self._snippet(guest, volume)
            except OSError as error:
                raise TaskError(f"volume '{volume}' does not exist") from error

    def _snippet(self, guest: Any, volume: str) -> str:
        _store, _, name = volume.partition(":")
        node = self.node_hosts[guest.node]
        return node.root.read(f"/var/lib/vz/{name}").decode()

    def _store_upload(self, node: str, content: str, name: str, data: bytes) -> None:
        self.node_hosts[node].root.write(f"/var/lib/vz/{CONTENT_DIRECTORIES[content]}/{name}", data)

    def _list_files(self, node: str) -> dict[str, int]:
        host = self.node_hosts.get(node)
        if host is None or host.state != "up":
            return {}
        found = {}
        for content, directory in CONTENT_DIRECTORIES.items():
            with host.root.directory(f"/var/lib/vz/{directory}") as descriptor:
                for name in os.listdir(descriptor):  # noqa: PTH208 - by descriptor: no link leads out of the host
                    # Notes and logs lie beside archives, and are no volumes.
                    if not name.startswith(".") and (content != "backup" or archives.NAME.match(name)):
                        found[f"{content}/{name}"] = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_size
        return found

    def _remove_file(self, node: str, volume: str) -> None:
        content, _, name = volume.partition("/")
        if content not in CONTENT_DIRECTORIES:
            return
        root, path = self.node_hosts[node].root, f"/var/lib/vz/{CONTENT_DIRECTORIES[content]}/{name}"
        root.unlink(path)
        for beside in (f"{path}.notes", f"{path.removesuffix('.zst')}.log") if content == "backup" else ():
            if root.exists(beside):
                root.unlink(beside)

    # Backups

    async def back_up(self, guest: Any, at: float, notes: str = "") -> tuple[str, int]:
        """Leave an archive of a guest on its node, as vzdump does; its path there and its size in bytes."""
        host = self.host_of(guest)
        kept = {**guests.dump(guest), "sim": self._meta.get(guest.vmid, {})}
        data = await asyncio.to_thread(archives.pack, kept, host.directory if host is not None else self.directory / "none")
        kind = "qemu" if isinstance(guest, FakeVm) else "lxc"
        name = archives.named(kind, guest.vmid, at)
        root, path = self.node_hosts[guest.node].root, f"{archives.FOLDER}/{name}"
        root.write(path, data)
        day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
        said = (f"Starting Backup of VM {guest.vmid} ({kind})", f"Finished Backup of VM {guest.vmid} (00:00:00)")
        log = "".join(f"{day} INFO: {line}\n" for line in said)
        root.write(f"/var/log/vzdump/{kind}-{guest.vmid}.log", log.encode())
        if notes:
            root.write(f"{path}.notes", notes)
        return path, len(data)

    def _read_archive(self, node: str, volume: str) -> bytes:
        return self.node_hosts[node].root.read(f"{archives.FOLDER}/{volume.removeprefix('backup/')}")

    def _notes_of(self, node: str | None, volume: str) -> str | None:
        where = node or current_node.get()
        host = self.node_hosts.get(where or "")
        if host is None or host.state != "up":
            return None
        path = f"{archives.FOLDER}/{volume.removeprefix('backup/')}.notes"
        return host.root.read_text(path, "").strip() or None

    async def _lay_down(self, guest: Any, kept: dict[str, Any], archive: bytes) -> None:
        """The disk of a guest that was just restored, in a folder of its own: the guest that it is a copy of may run."""
        sim = kept.get("sim", {})
        self.api.templates[guest.vmid] = str(sim.get("template", ""))
        self.api.ssh_keys[guest.vmid] = str(sim.get("ssh_keys", ""))
        self._meta[guest.vmid] = {"directory": f"{guests.identity(guest).name}-{guest.vmid}"}
        host = self.host_of(guest)
        if host is None:
            return
        await self._gone(host.directory)
        await asyncio.to_thread(archives.unpack, archive, host.directory)

    # Faults

    def listing(self) -> dict[str, dict[str, str]]:
        """Faults that are on: target -> name -> value."""
        return {target: dict(on) for target, on in self._on.items() if on}

    async def switch(self, target: str, name: str, on: bool, value: str = "") -> None:  # noqa: PLR0912 - one branch a fault
        """Turn a fault on or off for a node, or for the cluster as `proxmox`. Raises KeyError."""
        if name not in FAULTS or (target != "proxmox" and target not in self.stores.nodes):
            raise KeyError(name)
        table = self._on.setdefault(target, {})
        if on:
            table[name] = value
        else:
            table.pop(name, None)
        nodes = [target] if target != "proxmox" else sorted(self.stores.nodes)
        if name == "node-offline":
            await self._node_power(nodes, not on)
        elif name == "quorum-lost":
            self.api.quorate = not on
        elif name == "guest-backup":
            for node in nodes:
                self.backups.switch(node, on, float(value or "3600"))
        elif name == "task-warnings":
            self.api.warning_nodes = (self.api.warning_nodes | set(nodes)) if on else (self.api.warning_nodes - set(nodes))
        elif name.startswith("api-"):
            self.api.api_faults.pop(f"{target}/{name}", None)
            if on:
                self.api.api_faults[f"{target}/{name}"] = value
        elif name == "storage-full":
            self._fill(nodes, on)
        elif name == "missing-right":
            self._lacking = value if on else ""
            self.admit()
        elif name == "bad-password":
            self.api.password = secrets.token_hex(16) if on else self.settings["password"]
            self.api.apitokens = {} if on else self._tokens()
            self.api.revoke_tickets()

    async def _node_power(self, nodes: list[str], online: bool) -> None:
        for node in nodes:
            self.api.set_node_offline(node, not online)
            host = self.node_hosts.get(node)
            if host is not None:
                await (host.power_on() if online else host.power_off())
        for guest in self._guests():
            if guest.node in nodes:
                self._follow(guest)
        # Whoever switched the fault sees its effect.
        await self.settle()

    def _fill(self, nodes: list[str], full: bool) -> None:
        for node in nodes:
            for name, store in self.stores.nodes[node].items():
                if full and (node, name) not in self._spare:
                    self._spare[node, name], store["avail"] = store["avail"], 0
                elif not full:
                    store["avail"] += self._spare.pop((node, name), 0)


def _free_port(address: str, wanted: int) -> int:
    """The wanted port of the address, or one that is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {address}")
