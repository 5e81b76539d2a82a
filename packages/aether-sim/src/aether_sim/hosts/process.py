"""Start processes inside a host: its namespaces, a bounded set of capabilities, a clean environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aether_sim.hosts.inroot import HostRoot

# What root in an unprivileged container may do, less what could reach the machine (no mounts, no devices, no network
# settings, no modules, no clock).
CAPABILITIES = "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,sys_chroot,setfcap,audit_write"
_BOUNDING = "-all," + ",".join(f"+{name}" for name in CAPABILITIES.split(","))


@dataclass(frozen=True)
class User:
    """A line of the host's passwd."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


def find_user(root: HostRoot, name: str) -> User | None:
    """Look a user up in the host's own passwd."""
    for line in root.read_text("/etc/passwd", "").splitlines():
        fields = line.split(":")
        if len(fields) == 7 and fields[0] == name and fields[2].isdigit() and fields[3].isdigit():
            return User(name, int(fields[2]), int(fields[3]), fields[5] or "/", fields[6] or "/bin/sh")
    return None


def enter_command(pid: int, user: User, environment: Mapping[str, str], tty: bool = False) -> list[str]:
    """The command line that runs the command appended to it inside the host whose process 1 is `pid`."""
    argv = ["/usr/bin/nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root"]
    argv += ["--wdns=/", "--", "/usr/bin/setpriv", f"--bounding-set={_BOUNDING}"]
    if user.uid != 0:
        argv += [f"--reuid={user.uid}", f"--regid={user.gid}", "--init-groups"]
    argv += ["--"]
    if tty:
        argv += ["/usr/bin/setsid", "--ctty"]
    argv += ["/usr/bin/env", "-i"]
    return argv + [f"{key}={value}" for key, value in environment.items()]


def login_environment(user: User, path: str) -> dict[str, str]:
    """What a login gives a user."""
    return {
        "USER": user.name,
        "LOGNAME": user.name,
        "HOME": user.home,
        "SHELL": user.shell,
        "PATH": path,
        "LANG": "C.UTF-8",
    }


async def spawn(
    argv: Sequence[str],
    *,
    stdin: int | None = asyncio.subprocess.DEVNULL,
    stdout: int | None = asyncio.subprocess.PIPE,
    stderr: int | None = asyncio.subprocess.PIPE,
) -> asyncio.subprocess.Process:
    """Start a process that inherits nothing but its three streams."""
    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        env={"PATH": os.defpath},
        limit=1 << 20,
    )
