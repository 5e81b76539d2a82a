"""fakepve with the gaps filled that the real provider falls into (each with its reason beside it)."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any

import yarl
from aiohttp import HttpVersion11, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from fakepve import PveError, TaskError, lxc
from fakepve.lxc import OSTYPES, SIZE_UNITS, format_size
from fakepve.qemu import DRIVE_KEY, join_drive, split_drive
from fakepve.routing import die, param_error
from fakepve.server import USER
from fakepve.storage import split_list
from multidict import CIMultiDict, CIMultiDictProxy

from aether_sim.pve import archives, pending, purge
from aether_sim.pve.guests import asks_for_address, interfaces
from aether_sim.pve.mappings import Mappings
from aether_sim.pve.restores import Restores
from aether_sim.pve.storage import CONTENT_DIRECTORIES, NodeStores, current_node
from aether_sim.pve.stored import Stored

_GUEST_PATH = re.compile(r"/nodes/([^/]+)/(?:qemu|lxc)(?:/(\d+))?(?:/|$)")
_NODE_PATH = re.compile(r"/nodes/([^/]+)(?:/|$)")
MAX_BODY = 4 * 1024**3
# In a request that a node's own command made; and what pvesh calls the methods.
_OWN = "aether-own"
_COMMANDS = {"GET": "get", "PUT": "set", "POST": "create", "DELETE": "delete"}

Values = dict[str, Any]


def ostype_of(template: object) -> str:
    """Proxmox looks into the archive. Ours are named after what is in them, some with an environment's name before."""
    name = str(template).rpartition("/")[2].lower()
    return next((kind for word, kind in OSTYPES if re.search(rf"(?:^|-){word}", name)), "unmanaged")


# fakepve asks the file's name alone.
lxc.ostype_of = ostype_of

# Integer and boolean options of a virtual machine (PVE::QemuServer's schema).
INTEGER_KEYS = frozenset(
    [
        "acpi",
        "autostart",
        "balloon",
        "cores",
        "cpuunits",
        "freeze",
        "kvm",
        "localtime",
        "numa",
        "onboot",
        "protection",
        "reboot",
        "shares",
        "sockets",
        "tablet",
        "tdf",
        "template",
        "vcpus",
    ]
)


class SimPve(Restores, Stored, Mappings):
    """The API of the simulated cluster. `touched(vmid)` is called after each change of a guest."""

    def __init__(self, *, user: str, password: str, host: str, port: int, stores: NodeStores) -> None:
        self._stores = stores
        super().__init__(user=user, password=password, host=host, port=port)
        self.nodes = {name: {"online": True} for name in stores.nodes}
        self.cluster_name = "aether"
        self.client_max_size = MAX_BODY
        self.body_timeout = 600.0
        self.max_requests = 5000
        self.hosts_of_nodes: dict[str, str] = {}
        self.touched: Callable[[int], None] = lambda vmid: None
        # Before a guest starts; raises TaskError to refuse.
        # The IPv4 address that a guest has, wherever it is from.
        self.address_of: Callable[[Any], str | None] = lambda guest: None
        self.before_start: Callable[[Any], None] = lambda guest: None
        self.store_upload: Callable[[str, str, str, bytes], None] = lambda node, content, name, data: None
        self.list_files: Callable[[str], dict[str, int]] = lambda node: {}
        self.remove_file: Callable[[str, str], None] = lambda node, volume: None
        self.ssh_keys: dict[int, str] = {}
        self.templates: dict[int, str] = {}
        # New containers whose volumes found no room, with PVE's message; their tasks fail with it.
        self._no_space: dict[int, str] = {}
        self.api_faults: dict[str, str] = {}
        # Bridges of each node that are VLAN aware; a stock one is not.
        self.vlan_aware: set[tuple[str, str]] = set()
        # Nodes whose tasks end with a warning.
        self.warning_nodes: set[str] = set()

    async def ask(self, node: str, method: str, path: str, values: Mapping[str, object]) -> Any:
        """What the API answers to a command of NODE, which asks it in its own process as root. Raises PveError."""
        text = urllib.parse.urlencode(values)
        form = method in ("POST", "PUT")
        url = yarl.URL(f"/api2/json{path}" + (f"?{text}" if text and not form else ""))
        headers = CIMultiDictProxy(CIMultiDict({"Content-Type": "application/x-www-form-urlencoded"}))
        message = RawRequestMessage(method, str(url), HttpVersion11, headers, (), False, None, False, False, url)
        nobody: Any = SimpleNamespace(transport=None, ssl_context=None, peername=None, sockname=None)
        request = self.runner.app._make_request(message, EMPTY_PAYLOAD, nobody, None, None)
        request._read_bytes = text.encode() if form else b""
        request[_OWN] = node
        try:
            answer = await self.runner.app._handle(request)
        except web.HTTPNotFound:
            raise PveError(501, f"No '{_COMMANDS[method]}' handler defined for '{path}'") from None
        said = json.loads(answer.body)
        if answer.status >= 400:
            raise PveError(answer.status, said["message"].strip(), said.get("errors"))
        return said["data"]

    def _authenticate(self, request: web.Request) -> Any:
        return self.user if _OWN in request else super()._authenticate(request)

    def _record(self, request: web.Request, body: bytes) -> None:
        if _OWN in request:
            return
        super()._record(request, body)
        if request.query_string:
            method, path, said = self.requests[-1]
            self.requests[-1] = (method, f"{path}?{request.query_string}", said)

    @property
    def storages(self) -> NodeStores:
        """Storages of the node that the current request names."""
        return self._stores

    @storages.setter
    def storages(self, value: object) -> None:
        """fakepve's constructor makes its own; the nodes' tables stand."""

    def stores_of(self, node: str) -> dict[str, Values]:
        """Storages of a node."""
        return self._stores.of(node)

    # Requests

    def _build_app(self) -> web.Application:
        app: web.Application = super()._build_app()
        resolve = app.router.resolve

        async def without_slash(request: web.Request) -> Any:
            # The provider sends `DELETE …/qemu/ID/?purge=1`, which would miss the route and be answered by the generic
            # handler: the guest stays and the provider polls until it gives up.
            if request.path != "/" and request.path.endswith("/"):
                request = request.clone(rel_url=request.rel_url.with_path(request.path.rstrip("/")))
            return await resolve(request)

        app.router.resolve = without_slash  # type: ignore[method-assign]
        app.middlewares.insert(0, self._around)
        return app

    @web.middleware
    async def _around(self, request: web.Request, handler: Callable[[web.Request], Awaitable[Any]]) -> Any:
        """Every request: faults of the API, the node it means, and what it changed."""
        found = _NODE_PATH.search(request.path)
        node = found[1] if found else None
        token = current_node.set(node or request.get(_OWN))
        try:
            if (node is not None or "/cluster" in request.path) and _OWN not in request:
                if self._fault_hits("api-timeout", node):
                    await self._hang(request, node)
                if self._fault_hits("api-429", node):
                    return web.json_response({"data": None, "message": "Too Many Requests\n"}, status=429)
                if self._fault_hits("api-503", node):
                    return web.Response(status=503, text="Service Unavailable")
                if self._fault_hits("api-500", node):
                    return web.json_response({"data": None, "message": "injected fault: api-500\n"}, status=500)
            if node in self.nodes:
                self._sync_files(node)
            if request.method == "PUT":
                request._read_bytes = _one_delete(await request.read())
            answer = await handler(request)
            guest = _GUEST_PATH.search(request.path)
            if request.method != "GET" and guest and guest[2]:
                self.touched(int(guest[2]))
            return answer
        finally:
            current_node.reset(token)

    async def _hang(self, request: web.Request, node: str | None) -> None:
        """No answer, until the client gives up or the simulator stops."""
        while self.runner is not None and request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(0.1)
        raise ConnectionResetError(f"injected fault: api-timeout ({node})")

    async def start(self, certfile: str, keyfile: str) -> None:
        """Listen; a stop does not wait for requests that never end."""
        await super().start(certfile, keyfile)
        self.runner._shutdown_timeout = 0.5

    def _fault_hits(self, name: str, node: str | None) -> bool:
        """Whether a fault holds for this request; a number as value is how many requests it takes."""
        for target in (node or "", "proxmox"):
            key = f"{target}/{name}"
            if key in self.api_faults:
                left = self.api_faults[key]
                if left.isdigit():
                    if int(left) <= 1:
                        del self.api_faults[key]
                    else:
                        self.api_faults[key] = str(int(left) - 1)
                return True
        return False

    def resolve(self, request: web.Request, prefix: str) -> Any:
        """The schema match; see `without_slash`."""
        # By its address alone: a request whose body has been read cannot be cloned.
        address = request.rel_url.with_path(request.path.rstrip("/") or "/")
        return super().resolve(SimpleNamespace(rel_url=address), prefix)

    def _sync_files(self, node: str | None) -> None:
        """Files that came to the node by SSH are volumes of its directory storage, as on a real node."""
        if node is None:
            return
        for store in self._stores.of(node).values():
            if store.get("type") != "dir":
                continue
            present = self.list_files(node)
            for volume in [name for name in store["volumes"] if name.split("/")[0] in CONTENT_DIRECTORIES]:
                if volume not in present:
                    del store["volumes"][volume]
            for volume, size in present.items():
                content = volume.split("/")[0]
                kind = "iso" if content == "iso" else volume.rsplit(".", 1)[-1]
                known = store["volumes"].get(volume)
                if known is not None and known["size"] == size:
                    continue
                backup = archives.volume(volume.removeprefix("backup/"), size) if content == "backup" else None
                if backup is not None:
                    store["volumes"][volume] = backup
                else:
                    store["volumes"][volume] = {
                        "content": content,
                        "size": size,
                        "ctime": int(time.time()),
                        "format": {"vztmpl": "tgz", "snippets": "snippet"}.get(content, kind),
                    }
            break

    # Tasks

    async def task(self, node: str, ttype: str, tid: Any, user: str, body: Any, **kwargs: Any) -> str:
        """Run a task; its guest is saved and its power followed before the task counts as done.

        With the fault `task-warnings` it does its work and ends with a warning, which Proxmox counts as a success.
        """
        guest = kwargs.get("vm") or self.guest(int(tid) if str(tid).isdigit() else -1)

        async def watched() -> Any:
            try:
                result = await body()
            finally:
                if guest is not None:
                    self.touched(guest.vmid)
            if node in self.warning_nodes:
                raise TaskError("WARNINGS: 1")
            return result

        upid: str = await super().task(node, ttype, tid, user, watched, **kwargs)
        if guest is not None:
            self.touched(guest.vmid)
        return upid

    # Addresses

    async def _agent_call(self, match: Any, values: Values) -> Any:
        vm = self.find(values["node"], values["vmid"])
        if vm.agent is not None:
            vm.agent["interfaces"] = interfaces(vm, self.address_of(vm))
        return await super()._agent_call(match, values)

    async def _lxc_interfaces(self, user: str, values: Values) -> Any:
        """fakepve knows what is in the configuration; a lease comes from the router."""
        found = await super()._lxc_interfaces(user, values)
        ct = self.guest(int(values["vmid"]))
        if found is not None and asks_for_address(ct):
            address = self.address_of(ct)
            for item in found:
                if item["name"] == "eth0" and address:
                    item["inet"] = f"{address}/24"
                    item["ip-addresses"].insert(0, {"ip-address-type": "inet", "ip-address": address, "prefix": "24"})
        return found

    # Virtual machines

    def _routes_sim(self) -> list[tuple[str, str, Any]]:
        vm = "/nodes/{node}/qemu/{vmid}"
        return [
            ("PUT", f"{vm}/resize", self._qm_resize),
            ("PUT", f"{vm}/cloudinit", self._qm_cloudinit),
            ("GET", f"{vm}/cloudinit", self._qm_cloudinit_pending),
            ("POST", f"{vm}/migrate", self._qm_migrate),
            ("GET", "/nodes/{node}/network/{iface}", self._bridge),
            ("PUT", "/nodes/{node}/network/{iface}", self._set_bridge),
        ]

    async def _bridge(self, v: Values, user: str) -> Values:
        if not v["iface"].startswith("vmbr"):
            raise die("interface does not exist")
        aware = int((v["node"], v["iface"]) in self.vlan_aware)
        return {"type": "bridge", "bridge_ports": "eno1", "autostart": 1, "bridge_vlan_aware": aware, "method": "manual"}

    async def _set_bridge(self, v: Values, user: str) -> None:
        if v.get("bridge_vlan_aware"):
            self.vlan_aware.add((v["node"], v["iface"]))

    @staticmethod
    def _vm_maxdisk(vm: Any) -> int:
        """Size of the disk that it boots from (PVE::QemuServer::Drive::bootdisk_size); fakepve takes the EFI disk for it."""
        order = str(vm.config.get("boot", "")).rpartition("order=")[2].split(";")
        for key in [*(key for key in order if key in vm.config), *sorted(vm.config)]:
            volume, props = split_drive(str(vm.config[key])) if re.fullmatch(r"(scsi|virtio|sata|ide)\d+", key) else ("", {})
            if volume and props.get("media") != "cdrom":
                return _size_bytes(props.get("size", "0"))
        return 0

    async def _start_steps(self, ct: Any, user: str, skiplock: bool = False) -> None:
        self.before_start(ct)
        await super()._start_steps(ct, user, skiplock)

    async def _do_start(self, vm: Any, user: str, p: Values) -> Any:
        try:
            self.before_start(vm)
            self.check_devices(vm)
            vm.start_error = None
        except TaskError as error:
            vm.start_error = str(error)
        return await super()._do_start(vm, user, p)

    async def _lxc_create(self, user: str, v: Values) -> Any:
        # fakepve drops these; the guest's first boot needs them.
        if v.get("ssh-public-keys"):
            self.ssh_keys[int(v["vmid"])] = urllib.parse.unquote(str(v["ssh-public-keys"]))
        self.templates[int(v["vmid"])] = str(v.get("ostemplate", ""))
        return await super()._lxc_create(user, v)

    def _qm_check_drive(self, user: str, vmid: int, pool: Any, key: str, value: str, default: Any) -> None:
        volume, props = split_drive(value)
        source = props.get("import-from")
        if source:
            self._check_source(user, source)
            # import-from is new in PVE 8: any volume of content type import, images or iso, or an absolute path.
            if not source.startswith("/"):
                sid, _, name = source.partition(":")
                store = self._store(sid)
                if name not in self._volumes(sid):
                    raise param_error(**{key: f"volume '{source}' does not exist"})
                if not {"import", "images", "iso"} & set(split_list(store.get("content"))):
                    raise param_error(**{key: f"'{source}' - content type not supported for import"})
            value = join_drive(volume, {k: x for k, x in props.items() if k != "import-from"})
        if re.search(rf":(?:.*/)?(?:vm|base)-{vmid}-", volume):
            # A guest's own volume; fakepve asks for rights as if it were another's.
            user = self.user
        super()._qm_check_drive(user, vmid, pool, key, value, default)

    def _qm_new_drive(self, vmid: int, key: str, value: str, default: Any) -> Any:
        volume, props = split_drive(value)
        source = props.pop("import-from", None)
        if source:
            self.templates[vmid] = source
            sid = volume.partition(":")[0]
            size = self._import_size(source)
            volid, _ = self._qm_alloc(sid, vmid, props.pop("format", None), size)
            props["size"] = format_size(size)
            return join_drive(volid, props), [volid]
        made: tuple[str, list[str]] = super()._qm_new_drive(vmid, key, value, default)
        if volume.endswith(":cloudinit"):
            return self._named_cloudinit(vmid, *made)
        return made

    def _named_cloudinit(self, vmid: int, value: str, volumes: list[str]) -> tuple[str, list[str]]:
        """PVE calls the drive vm-VMID-cloudinit, which is how clients tell it from a disk; fakepve numbers it as one."""
        sid, _, old = volumes[0].partition(":")
        named = self.storages[sid]["volumes"]
        new = re.sub(r"vm-\d+-disk-\d+", f"vm-{vmid}-cloudinit", old)
        named[new] = named.pop(old)
        return value.replace(old, new), [f"{sid}:{new}"]

    def _import_size(self, source: str) -> int:
        """Images of the simulator are small files that stand for disks of 4 GiB."""
        return int(4 * SIZE_UNITS["G"])

    async def _apply_config(self, vm: Any, user: str, p: Values) -> None:
        """A changed configuration; fakepve stores new disks as written, PVE allocates and resizes them."""
        # A form holds text only; PVE keeps these as numbers and answers with numbers.
        values = {key: int(value) if key in INTEGER_KEYS and str(value).isdigit() else value for key, value in p.items()}
        for key in [k for k in values if re.fullmatch(r"net\d+", k) and not re.search(r"(?i)([0-9a-f]{2}:){5}", str(values[k]))]:
            # PVE::QemuServer::print_net: a card that is given no address gets one.
            card = ":".join(f"{byte:02X}" for byte in secrets.token_bytes(3))
            values[key] = f"{values[key]},macaddr=BC:24:11:{card}"
        made: list[str] = []
        for key in [k for k in values if DRIVE_KEY.match(k)]:
            volume, props = split_drive(str(values[key]))
            fresh = "import-from" in props or re.fullmatch(r"[^/:\s]+:\d+(\.\d+)?", volume) or volume.endswith(":cloudinit")
            if fresh and not (volume.endswith(":cloudinit") and "cloudinit" in str(vm.config.get(key, ""))):
                self._qm_check_drive(user, vm.vmid, None, key, str(values[key]), None)
                values[key], volumes = self._qm_new_drive(vm.vmid, key, str(values[key]), None)
                made += volumes
            elif volume and "size" not in props and key in vm.config:
                old_volume, old = split_drive(str(vm.config[key]))
                if old_volume == volume and "size" in old:
                    values[key] = join_drive(volume, dict(props, size=old["size"]))
        try:
            await super()._apply_config(vm, user, values)
        except PveError:
            for volid in made:
                self._qm_free(volid)
            raise
        for key in split_list(values.get("delete")):
            if DRIVE_KEY.match(key) and key in p.get("force", ""):
                self._qm_free(key)
        if vm.status == "running":
            pending.hotplug(vm)

    async def _config_get(self, request: web.Request) -> web.Response:
        """GET …/config: with what waits for the next start, unless `current`; fakepve leaves that out."""
        vm = self._vm(request, "VM.Audit")
        now = request.query.get("current", "0") in ("1", "true")
        config = dict(vm.config) if now else pending.effective(vm.config, vm.pending)
        if "memory" in config:
            config["memory"] = str(config["memory"])
        return web.json_response({"data": {**config, "digest": vm.digest()}})

    def _realise(self, vmid: int, key: str, value: str, taken: Any, default_storage: Any = None) -> Any:
        """A container's new volume; refused where its storage has too little left, as PVE::Storage::vdisk_alloc does."""
        found = re.match(r"(?:volume=)?([^:,/]+):(\d+(?:\.\d+)?)(?:,|$)", str(value))
        store = self.storages.get(found[1]) if found else None
        if found and store is not None and "avail" in store:
            size = int(float(found[2]) * SIZE_UNITS["G"])
            if size > store["avail"]:
                message = f"unable to write to storage '{found[1]}': No space left on device"
                guest = self.guest(vmid)
                if guest is None or guest.lock != "create":
                    raise die(message)
                # A new container's volumes are allocated by its task, which fails and removes the container again.
                self._no_space[vmid] = message
        return super()._realise(vmid, key, value, taken, default_storage)

    async def ceph_io(self, vm: Any, keys: Any = None) -> None:
        """The step of a task that writes a guest's volumes."""
        message = self._no_space.pop(vm.vmid, None)
        if message is not None:
            raise TaskError(message)
        await super().ceph_io(vm, keys)

    async def _qm_resize(self, v: Values, user: str) -> Any:
        """PUT …/resize: grow a disk in place (fakepve answers it without keeping anything)."""
        vm = self.find(v["node"], v["vmid"])
        disk, text = v["disk"], str(v["size"])
        if disk not in vm.config:
            raise param_error(disk=f"disk '{disk}' does not exist")
        self._check_lock(vm)
        self.need_quorum()
        found = re.fullmatch(r"(\+?)(\d+(?:\.\d+)?)([KMGT]?)", text)
        if not found:
            raise param_error(size=f"invalid size '{text}'")
        volume, props = split_drive(str(vm.config[disk]))
        self.require(user, f"/storage/{volume.partition(':')[0]}", "Datastore.AllocateSpace")
        old = _size_bytes(props.get("size", "0"))
        asked = int(float(found[2]) * SIZE_UNITS.get(found[3], 1))
        size = old + asked if found[1] else asked
        if size < old:
            raise die("shrinking disks is not supported")

        async def body() -> None:
            sid, _, name = volume.partition(":")
            store = self.storages.get(sid)
            if store is not None:
                if size - old > store.get("avail", size):
                    raise TaskError(f"unable to write to storage '{sid}': No space left on device")
                store["avail"] = store.get("avail", size) - (size - old)
                if name in store.get("volumes", {}):
                    store["volumes"][name]["size"] = size
            vm.config[disk] = join_drive(volume, dict(props, size=format_size(size)))

        return await self.task(vm.node, "resize", vm.vmid, user, body, vm=vm)

    async def _qm_migrate(self, v: Values, user: str) -> Any:
        """POST …/migrate (PVE::API2::Qemu migrate_vm): the guest and its local volumes go to another node."""
        vm, target = self.find(v["node"], v["vmid"]), str(v["target"])
        self._check_target(v["node"], target)
        self._check_lock(vm)
        running = vm.status == "running"
        if running and not v.get("online"):
            raise die("can't migrate running VM without --online")

        async def body() -> str:
            if running and not v.get("with-local-disks"):
                raise TaskError("can't live migrate attached local disks without with-local-disks option")
            self._move_volumes(vm, target)
            vm.node = target
            return "migration finished successfully"

        return await self.task(v["node"], "qmigrate", vm.vmid, user, body, vm=vm)

    def _check_target(self, source: str, target: str) -> None:
        if target == source:
            raise param_error(target="target is local node.")
        self.need_quorum()
        if target not in self.nodes:
            raise die(f"no such cluster node '{target}'")

    def _move_volumes(self, guest: Any, target: str) -> None:
        """The guest's volumes on the other node. Raises TaskError in PVE's words where that has no such storage."""
        old, new = self._stores.of(guest.node), self._stores.of(target)
        for name, store in old.items():
            for volume in [key for key, facts in store["volumes"].items() if facts.get("vmid") == guest.vmid]:
                if name not in new:
                    raise TaskError(f"storage '{name}' is not available on node '{target}'")
                new[name]["volumes"][volume] = store["volumes"].pop(volume)

    async def _qm_destroy(self, v: Values, user: str) -> Any:
        return await self._destroyed("vm", v, super()._qm_destroy, v, user)

    async def _lxc_destroy(self, user: str, v: Values) -> Any:
        return await self._destroyed("ct", v, super()._lxc_destroy, user, v)

    async def _destroyed(self, kind: str, v: Values, destroy: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        purging = str(v.get("purge") or "0") not in ("0", "false")
        purge.check(self.entries, kind, int(v["vmid"]), purging=purging)
        upid = await destroy(*arguments)
        if purging:
            purge.purge(self.entries, kind, int(v["vmid"]))
            self.follow_ha()
            self.stored()
        return upid

    async def _qm_cloudinit(self, v: Values, user: str) -> None:
        """PUT …/cloudinit: regenerate the drive; the next boot reads it anyway."""
        self.find(v["node"], v["vmid"])

    async def _qm_cloudinit_pending(self, v: Values, user: str) -> list[Any]:
        self.find(v["node"], v["vmid"])
        return []

    # Files

    async def _upload(self, request: web.Request) -> web.Response:
        """POST …/upload: the file goes to the node's own root; content type import too, which fakepve refuses."""
        node = request.match_info["node"]
        name, store = self._file_storage(request, "upload")
        # The middleware has read the body already: aiohttp's reader would find nothing.
        fields, data = _multipart(request.headers.get("Content-Type", ""), await request.read())
        content, filename = fields.get("content", ""), fields.get("filename", "")
        if content not in ("iso", "vztmpl", "import"):
            raise PveError(400, "Parameter verification failed.", {"content": "value not allowed"})
        if content not in split_list(store.get("content")):
            raise die(f"storage '{name}' does not support '{content}' content")
        if not re.fullmatch(r"[^/\s]+", filename):
            raise PveError(400, "Parameter verification failed.", {"filename": "wrong file extension"})
        if len(data) > store.get("avail", len(data)):
            raise die(f"unable to write to storage '{name}': No space left on device")

        async def body() -> None:
            self.store_upload(node, content, filename, data)

        upid = await self.task(node, "imgcopy", "", request[USER], body)
        self._sync_files(node)
        return web.json_response({"data": upid})

    async def _content_delete(self, v: Values, user: str) -> Any:
        _sid, volname, _volid, store, _type, _owner, _format = self._volume_target(v)
        if store.get("type") == "dir":
            self.remove_file(v["node"], volname)
        return await super()._content_delete(v, user)


def _one_delete(body: bytes) -> bytes:
    """A form with its `delete` once: PVE takes a list that comes as several of it (PVE::JSONSchema), fakepve does not."""
    if body.count(b"delete=") < 2:
        return body
    pairs = urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)
    deleted = ",".join(value for key, value in pairs if key == "delete")
    return urllib.parse.urlencode([*(pair for pair in pairs if pair[0] != "delete"), ("delete", deleted)]).encode()


def _multipart(kind: str, body: bytes) -> tuple[dict[str, str], bytes]:
    """Fields and the file of a form; its name is field `filename`. Raises PveError for what is no such form."""
    found = re.search(r'boundary="?([^";]+)"?', kind)
    if not kind.startswith("multipart/form-data") or found is None:
        raise PveError(400, "bad upload request")
    fields: dict[str, str] = {}
    data = b""
    for part in body.split(b"--" + found[1].encode())[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        content = content.removesuffix(b"\r\n")
        text = head.decode(errors="replace")
        name = re.search(r'[; ]name="([^"]*)"', text)
        file = re.search(r'filename="([^"]*)"', text)
        if file is not None:
            fields["filename"], data = file[1], content
        elif name is not None:
            fields[name[1]] = content.decode(errors="replace")
    return fields, data


def _size_bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text)
    return int(float(found[1]) * SIZE_UNITS.get(found[2], 1)) if found else 0
