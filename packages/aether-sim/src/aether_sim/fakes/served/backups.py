"""vzdump, qmrestore and `pct restore` on a simulated Proxmox node, and bridges that are made by hand.

Imitates vzdump(1), qmrestore(1) and pct(1) of Proxmox VE 9 (https://pve.proxmox.com/pve-docs/) on directory storages; ip-link(8).
Refuses what they refuse: a guest of another node or one that is locked, a VMID that is taken, an archive that is not there or
another kind's, a storage that does not take what is restored or has no room.
"""

from __future__ import annotations

import time
from typing import Any

from fakepve import FakeVm

from aether_sim.fakes.served import nodes
from aether_sim.hosts.agent import Call, Refused
from aether_sim.pve import archives
from aether_sim.pve.storage import current_node


async def vzdump(call: Call) -> int:
    """`vzdump VMID [--mode snapshot|suspend|stop] [--storage STORAGE] [--notes-template TEXT] [--compress zstd]`."""
    call.need_root("please run as root.")
    if len(call.argv) < 2:
        raise Refused("400 not enough arguments", 255)
    vmid, options = call.argv[1], nodes.options_of(call.argv[2:])
    cluster = nodes.cluster()
    guest = cluster.api.guest(int(vmid))
    if guest is None or guest.node != call.host.name:
        raise Refused(f"ERROR: unable to find VM '{vmid}'", 255)
    _check_storage(cluster.api, call.host.name, options.get("storage", "local"))
    machine = isinstance(guest, FakeVm)
    call.out(f"INFO: starting new backup job: vzdump {' '.join(call.argv[1:])}")
    call.out(f"INFO: Starting Backup of VM {vmid} ({'qemu' if machine else 'lxc'})")
    if guest.lock:
        raise Refused(f"ERROR: Backup of VM {vmid} failed - {'VM' if machine else 'CT'} is locked ({guest.lock})", 255)
    running = guest.status == "running"
    call.out(f"INFO: status = {guest.status}\nINFO: {'VM' if machine else 'CT'} Name: {guest.name}")
    at = time.time()
    if running and options.get("mode") == "stop":
        await nodes.power(call, guest, "shutdown")
    _lock(cluster.api, guest, "backup")
    try:
        path, size = await cluster.back_up(guest, at, _notes(options.get("notes-template", ""), guest))
    finally:
        _lock(cluster.api, guest, None)
    if running and options.get("mode") == "stop":
        await nodes.power(call, guest, "start")
    call.out(f"INFO: creating vzdump archive '{path}'\nINFO: archive file size: {max(1, size >> 20)}MB")
    call.out(f"INFO: Finished Backup of VM {vmid} ({time.strftime('%H:%M:%S', time.gmtime(time.time() - at))})")
    call.out("INFO: Backup job finished successfully")
    return 0


def _check_storage(api: Any, node: str, storage: str) -> None:
    token = current_node.set(node)
    try:
        store = api.storages.get(storage)
    finally:
        current_node.reset(token)
    if store is None or "backup" not in store["content"].split(","):
        raise Refused(f"ERROR: storage '{storage}' does not support backups", 255)


def _lock(api: Any, guest: Any, lock: str | None) -> None:
    if isinstance(guest, FakeVm):
        api._qm_lock(guest, lock)
    else:
        guest.lock = lock
        if lock is None:
            guest.config.pop("lock", None)


def _notes(template: str, guest: Any) -> str:
    for key, value in (("guestname", guest.name), ("node", guest.node), ("vmid", str(guest.vmid)), ("cluster", "aether")):
        template = template.replace(f"{{{{{key}}}}}", value)
    return template


async def qmrestore(call: Call) -> int:
    """`qmrestore ARCHIVE VMID [--storage STORAGE] [--unique 1]`."""
    return await _restore(call, call.argv[1:3][::-1], call.argv[3:])


async def pct_restore(call: Call, words: list[str]) -> int:
    """`pct restore VMID ARCHIVE [--storage STORAGE] [--unique 1]`."""
    return await _restore(call, words[:2], words[2:])


async def _restore(call: Call, names: list[str], rest: list[str]) -> int:
    call.need_root("please run as root.")
    if len(names) < 2:
        raise Refused("400 not enough arguments", 255)
    vmid, archive = names
    if not vmid.isdigit():
        raise Refused(f"400 Parameter verification failed.\nvmid: type check ('integer') failed - got '{vmid}'", 255)
    options = nodes.options_of(rest)
    if unknown := set(options) - {"storage", "unique"}:
        raise Refused(f"Unknown option: {sorted(unknown)[0]}\n400 unable to parse option", 255)
    if archive.startswith(f"{archives.FOLDER}/"):
        archive = f"local:backup/{archive.rpartition('/')[2]}"
    api, values = nodes.cluster().api, {"node": call.host.name, "vmid": int(vmid), **options}
    path = f"{archives.FOLDER}/{archive.rpartition('/')[2]}"
    if call.argv[0] == "pct":
        call.out(f"recovering backed-up configuration from '{archive}'")
        await nodes.run_api(call, api._lxc_create("root@pam", {**values, "ostemplate": archive, "restore": 1}))
        call.out(f"restoring '{archive}' now..\nextracting archive '{path}'\nmerging backed-up and given configuration..")
    else:
        call.out(f"restore vma archive: zstd -q -d -c {path} | vma extract -v -r /var/tmp/vzdumptmp.fifo - /var/tmp/vzdumptmp")
        await nodes.run_api(call, api._qm_create({**values, "archive": archive}, "root@pam"))
        call.out("progress 100% (duration 0 sec)\nrescan volumes...")
    return 0


def link(call: Call, words: list[str]) -> int:
    """`ip link add NAME type bridge`, `set dev NAME …`, `delete NAME`, `show dev NAME` on a node."""
    bridges, node = nodes.cluster().own_bridges, call.host.name
    if call.uid != 0 and words[:1] != ["show"]:
        raise Refused("RTNETLINK answers: Operation not permitted", 2)
    match words:
        case ["add", name, "type", "bridge"] | ["add", "name", name, "type", "bridge"]:
            if len(name) > 15:
                raise Refused(f'Error: argument "{name}" is wrong: "name" not a valid ifname', 255)
            if (node, name) in bridges or name.startswith("vmbr"):
                raise Refused("RTNETLINK answers: File exists", 2)
            bridges.add((node, name))
        case ["set", "dev", name, *_] if (node, name) in bridges:
            pass
        case ["delete" | "del", name] | ["delete" | "del", "dev", name] if (node, name) in bridges:
            bridges.discard((node, name))
        case ["show", "dev", name] if (node, name) in bridges:
            call.out(f"9: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default")
        case ["set", "dev", name, *_] | ["delete" | "del", name] | ["delete" | "del", "dev", name]:
            raise Refused(f'Cannot find device "{name}"', 1)
        case ["show", "dev", name]:
            raise Refused(f'Device "{name}" does not exist.', 1)
        case _:
            raise Refused(f'Command "{" ".join(words)}" is unknown, try "ip link help".', 255)
    return 0
