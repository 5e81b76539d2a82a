"""A network and cgroups of their own for containers with a real systemd (systemd-nspawn). Needs root, for the namespaces."""

import os
import secrets
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# The hierarchies of the machine may be those of version 1, which systemd no longer takes. What nspawn notes of its containers is
# not for the machine, nor for another run.
_PREPARE = """
mount --make-rprivate /
umount --recursive --lazy /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
ip link set lo up
ip link add "$0" type bridge
[ -z "$1" ] || ip address add "$1" dev "$0"
ip link set "$0" up
echo ready
exec cat
"""


# A control group of its own for a container: those that are started in the same one would share what is below it, and a systemd
# ends everything in the groups of its units, also what is another container's.
_GROUPED = 'mkdir "$0" && echo $$ >"$0/cgroup.procs" && exec "$@"'


class Ground:
    """What containers stand on: a mount namespace, and a network whose bridge has ADDRESS (with prefix length), if any."""

    def __init__(self, bridge: str, address: str = "") -> None:
        self.bridge, self.address = bridge, address

    def __enter__(self) -> "Ground":
        command = ["unshare", "--mount", "--net", "sh", "-ec", _PREPARE, self.bridge, self.address]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n", "no network and no cgroups of its own could be made"
        return self

    def __exit__(self, *_: object) -> None:
        groups = f"find /sys/fs/cgroup/aether-{self._holder.pid}-* -depth -type d -exec rmdir {{}} + 2>/dev/null || true"
        subprocess.run([*self.inside, "sh", "-c", groups], check=False)
        self._holder.kill()
        self._holder.wait()

    @property
    def network(self) -> list[str]:
        """Command that runs the next one in the network alone."""
        return ["nsenter", "--target", str(self._holder.pid), "--net", "--"]

    @property
    def inside(self) -> list[str]:
        """Command that runs the next one in the network, and sees what is mounted there."""
        return ["nsenter", "--target", str(self._holder.pid), "--mount", "--net", "--"]

    @property
    def mounted(self) -> Path:
        """The root directory with what is mounted there, as the machine can read it."""
        return Path(f"/proc/{self._holder.pid}/root")

    def overlay(self, merged: Path, layers: Sequence[Path], own: Path, scratch: Path) -> None:
        """Mount LAYERS (the upper first), which stay as they are, with OWN over them at MERGED."""
        options = f"lowerdir={':'.join(map(str, layers))},upperdir={own},workdir={scratch}"
        subprocess.run([*self.inside, "mount", "-t", "overlay", "overlay", "-o", options, merged], check=True)

    def _group(self, name: str) -> str:
        """A control group that nothing else has: the machine's hierarchy is everybody's."""
        return f"/sys/fs/cgroup/aether-{self._holder.pid}-{name}-{secrets.token_hex(4)}"

    def start(
        self, unpacked: Path, root: Path, name: str, log: Path, *options: str, nested: bool = False
    ) -> "subprocess.Popen[bytes]":
        """Start a container by the nspawn that unpack-debian.sh left in UNPACKED; a NESTED one may have containers of its own."""
        nspawn = [str(unpacked / "run"), "usr/bin/systemd-nspawn", "--register=no", "--keep-unit", "--quiet"]
        common = ["--console=pipe", "--link-journal=no", "--resolv-conf=off", "--timezone=off"]
        where = [f"--directory={root}", f"--machine={name}", f"--network-bridge={self.bridge}"]
        with log.open("wb") as console:
            return subprocess.Popen(
                [*self.inside, "sh", "-c", _GROUPED, self._group(name), *nspawn, *common, *where, *options],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes" if nested else "no"},
            )


def leader(nspawn: int) -> int | None:
    """The systemd of a container, by the pid of its nspawn and as the machine numbers it; None where there is none (yet)."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
            # While it is made, its first process is nspawn's own.
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
    return None


def entering(pid: int) -> list[str]:
    """Command that runs the next one in the container whose first process is PID."""
    return ["nsenter", "--target", str(pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"]


def end(nspawn: "subprocess.Popen[bytes]", seconds: float = 20) -> None:
    """Shut a container down in order; kill it where that takes too long."""
    first = leader(nspawn.pid)
    nspawn.send_signal(signal.SIGTERM)
    try:
        nspawn.wait(seconds)
    except subprocess.TimeoutExpired:
        # The end of nspawn alone would leave the container behind, for good.
        if first is not None:
            with suppress(ProcessLookupError):
                os.kill(first, signal.SIGKILL)
        nspawn.kill()
        nspawn.wait()


def hint() -> str:
    """Why a systemd may not start: its kernel gives each user so many inotify instances, of which it takes five."""
    limit = Path("/proc/sys/fs/inotify/max_user_instances").read_text().strip()
    return f"A container that ends at once: has it inotify instances left? sysctl fs.inotify.max_user_instances is {limit}"
