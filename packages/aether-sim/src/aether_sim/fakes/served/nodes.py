"""What the commands of a Proxmox node have in common: their cluster, its guests, its API, and how options are written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fakepve import FakeVm, PveError

from aether_sim.hosts import process as proc
from aether_sim.hosts.agent import Call, Refused
from aether_sim.hosts.host import Host
from aether_sim.pve.service import Proxmox
from aether_sim.pve.storage import current_node

_cluster: Proxmox | None = None


def serve(cluster: Proxmox) -> None:
    """The commands are those of CLUSTER's nodes from now on."""
    global _cluster  # noqa: PLW0603 - one datacentre a process
    _cluster = cluster


def cluster() -> Proxmox:
    """The callers' cluster. Raises Refused in PVE's words."""
    if _cluster is None:
        raise Refused("ipcc_send_rec[1] failed: Connection refused", 255)
    return _cluster


def guest_of(call: Call, vmid: str, kind: Any) -> Any:
    """The guest on this node. Raises Refused in PVE's words."""
    api = cluster().api
    if not vmid.isdigit():
        raise Refused(f"400 Parameter verification failed.\nvmid: type check ('integer') failed - got '{vmid}'", 255)
    guest = api.guest(int(vmid))
    where = "qemu-server" if kind is FakeVm else "lxc"
    if guest is None or not isinstance(guest, kind) or guest.node != call.host.name:
        raise Refused(f"Configuration file 'nodes/{call.host.name}/{where}/{vmid}.conf' does not exist", 2)
    return guest


def host_of(guest: Any) -> Host | None:
    return cluster().guest_hosts.get(guest.vmid)


async def started(
    host: Host, command: list[str], environment: Mapping[str, str] | None = None, user: proc.User | None = None
) -> asyncio.subprocess.Process:
    """A command in a host, as root with a login's environment, unless told."""
    user = user or proc.find_user(host.root, "root")
    assert user is not None
    argv = [*proc.enter_command(host.pid, user, environment or host.environment(user)), *command]
    return await proc.spawn(argv, stdin=asyncio.subprocess.PIPE)


async def inside(
    call: Call,
    host: Host,
    command: list[str],
    environment: Mapping[str, str] | None = None,
    user: proc.User | None = None,
) -> int:
    """Run a command in a host, as root unless told, with the caller's streams; its exit code."""
    child = await started(host, command, environment, user)
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None

    async def feed() -> None:
        assert child.stdin is not None
        try:
            while piece := await call.stdin():
                child.stdin.write(piece)
                await child.stdin.drain()
        except ConnectionError:
            return
        finally:
            child.stdin.close()

    async def pass_on(stream: asyncio.StreamReader, error: bool) -> None:
        while data := await stream.read(65536):
            call.raw(data, error)

    feeding = asyncio.create_task(feed())
    await asyncio.gather(pass_on(child.stdout, False), pass_on(child.stderr, True))
    code = await child.wait()
    feeding.cancel()
    return code


async def run_api(call: Call, action: Any) -> str:
    """Run an API handler for this node; the task's outcome as the command line prints it."""
    token = current_node.set(call.host.name)
    try:
        upid = await action
    except PveError as error:
        fields = "".join(f"\n{key}: {text}" for key, text in (error.errors or {}).items())
        raise Refused(f"{error.message}{fields}", 255) from error
    finally:
        current_node.reset(token)
    record = cluster().api.tasks.get(upid)
    if record and record.get("exitstatus", "OK") != "OK":
        raise Refused(str(record["exitstatus"]), 255)
    return str(upid)


def options_of(words: list[str]) -> dict[str, str]:
    """`--key value`, `-key value` and `--key=value`."""
    found: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            raise Refused(f"400 too many arguments: {word}", 255)
        key, eq, value = word.lstrip("-").partition("=")
        found[key] = value if eq else rest.pop(0) if rest and not rest[0].startswith("--") else "1"
    return found


async def power(call: Call, guest: Any, action: str) -> int:
    api = cluster().api
    if isinstance(guest, FakeVm):
        handler = getattr(api, f"_do_{action}")
        await run_api(call, handler(guest, "root@pam", {}))
    else:
        handler = getattr(api, f"_lxc_{action}")
        await run_api(call, handler("root@pam", {"node": call.host.name, "vmid": guest.vmid}))
    await cluster().settle()
    return 0
