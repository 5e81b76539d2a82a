"""What the commands of a Proxmox node have in common: their cluster and its API, its guests, and how options are written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fakepve import FakeVm, PveError

from aether_sim.hosts import process as proc
from aether_sim.hosts.agent import Refused
from aether_sim.hosts.host import Call, Host
from aether_sim.pve.service import Proxmox

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


def guests() -> list[Any]:
    """Every guest of the cluster."""
    return [*cluster().api.vms, *cluster().api.cts]


def guest_of(call: Call, vmid: str, kind: Any) -> Any:
    """The guest on this node. Raises Refused in PVE's words."""
    if not vmid.isdigit():
        raise Refused(f"400 Parameter verification failed.\nvmid: type check ('integer') failed - got '{vmid}'", 255)
    guest = cluster().api.guest(int(vmid))
    where = "qemu-server" if kind is FakeVm else "lxc"
    if guest is None or not isinstance(guest, kind) or guest.node != call.host.name:
        raise Refused(f"Configuration file 'nodes/{call.host.name}/{where}/{vmid}.conf' does not exist", 2)
    return guest


def host_of(guest: Any) -> Host | None:
    return cluster().guest_hosts.get(guest.vmid)


async def ask(call: Call, method: str, path: str, values: Mapping[str, object]) -> Any:
    """What the cluster's API answers, once its task is over; as Proxmox' commands refuse what it refuses."""
    api = cluster().api
    try:
        answer = await api.ask(call.host.name, method, path, values)
    except PveError as error:
        raise Refused(
            "\n".join([error.message, *(f"{key}: {text}" for key, text in (error.errors or {}).items())]), 255
        ) from error
    task = api.tasks.get(answer) if isinstance(answer, str) else None
    # A task that ends with warnings has done its work.
    if task and not str(task.get("exitstatus", "OK")).startswith(("OK", "WARNINGS")):
        raise Refused(str(task["exitstatus"]), 255)
    return answer


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
    stdin = child.stdin

    async def feed() -> None:
        try:
            while piece := await call.stdin():
                stdin.write(piece)
                await stdin.drain()
        except ConnectionError:
            return
        finally:
            stdin.close()

    async def pass_on(stream: asyncio.StreamReader, error: bool) -> None:
        while data := await stream.read(65536):
            call.raw(data, error)

    feeding = asyncio.create_task(feed())
    await asyncio.gather(pass_on(child.stdout, False), pass_on(child.stderr, True))
    code = await child.wait()
    feeding.cancel()
    return code


def link(call: Call, words: list[str]) -> int:
    """`ip link add NAME type bridge`, `set dev NAME …`, `delete NAME`, `show dev NAME` on a node."""
    bridges, (verb, *rest) = cluster().own_bridges, [word for word in words if word != "dev"] or [""]
    name = rest[0] if rest else ""
    key = (call.host.name, name)
    if call.uid != 0 and verb != "show":
        raise Refused("RTNETLINK answers: Operation not permitted", 2)
    if verb not in ("add", "set", "delete", "show") or not name:
        raise Refused(f'Command "{" ".join(words)}" is unknown, try "ip link help".', 255)
    if verb == "add":
        if len(name) > 15:
            raise Refused(f'Error: argument "{name}" is wrong: "name" not a valid ifname', 255)
        if key in bridges or name.startswith("vmbr"):
            raise Refused("RTNETLINK answers: File exists", 2)
        bridges.add(key)
    elif key not in bridges:
        raise Refused(f'Device "{name}" does not exist.' if verb == "show" else f'Cannot find device "{name}"', 1)
    elif verb == "delete":
        bridges.discard(key)
    elif verb == "show":
        call.out(f"9: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default")
    return 0
