"""A real sshd (Debian's) on loopback, in a small Debian of its own, by the files that a test gives it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.nix.conftest import CACHE
from tests.ports import free_port

# As nix/tools/get-checkers.sh unpacks it.
DEBIAN = CACHE / "checkers/backup/root/usr"
# In mounts of its own, gone with the process: Debian's programs, and what the test wrote.
_START = """
set -e
mount --make-rprivate /
mount --bind -o ro {debian} {root}/usr
for device in null zero urandom; do
  : >{root}/dev/$device
  mount --bind /dev/$device {root}/dev/$device
done
chroot {root} /usr/sbin/sshd -t -f {checked}
exec chroot {root} /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config -p {port}
"""


def needed() -> None:
    """Skip the test where no sshd can be had."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("sshd changes its user and its root: needs root on Linux")
    if not (DEBIAN / "sbin/sshd").exists():
        pytest.skip("sshd is not there: run nix/tools/get-checkers.sh")


def make_keys(folder: Path, *names: str) -> None:
    """An SSH key of each of NAMES in FOLDER."""
    for name in names:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name], check=True)


def small_debian(folder: Path, files: Mapping[str, str], folders: Sequence[str] = ()) -> Path:
    """A root in FOLDER with FILES (text by path) and FOLDERS; its host key is FOLDER's `host`."""
    root = folder / "root"
    for name in ("dev", "usr", "run/sshd", *folders):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    key = "etc/ssh/ssh_host_ed25519_key"
    for name, text in {**files, key: (folder / "host").read_text()}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / key).chmod(0o600)
    return root


@contextmanager
def serving(folder: Path, root: Path, checked: str = "/etc/ssh/sshd_config") -> Iterator[int]:
    """The port of ROOT's sshd, once it listens. FOLDER gets its `log`, and `known` with its key. sshd -t looks at CHECKED."""
    port = free_port()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    script = _START.format(debian=DEBIAN, root=root, checked=checked, port=port)
    with (folder / "log").open("w") as log:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _answers(port, running, folder / "log")
        yield port
    finally:
        # Takes everything in its process namespace along.
        running.kill()
        running.wait(10)


def _answers(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server listens."""
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert running.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())
