"""Make one host: namespaces, overlay root, then process 1 that holds them. Run as a script by the supervisor.

Reads a JSON specification on stdin, prints `ready PID` when the host stands, and stays until process 1 ends.
Everything dies with the supervisor: each process asks the kernel for SIGKILL when its parent ends, mounts exist
in the private mount namespace alone, so that nothing is left behind by a kill. Imports nothing of the project:
it must start in milliseconds.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
import uuid

libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x20000000
CLONE_NEWNET = 0x40000000
# <linux/sockios.h>, <linux/if.h>
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 1, 0x40
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PROTECTED = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/acpi", "/proc/kcore", "/proc/fs")


def check(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    check(
        libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode() or None),
        f"mount {kind or source} on {target}",
    )


def bind(source: str, target: str, readonly: bool = False, recursive: bool = False) -> None:
    mount(source, target, "", MS_BIND | (MS_REC if recursive else 0))
    if readonly:
        mount("", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID)


def overlay(target: str, lower: list[str], upper: str, work: str) -> None:
    mount("aether", target, "overlay", 0, f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}")


def die_with_parent(parent: int) -> None:
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(1)


def loopback_up() -> None:
    """In a network of its own a host has its address all the same: every loopback address is its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING))


def build_root(spec: dict) -> None:  # type: ignore[type-arg]
    root = spec["root"]
    overlay(root, spec["lower"], spec["upper"], spec["work"])
    overlay(f"{root}/usr", spec["usr_lower"], spec["usr_upper"], spec["usr_work"])
    for name in ("proc", "sys", "dev", "run", "tmp"):
        os.makedirs(f"{root}/{name}", exist_ok=True)
    mount("tmpfs", f"{root}/dev", "tmpfs", MS_NOSUID, "mode=755,size=1m")
    for name in DEVICES:
        os.close(os.open(f"{root}/dev/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        bind(f"/dev/{name}", f"{root}/dev/{name}")
    for name in ("pts", "shm"):
        os.mkdir(f"{root}/dev/{name}")
    mount("devpts", f"{root}/dev/pts", "devpts", MS_NOSUID, "newinstance,ptmxmode=0666,mode=620")
    mount("tmpfs", f"{root}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m")
    os.symlink("pts/ptmx", f"{root}/dev/ptmx")
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target if name == "fd" else f"/proc/self/{target}", f"{root}/dev/{name}")
    mount("tmpfs", f"{root}/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=256m")
    mount("tmpfs", f"{root}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=256m")
    for name in ("lock", "user", "systemd/system", "aether-sim"):
        os.makedirs(f"{root}/run/{name}", exist_ok=True)
    bind(spec["agent"], f"{root}/run/aether-sim")
    for source, target in spec["binds"]:
        os.makedirs(root + target, exist_ok=True)
        bind(source, root + target, readonly=True, recursive=True)
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV)
    bind("/sys", f"{root}/sys", readonly=True)
    if spec["usr_readonly"]:
        mount("", f"{root}/usr", "", MS_BIND | MS_REMOUNT | MS_RDONLY)


def enter_root(root: str) -> None:
    os.chdir(root)
    number = SYS_PIVOT_ROOT[os.uname().machine]
    check(libc.syscall(number, b".", b"."), "pivot_root")
    check(libc.umount2(b".", MNT_DETACH), "detach the machine's root")
    os.chdir("/")
    for path in PROTECTED:
        if os.path.exists(path):
            bind(path, path, readonly=True)
    # Every boot has an id of its own, which is how operators see that a reboot happened.
    with open("/run/boot-id", "w") as handle:
        handle.write(f"{uuid.uuid4()}\n")
    bind("/run/boot-id", "/proc/sys/kernel/random/boot_id")


def first_process(spec: dict, ready: int) -> None:  # type: ignore[type-arg]
    """Process 1 of the host: build the root, then sleep for ever; children it inherits are reaped by the kernel."""
    try:
        die_with_parent(0)
        mount("none", "/", "", MS_REC | MS_PRIVATE)
        os.umask(0o022)
        check(libc.sethostname(spec["hostname"].encode(), len(spec["hostname"].encode())), "sethostname")
        build_root(spec)
        enter_root(spec["root"])
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        null = os.open("/dev/null", os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(null, target)
        os.setsid()
        # The comm of process 1 is how Ansible and others tell the service manager.
        os.execve(spec["init"], ["sleep", "2147483647"], {"PATH": "/usr/bin"})
    except OSError as error:
        os.write(ready, str(error).encode())
        os._exit(1)


def main() -> int:
    spec = json.loads(sys.stdin.buffer.read())
    die_with_parent(spec["parent"])
    flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID
    check(libc.unshare(flags | (CLONE_NEWNET if spec["isolated"] else 0)), "unshare")
    if spec["isolated"]:
        loopback_up()
    reader, writer = os.pipe()
    os.set_inheritable(writer, False)
    child = os.fork()
    if child == 0:
        os.close(reader)
        first_process(spec, writer)
    os.close(writer)
    failure = os.read(reader, 4096)
    if failure:
        print(f"failed {failure.decode()}", flush=True)
        return 1
    print(f"ready {child}", flush=True)
    os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
