"""qm, pct, pvesm, pvesh and pveversion on a simulated Proxmox node.

Imitates qm(1), pct(1), pvesm(1), pvesh(1) of Proxmox VE 9 (https://pve.proxmox.com/pve-docs/): the subcommands that the
provider, first contact and the roles use, on the same guests that the API has. Refuses what the real ones refuse: a guest of
another node, `pct exec` and `pct push` into a stopped container, `qm guest exec` without an agent, a lock, lost quorum.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import Any

from fakepve import FakeCt, FakeVm, PveError

from aether_sim.fakes.served import backups, nodes
from aether_sim.hosts import process as proc
from aether_sim.hosts.agent import Call, Refused
from aether_sim.hosts.host import Host
from aether_sim.pve.guests import interfaces
from aether_sim.pve.pending import effective
from aether_sim.pve.storage import CONTENT_DIRECTORIES, current_node

_CT_NUMBERS = frozenset(("cores", "cpuunits", "memory", "onboot", "protection", "swap", "tty"))
# What has to run for them, in PVE's words.
_INSIDE = {
    "exec": "container '{}' not running!",
    "push": "can only push files to a running CT",
    "pull": "can only pull files from a running VM",
}
_SNAPSHOTS = ("snapshot", "delsnapshot", "listsnapshot")


def _config(call: Call, guest: Any, *, current: bool) -> int:
    """As it will be: with what waits for the next start, unless --current."""
    for key, value in sorted(effective(guest.config, {} if current else guest.pending).items()):
        call.out(f"{key}: {value}")
    return 0


def _pending(call: Call, guest: Any) -> int:
    """`qm pending`, `pct pending`: cur, new and del lines (PVE::GuestHelpers::format_pending)."""
    for key in sorted({*guest.config, *guest.pending}):
        if key in guest.config:
            call.out(f"cur {key}: {guest.config[key]}")
        if key in guest.pending:
            value = guest.pending[key]
            call.out(f"del {key}" if value is None else f"new {key}: {value}")
    return 0


async def _snapshots(call: Call, guest: Any, verb: str, words: list[str]) -> int:
    """`snapshot NAME`, `delsnapshot NAME`, `listsnapshot` of either tool."""
    api = nodes.cluster().api
    if verb == "listsnapshot":
        for name in [*guest.snapshots, "current"]:
            call.out(f"`-> {name}")
        return 0
    if not words:
        raise Refused("400 not enough arguments\nsnapname: property is missing and it is not optional", 255)
    values = {"node": call.host.name, "vmid": guest.vmid, "snapname": words[0], **nodes.options_of(words[1:])}
    suffix = "_snapshot" if verb == "snapshot" else "_snapshot_delete"
    if isinstance(guest, FakeVm):
        await nodes.run_api(call, getattr(api, f"_qm{suffix}")(values, "root@pam"))
    else:
        await nodes.run_api(call, getattr(api, f"_lxc{suffix}")("root@pam", values))
    nodes.cluster().touched(guest.vmid)
    return 0


async def pct(call: Call) -> int:  # noqa: PLR0911, PLR0912 - one branch a subcommand
    """`pct status|config|pending|list|start|stop|shutdown|reboot|destroy|exec|enter|push|pull|set|resize|migrate|restore|…`."""
    call.need_root("please run as root.")
    words = call.argv[1:]
    verb = words.pop(0) if words else ""
    if verb == "list":
        call.out("VMID       Status     Lock         Name")
        for ct in nodes.cluster().api.cts:
            if ct.node == call.host.name:
                call.out(f"{ct.vmid:<10} {ct.status:<10} {ct.lock or '':<12} {ct.name}")
        return 0
    if verb == "restore":
        return await backups.pct_restore(call, words)
    if not words:
        raise Refused("400 not enough arguments", 255)
    ct = nodes.guest_of(call, words.pop(0), FakeCt)
    if verb == "status":
        call.out(f"status: {ct.status}")
        return 0
    if verb == "config":
        return _config(call, ct, current=nodes.options_of(words).get("current", "0") == "1")
    if verb == "pending":
        return _pending(call, ct)
    if verb in _SNAPSHOTS:
        return await _snapshots(call, ct, verb, words)
    if verb in ("resize", "migrate"):
        return await {"resize": _pct_resize, "migrate": _pct_migrate}[verb](call, ct, words)
    if verb in ("start", "stop", "shutdown", "reboot"):
        return await nodes.power(call, ct, verb)
    if verb == "unlock":
        nodes.cluster().api.unlock(ct.vmid)
        return 0
    if verb == "set":
        # The API's schema makes these numbers.
        given = {key: int(value) if key in _CT_NUMBERS else value for key, value in nodes.options_of(words).items()}
        values = {"node": call.host.name, "vmid": ct.vmid, **given}
        await nodes.run_api(call, nodes.cluster().api._lxc_config_put("root@pam", values))
        nodes.cluster().touched(ct.vmid)
        return 0
    if verb == "destroy":
        values = {"node": call.host.name, "vmid": ct.vmid, **nodes.options_of(words)}
        await nodes.run_api(call, nodes.cluster().api._lxc_destroy("root@pam", values))
        await nodes.cluster().settle()
        return 0
    host = nodes.host_of(ct)
    if verb in _INSIDE:
        if ct.status != "running" or host is None or host.state == "down":
            raise Refused(_INSIDE[verb].format(ct.vmid), 255)
        while host.state == "booting":
            await host.changed.wait()
        return await {"exec": _pct_exec, "push": _pct_push, "pull": _pct_pull}[verb](call, host, words)
    raise Refused(f"ERROR: unknown command 'pct {verb}'", 255)


async def _pct_resize(call: Call, ct: Any, words: list[str]) -> int:
    if len(words) < 2:
        raise Refused("400 not enough arguments", 255)
    values = {"node": call.host.name, "vmid": ct.vmid, "disk": words[0], "size": words[1]}
    await nodes.run_api(call, nodes.cluster().api._lxc_resize("root@pam", values))
    nodes.cluster().touched(ct.vmid)
    return 0


async def _pct_migrate(call: Call, ct: Any, words: list[str]) -> int:
    if not words:
        raise Refused("400 not enough arguments", 255)
    values = {"node": call.host.name, "vmid": ct.vmid, "target": words[0], **nodes.options_of(words[1:])}
    await nodes.run_api(call, nodes.cluster().api._lxc_migrate("root@pam", values))
    nodes.cluster().touched(ct.vmid)
    await nodes.cluster().settle()
    return 0


async def _pct_exec(call: Call, host: Host, words: list[str]) -> int:
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        raise Refused("400 not enough arguments", 255)
    # As `lxc-attach --keep-env` has it: the node's PATH knows nothing of NixOS.
    return await nodes.inside(call, host, words, {**call.environment(), "container": "lxc"})


def _positional(words: list[str]) -> tuple[list[str], dict[str, str]]:
    names = [word for word in words[:2] if not word.startswith("-")]
    if len(names) != 2:
        raise Refused("400 not enough arguments", 255)
    return names, nodes.options_of(words[2:])


async def _pct_push(call: Call, host: Host, words: list[str]) -> int:
    (source, target), options = _positional(words)
    node_path = source if source.startswith("/") else f"{call.cwd}/{source}"
    try:
        data = call.host.root.read(node_path)
    except OSError as error:
        raise Refused(f"failed to open {source} for reading", 255) from error
    # The container's root is where it is written from.
    place = target if target.startswith("/") else f"/{target}"
    if not host.root.is_dir(place.rpartition("/")[0] or "/"):
        raise Refused(f"failed to create file: {target}: No such file or directory", 255)
    mode = int(options.get("perms", "0644"), 8)
    uid, gid = options.get("user", "0"), options.get("group", "0")
    account = None if uid.isdigit() else proc.find_user(host.root, uid)
    if not uid.isdigit() and account is None:
        raise Refused(f"failed to get uid for: {uid}", 255)
    host.root.write(place, data, mode)
    host.root.chown(place, account.uid if account else int(uid), int(gid) if gid.isdigit() else account.gid if account else 0)
    return 0


async def _pct_pull(call: Call, host: Host, words: list[str]) -> int:
    (source, target), options = _positional(words)
    try:
        data = host.root.read(source)
    except OSError as error:
        raise Refused(f"failed to open {source}: {error.strerror}", 255) from error
    path = target if target.startswith("/") else f"{call.cwd}/{target}"
    call.host.root.write(path, data, int(options.get("perms", "0644"), 8))
    return 0


async def qm(call: Call) -> int:  # noqa: PLR0911, PLR0912 - one branch a subcommand
    """`qm status|config|pending|list|start|stop|reboot|destroy|set|guest|disk|importdisk|resize|migrate|unlock…`."""
    call.need_root("please run as root.")
    words = call.argv[1:]
    verb = words.pop(0) if words else ""
    if verb == "list":
        call.out("      VMID NAME                 STATUS     MEM(MB)    BOOTDISK(GB) PID")
        for vm in nodes.cluster().api.vms:
            if vm.node == call.host.name:
                call.out(f"{vm.vmid:>10} {vm.name:<20} {vm.status:<10} {vm.config.get('memory', 512)}")
        return 0
    if verb in ("guest", "disk"):
        if not words:
            raise Refused("400 not enough arguments", 255)
        verb = f"{verb} {words.pop(0)}"
    if not words:
        raise Refused("400 not enough arguments", 255)
    vm = nodes.guest_of(call, words.pop(0), FakeVm)
    if verb == "status":
        call.out(f"status: {vm.status}")
        return 0
    if verb == "config":
        return _config(call, vm, current=nodes.options_of(words).get("current", "0") == "1")
    if verb == "pending":
        return _pending(call, vm)
    if verb in ("start", "stop", "shutdown", "reboot", "reset"):
        return await nodes.power(call, vm, verb)
    if verb in _SNAPSHOTS:
        return await _snapshots(call, vm, verb, words)
    if verb == "unlock":
        nodes.cluster().api.unlock(vm.vmid)
        return 0
    if verb == "destroy":
        await nodes.run_api(
            call,
            nodes.cluster().api._qm_destroy({"node": call.host.name, "vmid": vm.vmid, **nodes.options_of(words)}, "root@pam"),
        )
        await nodes.cluster().settle()
        return 0
    if verb == "set":
        return await _qm_set(call, vm, nodes.options_of(words))
    if verb in ("agent", "guest cmd"):
        return _qm_agent(call, vm, words)
    if verb == "guest exec":
        return await _qm_guest_exec(call, vm, words)
    if verb in ("importdisk", "disk import"):
        return await _qm_import(call, vm, words)
    if verb in ("resize", "disk resize") and len(words) >= 2:
        values = {"node": call.host.name, "vmid": vm.vmid, "disk": words[0], "size": words[1]}
        await nodes.run_api(call, nodes.cluster().api._qm_resize(values, "root@pam"))
        return 0
    if verb == "migrate" and words:
        values = {"node": call.host.name, "vmid": vm.vmid, "target": words[0], **nodes.options_of(words[1:])}
        await nodes.run_api(call, nodes.cluster().api._qm_migrate(values, "root@pam"))
        await nodes.cluster().settle()
        return 0
    if verb == "cloudinit":
        return 0
    raise Refused(f"ERROR: unknown command 'qm {verb}'", 255)


async def _qm_set(call: Call, vm: Any, options: dict[str, str]) -> int:
    async def apply() -> str:
        await nodes.cluster().api._apply_config(vm, "root@pam", dict(options))
        return ""

    await nodes.run_api(call, apply())
    nodes.cluster().touched(vm.vmid)
    call.out(" ".join([f"update VM {vm.vmid}:", *(f"-{key} {value}" for key, value in options.items())]))
    return 0


def _agent_host(vm: Any) -> Host:
    host = nodes.host_of(vm)
    agent = str(vm.config.get("agent", "0"))
    if vm.status != "running":
        raise Refused(f"VM {vm.vmid} is not running", 255)
    if not re.match(r"1|.*enabled=1", agent):
        raise Refused("No QEMU guest agent configured", 255)
    if host is None or host.state != "up":
        raise Refused("QEMU guest agent is not running", 255)
    return host


def _qm_agent(call: Call, vm: Any, words: list[str]) -> int:
    _agent_host(vm)
    if words[:1] == ["ping"]:
        return 0
    if words[:1] == ["network-get-interfaces"]:
        call.out(_json(interfaces(vm, nodes.cluster().address_of(vm))))
        return 0
    raise Refused(
        f"400 Parameter verification failed.\ncommand: value '{' '.join(words)}' does not have a value in the enumeration", 255
    )


async def _qm_guest_exec(call: Call, vm: Any, words: list[str]) -> int:
    host = _agent_host(vm)
    options: dict[str, str] = {}
    while words and words[0].startswith("-") and words[0] != "--":
        key, eq, value = words.pop(0).lstrip("-").partition("=")
        options[key] = value if eq else words.pop(0) if words else "1"
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        raise Refused("400 not enough arguments", 255)
    data = b""
    if options.get("pass-stdin") == "1":
        while piece := await call.stdin():
            data += piece
        if len(data) > 1 << 20:
            raise Refused("'input-data' (STDIN) is limited to 1 MiB, aborting", 255)
    child = await nodes.started(host, words)
    ended = asyncio.create_task(child.communicate(data))
    _commands.add(ended)
    ended.add_done_callback(_commands.discard)
    limit = int(options.get("timeout", "30"))
    if not (await asyncio.wait({ended}, timeout=limit or None))[0]:
        call.err("timeout reached, returning pid")
        call.out(_json({"pid": child.pid}))
        return 0
    out, err = ended.result()
    if child.returncode == 127 and err.startswith(b"/usr/bin/env: "):
        # Of the program that enters the host.
        raise Refused(f"Agent error: Failed to execute child process “{words[0]}” (No such file or directory)", 255)
    code = child.returncode or 0
    answer: dict[str, Any] = {"exited": 1, **({"exitcode": code} if code >= 0 else {"signal": -code})}
    for name, said in (("out", out), ("err", err)):
        if said:
            answer |= {f"{name}-data": said.decode(errors="replace"), f"{name}-truncated": 0}
    call.out(_json(answer))
    return 0


# Commands of guests that go on after their `qm guest exec` is over.
_commands: set[asyncio.Task[tuple[bytes, bytes]]] = set()


def _json(value: Any) -> str:
    """As Perl's JSON prints it, pretty and canonical."""
    return json.dumps(value, indent=3, sort_keys=True, separators=(",", " : "))


async def _qm_import(call: Call, vm: Any, words: list[str]) -> int:
    if len(words) < 2:
        raise Refused("400 not enough arguments", 255)
    source, storage, *rest = words
    if not call.host.root.exists(source):
        raise Refused(f"unable to find disk image '{source}'", 255)
    api = nodes.cluster().api

    async def allocate() -> str:
        volume, _format = api._qm_alloc(storage, vm.vmid, None, api._import_size(source))
        number = next(n for n in range(256) if f"unused{n}" not in vm.config)
        vm.config[f"unused{number}"] = volume
        api.templates[vm.vmid] = source
        call.out(f"importing disk '{source}' to VM {vm.vmid} ...")
        call.out(f"unused{number}: successfully imported disk '{volume}'")
        return ""

    nodes.options_of(rest)
    await nodes.run_api(call, allocate())
    nodes.cluster().touched(vm.vmid)
    return 0


async def pvesm(call: Call) -> int:  # noqa: PLR0912 - one branch a subcommand
    """`pvesm status|list STORAGE|path VOLUME|set STORAGE --content TYPES|apiinfo`."""
    call.need_root("please run as root.")
    words = call.argv[1:]
    api = nodes.cluster().api
    token = current_node.set(call.host.name)
    try:
        if words[:1] == ["apiinfo"]:
            call.out("APIVER 12\nAPIAGE 3")
            return 0
        if words[:1] == ["status"]:
            call.out("Name             Type     Status           Total            Used       Available        %")
            wanted = nodes.options_of(words[1:]).get("content")
            for name, store in sorted(api.storages.items()):
                if wanted is not None and wanted not in store["content"].split(","):
                    continue
                total, used, avail = api._space(store)
                call.out(f"{name} {store['type']} active {total // 1024} {used // 1024} {avail // 1024} 0.00%")
            return 0
        if words[:1] == ["set"] and len(words) > 1:
            if words[1] not in api.storages:
                raise Refused(f"update storage failed: storage '{words[1]}' does not exist", 255)
            content = nodes.options_of(words[2:]).get("content")
            if content is not None:
                nodes.cluster().take(words[1], content)
            return 0
        if words[:1] == ["path"] and len(words) > 1:
            storage, _, name = words[1].partition(":")
            if storage not in api.storages:
                raise Refused(f"storage '{storage}' does not exist", 255)
            content, _, file = name.partition("/")
            if content in CONTENT_DIRECTORIES:
                call.out(f"/var/lib/vz/{CONTENT_DIRECTORIES[content]}/{file}")
            else:
                call.out(api._volume_path(storage, name, "images"))
            return 0
        if words[:1] == ["list"] and len(words) > 1:
            api._sync_files(call.host.name)
            call.out("Volid Format Type Size VMID")
            for name, volume in sorted(api._volumes(words[1]).items()):
                call.out(
                    f"{words[1]}:{name} {volume.get('format')} {volume['content']} {volume['size']} {volume.get('vmid', '')}"
                )
            return 0
    finally:
        current_node.reset(token)
    raise Refused(f"ERROR: unknown command 'pvesm {' '.join(words)}'", 255)


async def pvesh(call: Call) -> int:  # noqa: PLR0912 - one branch a path
    """`pvesh get PATH [--output-format json]` for /version, /nodes, /cluster/resources, /storage/NAME, /nodes/NODE/{qemu,lxc},
    /nodes/NODE/lxc/VMID/interfaces, /nodes/NODE/storage/STORAGE/content and /nodes/NODE/network/BRIDGE, which `pvesh set` makes
    VLAN aware.
    """
    call.need_root("please run as root.")
    network = re.fullmatch(r"/nodes/([^/]+)/network(?:/([^/]+))?", call.argv[2] if len(call.argv) > 2 else "")
    if call.argv[1:2] == ["set"] and network:
        return _set_bridge(call, network[1], network[2] or "", nodes.options_of(call.argv[3:]))
    words = [word for word in call.argv[1:] if not word.startswith("--") and word not in ("json", "json-pretty", "text")]
    if words[:1] != ["get"] or len(words) < 2:
        raise Refused("pvesh: only `get` is simulated", 255)
    api = nodes.cluster().api
    path = words[1].rstrip("/")
    found: Any
    if path == "/version":
        found = {"version": api.version, "release": api.release_version}
    elif path == "/nodes":
        found = [{"node": n, "status": "online" if s.get("online", True) else "offline"} for n, s in api.nodes.items()]
    elif path == "/cluster/resources":
        found = [{"vmid": g.vmid, "name": g.name, "node": g.node, "status": g.status} for g in [*api.vms, *api.cts]]
    elif match := re.fullmatch(r"/nodes/([^/]+)/storage/([^/]+)/content", path):
        found = await _content(call, match[1], match[2], nodes.options_of([word for word in call.argv[3:] if word]))
    elif path.startswith("/storage/"):
        store = api.stores_of(call.host.name).get(path.removeprefix("/storage/"))
        if store is None:
            raise Refused(f"storage '{path.removeprefix('/storage/')}' does not exist", 255)
        found = {"storage": path.removeprefix("/storage/"), "type": store["type"], "content": store["content"]}
    elif network and network[2]:
        if not network[2].startswith("vmbr"):
            raise Refused("interface does not exist", 255)
        aware = int((network[1], network[2]) in nodes.cluster().vlan_aware)
        found = {"type": "bridge", "bridge_ports": "eno1", "autostart": 1, "bridge_vlan_aware": aware, "method": "manual"}
    elif match := re.fullmatch(r"/nodes/([^/]+)/(qemu|lxc)", path):
        guests = api.vms if match[2] == "qemu" else api.cts
        found = [{"vmid": g.vmid, "name": g.name, "status": g.status} for g in guests if g.node == match[1]]
    elif match := re.fullmatch(r"/nodes/([^/]+)/lxc/(\d+)/interfaces", path):
        nodes.guest_of(call, match[2], FakeCt)
        found = await api._lxc_interfaces("root@pam", {"node": match[1], "vmid": int(match[2])})
    else:
        raise Refused(f"No 'get' handler defined for '{path}'", 255)
    call.out(json.dumps(found))
    return 0


async def _content(call: Call, node: str, storage: str, options: dict[str, str]) -> Any:
    """What a storage has, of one content type and one guest where that is asked for."""
    api = nodes.cluster().api
    vmid = {"vmid": int(options["vmid"])} if "vmid" in options else {}
    token = current_node.set(node)
    try:
        api._sync_files(node)
        return await api._content_list({"node": node, "storage": storage, "content": options.get("content"), **vmid}, "root@pam")
    except PveError as error:
        raise Refused(error.message, 255) from error
    finally:
        current_node.reset(token)


def _set_bridge(call: Call, node: str, bridge: str, options: dict[str, str]) -> int:
    """Of an interface, or (without one) the reload that makes it hold."""
    if bridge and "type" not in options:
        raise Refused("400 not enough arguments\ntype: property is missing and it is not optional", 255)
    if bridge and options.get("bridge_vlan_aware") == "1":
        nodes.cluster().vlan_aware.add((node, bridge))
    return 0


async def pveversion(call: Call) -> int:
    """The version line."""
    call.out(f"pve-manager/{nodes.cluster().api.version}/simulated (running kernel: 6.14.11-2-pve)")
    return 0


async def nproc(call: Call) -> int:
    """In a guest: the cores that it was started with."""
    guest = next(
        (guest for guest in [*nodes.cluster().api.vms, *nodes.cluster().api.cts] if nodes.host_of(guest) is call.host), None
    )
    call.out(str(guest.config.get("cores", 1) if guest is not None else os.cpu_count()))
    return 0
