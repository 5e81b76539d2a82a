"""qm, pct, pvesm, pvesh, pveversion, vzdump and qmrestore on a simulated Proxmox node.

Imitates those of Proxmox VE 9 (https://pve.proxmox.com/pve-docs/): as there, most subcommands are a call of the API, which
refuses what it refuses to everybody; what a guest is asked goes into its host. Refused besides: a guest of another node,
`pct exec` and `pct push` into a stopped container, `qm guest exec` without an agent, a backup of a locked guest or on a storage
that takes none.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from typing import Any

from fakepve import FakeCt, FakeVm

from aether_sim.fakes.host.simlib import options
from aether_sim.fakes.served import nodes
from aether_sim.hosts import process as proc
from aether_sim.hosts.agent import Refused
from aether_sim.hosts.host import Call, Host
from aether_sim.pve import archives
from aether_sim.pve.guests import interfaces
from aether_sim.pve.pending import effective
from aether_sim.pve.storage import CONTENT_DIRECTORIES, current_node

# Subcommand -> method, path below the guest's, and the parameters that its words are.
_CALLS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    **{verb: ("POST", f"/status/{verb}", ()) for verb in ("start", "stop", "shutdown", "reboot", "reset")},
    "set": ("PUT", "/config", ()),
    "destroy": ("DELETE", "", ()),
    "resize": ("PUT", "/resize", ("disk", "size")),
    "disk resize": ("PUT", "/resize", ("disk", "size")),
    "migrate": ("POST", "/migrate", ("target",)),
    "snapshot": ("POST", "/snapshot", ("snapname",)),
    "delsnapshot": ("DELETE", "/snapshot/{snapname}", ("snapname",)),
}
# What has to run for them, in PVE's words.
_INSIDE = {
    "exec": "container '{}' not running!",
    "push": "can only push files to a running CT",
    "pull": "can only pull files from a running VM",
}
_METHODS = {"get": "GET", "set": "PUT", "create": "POST", "delete": "DELETE"}
# Commands of guests that go on after their `qm guest exec` is over.
_commands: set[asyncio.Task[tuple[bytes, bytes]]] = set()


async def guest_tool(call: Call) -> int:  # noqa: PLR0912 - one branch a subcommand
    """`qm …` and `pct …`."""
    call.need_root("please run as root.")
    kind, words = (FakeVm if call.argv[0] == "qm" else FakeCt), call.argv[1:]
    verb = words.pop(0) if words else ""
    if verb in ("guest", "disk") and words:
        verb = f"{verb} {words.pop(0)}"
    if not words:
        raise Refused("400 not enough arguments", 255)
    if verb == "restore" and kind is FakeCt:
        return await _restore(call, words)
    guest = nodes.guest_of(call, words.pop(0), kind)
    if verb in _CALLS:
        return await _call(call, guest, verb, words)
    match verb:
        case "status":
            call.out(f"status: {guest.status}")
        case "config":
            # As it will be: with what waits for the next start, unless --current.
            pending = {} if nodes.options_of(words).get("current") == "1" else guest.pending
            for key, value in sorted(effective(guest.config, pending).items()):
                call.out(f"{key}: {value}")
        case "pending":
            for key in sorted({*guest.config, *guest.pending}):
                if key in guest.config:
                    call.out(f"cur {key}: {guest.config[key]}")
                if key in guest.pending:
                    call.out(f"del {key}" if guest.pending[key] is None else f"new {key}: {guest.pending[key]}")
        case "listsnapshot":
            for name in [*guest.snapshots, "current"]:
                call.out(f"`-> {name}")
        case "unlock":
            nodes.cluster().api.unlock(guest.vmid)
        case "guest cmd" if kind is FakeVm:
            return _guest_cmd(call, guest, words)
        case "guest exec" if kind is FakeVm:
            return await _guest_exec(call, guest, words)
        case "exec" | "push" | "pull" if kind is FakeCt:
            return await _into_container(call, guest, verb, words)
        case _:
            raise Refused(f"ERROR: unknown command '{call.argv[0]} {verb}'", 255)
    return 0


async def _call(call: Call, guest: Any, verb: str, words: list[str]) -> int:
    method, path, names = _CALLS[verb]
    if len(words) < len(names):
        raise Refused("400 not enough arguments", 255)
    values = dict(zip(names, words, strict=False))
    given = nodes.options_of(words[len(names) :])
    kind = "qemu" if isinstance(guest, FakeVm) else "lxc"
    parameters = {} if "{" in path else values
    await nodes.ask(call, method, f"/nodes/{call.host.name}/{kind}/{guest.vmid}{path.format(**values)}", {**parameters, **given})
    if verb == "set" and kind == "qemu":
        call.out(" ".join([f"update VM {guest.vmid}:", *(f"-{key} {value}" for key, value in given.items())]))
    if verb not in ("set", "resize", "disk resize", "snapshot", "delsnapshot"):
        await nodes.cluster().settle()
    return 0


async def _into_container(call: Call, ct: Any, verb: str, words: list[str]) -> int:
    host = nodes.host_of(ct)
    if ct.status != "running" or host is None or host.state == "down":
        raise Refused(_INSIDE[verb].format(ct.vmid), 255)
    while host.state == "booting":
        await host.changed.wait()
    if verb == "exec":
        words = words[1:] if words[:1] == ["--"] else words
        # As `lxc-attach --keep-env` has it: the node's PATH knows nothing of NixOS.
        return await nodes.inside(call, host, words, {**call.environment(), "container": "lxc"})
    if len(words) < 2:
        raise Refused("400 not enough arguments", 255)
    (source, target), given = words[:2], nodes.options_of(words[2:])
    mode = int(given.get("perms", "0644"), 8)
    # The container's root is where its side is written from; the node's side is where the caller is.
    ours, theirs = (source, target) if verb == "push" else (target, source)
    at_node, at_guest = os.path.join(call.cwd, ours), os.path.join("/", theirs)  # noqa: PTH118 - paths of other roots
    try:
        data = call.host.root.read(at_node) if verb == "push" else host.root.read(at_guest)
    except OSError as error:
        raise Refused(f"failed to open {source} for reading: {error.strerror}", 255) from error
    if verb == "pull":
        call.host.root.write(at_node, data, mode)
        return 0
    if not host.root.is_dir(at_guest.rpartition("/")[0] or "/"):
        raise Refused(f"failed to create file: {target}: No such file or directory", 255)
    user, group = given.get("user", "0"), given.get("group", "0")
    account = proc.find_user(host.root, user)
    if not user.isdigit() and account is None:
        raise Refused(f"failed to get uid for: {user}", 255)
    host.root.write(at_guest, data, mode)
    host.root.chown(
        at_guest, account.uid if account else int(user), int(group) if group.isdigit() else account.gid if account else 0
    )
    return 0


def _agent_host(vm: Any) -> Host:
    host = nodes.host_of(vm)
    if vm.status != "running":
        raise Refused(f"VM {vm.vmid} is not running", 255)
    if not re.match(r"1|.*enabled=1", str(vm.config.get("agent", "0"))):
        raise Refused("No QEMU guest agent configured", 255)
    if host is None or host.state != "up":
        raise Refused("QEMU guest agent is not running", 255)
    return host


def _guest_cmd(call: Call, vm: Any, words: list[str]) -> int:
    _agent_host(vm)
    if words == ["network-get-interfaces"]:
        call.out(_json(interfaces(vm, nodes.cluster().address_of(vm))))
    elif words != ["ping"]:
        raise Refused(
            f"400 Parameter verification failed.\ncommand: value '{' '.join(words)}' does not have a value in the enumeration",
            255,
        )
    return 0


async def _guest_exec(call: Call, vm: Any, words: list[str]) -> int:
    host, (given, words) = _agent_host(vm), options(words, "--timeout --pass-stdin", first=True)
    if not words:
        raise Refused("400 not enough arguments", 255)
    data = b""
    while given.get("--pass-stdin") == ["1"] and (piece := await call.stdin()):
        data += piece
    if len(data) > 1 << 20:
        raise Refused("'input-data' (STDIN) is limited to 1 MiB, aborting", 255)
    child = await nodes.started(host, words)
    ended = asyncio.create_task(child.communicate(data))
    _commands.add(ended)
    ended.add_done_callback(_commands.discard)
    if not (await asyncio.wait({ended}, timeout=int(given.get("--timeout", ["30"])[0]) or None))[0]:
        call.err("timeout reached, returning pid")
        call.out(_json({"pid": child.pid}))
        return 0
    out, err = ended.result()
    code = child.returncode or 0
    if code == 127 and err.startswith(b"/usr/bin/env: "):
        # Of the program that enters the host.
        raise Refused(f"Agent error: Failed to execute child process “{words[0]}” (No such file or directory)", 255)
    answer: dict[str, Any] = {"exited": 1, **({"exitcode": code} if code >= 0 else {"signal": -code})}
    for name, said in (("out", out), ("err", err)):
        if said:
            answer |= {f"{name}-data": said.decode(errors="replace"), f"{name}-truncated": 0}
    call.out(_json(answer))
    return 0


def _json(value: Any) -> str:
    """As Perl's JSON prints it, pretty and canonical."""
    return json.dumps(value, indent=3, sort_keys=True, separators=(",", " : "))


async def vzdump(call: Call) -> int:
    """`vzdump VMID [--mode snapshot|stop] [--storage STORAGE] [--notes-template TEXT] [--compress zstd]`."""
    call.need_root("please run as root.")
    if len(call.argv) < 2:
        raise Refused("400 not enough arguments", 255)
    vmid, given, api = call.argv[1], nodes.options_of(call.argv[2:]), nodes.cluster().api
    guest = api.guest(int(vmid))
    if guest is None or guest.node != call.host.name:
        raise Refused(f"ERROR: unable to find VM '{vmid}'", 255)
    store = api.stores_of(call.host.name).get(given.get("storage", "local"))
    if store is None or "backup" not in store["content"].split(","):
        raise Refused(f"ERROR: storage '{given.get('storage', 'local')}' does not support backups", 255)
    what = "VM" if isinstance(guest, FakeVm) else "CT"
    call.out(f"INFO: starting new backup job: vzdump {' '.join(call.argv[1:])}\nINFO: Starting Backup of VM {vmid}")
    if guest.lock:
        raise Refused(f"ERROR: Backup of VM {vmid} failed - {what} is locked ({guest.lock})", 255)
    at, stopped = time.time(), guest.status == "running" and given.get("mode") == "stop"
    notes = given.get("notes-template", "")
    for key, value in (("guestname", guest.name), ("node", guest.node), ("vmid", vmid), ("cluster", "aether")):
        notes = notes.replace(f"{{{{{key}}}}}", value)
    if stopped:
        await _call(call, guest, "shutdown", [])
    _lock(guest, "backup")
    try:
        path, size = await nodes.cluster().back_up(guest, at, notes)
    finally:
        _lock(guest, None)
    if stopped:
        await _call(call, guest, "start", [])
    call.out(f"INFO: creating vzdump archive '{path}'\nINFO: archive file size: {max(1, size >> 20)}MB")
    call.out(f"INFO: Finished Backup of VM {vmid} ({time.strftime('%H:%M:%S', time.gmtime(time.time() - at))})")
    call.out("INFO: Backup job finished successfully")
    return 0


def _lock(guest: Any, lock: str | None) -> None:
    if isinstance(guest, FakeVm):
        nodes.cluster().api._qm_lock(guest, lock)
    else:
        guest.lock = lock
        if lock is None:
            guest.config.pop("lock", None)


async def qmrestore(call: Call) -> int:
    """`qmrestore ARCHIVE VMID [--storage STORAGE] [--unique 1]`."""
    call.need_root("please run as root.")
    return await _restore(call, [*call.argv[1:3][::-1], *call.argv[3:]])


async def _restore(call: Call, words: list[str]) -> int:
    if len(words) < 2:
        raise Refused("400 not enough arguments", 255)
    vmid, archive = words[:2]
    if archive.startswith(f"{archives.FOLDER}/"):
        archive = f"local:backup/{archive.rpartition('/')[2]}"
    kind, values = ("lxc", {"ostemplate": archive, "restore": "1"}) if call.argv[0] == "pct" else ("qemu", {"archive": archive})
    call.out(f"restoring '{archive}' now..")
    await nodes.ask(call, "POST", f"/nodes/{call.host.name}/{kind}", {**values, "vmid": vmid, **nodes.options_of(words[2:])})
    return 0


async def pvesm(call: Call) -> int:
    """`pvesm status [--content TYPE]|list STORAGE|path VOLUME|set STORAGE --content TYPES`."""
    call.need_root("please run as root.")
    api, (verb, *words) = nodes.cluster().api, call.argv[1:] or [""]
    given = nodes.options_of(words[int(verb != "status") :])
    token = current_node.set(call.host.name)
    try:
        if verb == "status":
            call.out("Name             Type     Status           Total            Used       Available        %")
            for name, store in sorted(api.storages.items()):
                if given.get("content") in (None, *store["content"].split(",")):
                    total, used, avail = api._space(store)
                    call.out(f"{name} {store['type']} active {total // 1024} {used // 1024} {avail // 1024} 0.00%")
        elif verb not in ("set", "list", "path") or not words:
            raise Refused(f"ERROR: unknown command 'pvesm {verb}'", 255)
        elif (storage := words[0].partition(":")[0]) not in api.storages:
            raise Refused(f"storage '{storage}' does not exist", 255)
        elif verb == "path":
            content, _, file = words[0].partition(":")[2].partition("/")
            if content not in CONTENT_DIRECTORIES:
                raise Refused(f"pvesm path {words[0]}: a volume that is no file is not simulated", 255)
            call.out(f"/var/lib/vz/{CONTENT_DIRECTORIES[content]}/{file}")
        elif verb == "set":
            nodes.cluster().take(words[0], given.get("content") or api.storages[words[0]]["content"])
        else:
            api._sync_files(call.host.name)
            call.out("Volid Format Type Size VMID")
            for name, volume in sorted(api._volumes(words[0]).items()):
                facts = (volume.get("format"), volume["content"], volume["size"], volume.get("vmid", ""))
                call.out(" ".join(map(str, (f"{words[0]}:{name}", *facts))))
    finally:
        current_node.reset(token)
    return 0


async def pvesh(call: Call) -> int:
    """`pvesh get|set|create|delete PATH [--KEY VALUE]…`: the API's answer as JSON."""
    call.need_root("please run as root.")
    if len(call.argv) < 3 or call.argv[1] not in _METHODS:
        raise Refused("400 not enough arguments", 255)
    given = nodes.options_of(call.argv[3:])
    given.pop("output-format", None)
    answer = await nodes.ask(call, _METHODS[call.argv[1]], call.argv[2].rstrip("/"), given)
    if call.argv[1] == "get":
        call.out(json.dumps(answer))
    return 0


async def pveversion(call: Call) -> int:
    """The version line."""
    call.out(f"pve-manager/{nodes.cluster().api.version}/simulated (running kernel: 6.14.11-2-pve)")
    return 0
