"""A real sshd (Debian's) on loopback by the settings that a host is evaluated to: who is let in by which certificate.

What is another's there is the place alone: the files of the store, PAM, and the port. Every word about who may come in is
the host's.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import CACHE

# As nix/tools/get-checkers.sh unpacks it.
DEBIAN = CACHE / "checkers/backup/root/usr"
# Files of the store and what this sshd has of its own; without PAM a locked account would be refused, so none is locked.
_OF_THE_PLACE = {"HostKey", "Subsystem", "UsePAM", "PidFile", "TrustedUserCAKeys", "AuthorizedKeysFile", "Banner", "UseDns"}
_START = """
set -e
mount --make-rprivate /
mount --bind -o ro {debian} {root}/usr
for device in null zero urandom; do
  : >{root}/dev/$device
  mount --bind /dev/$device {root}/dev/$device
done
chroot {root} /usr/sbin/sshd -t -f /etc/ssh/sshd_config
exec chroot {root} /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config -p {port}
"""


@dataclass(frozen=True)
class Server:
    """A host's sshd, and what is known of it."""

    folder: Path
    port: int

    def lets_in(self, account: str, key: Path) -> bool:
        """Whether the certificate beside KEY opens ACCOUNT: a command is run there then."""
        options = {
            "CertificateFile": f"{key}-cert.pub", "IdentitiesOnly": "yes", "BatchMode": "yes", "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": self.folder / "known", "GlobalKnownHostsFile": "/dev/null", "Port": self.port,
        }  # fmt: skip
        words = [f"-o{name}={value}" for name, value in options.items()]
        command = ["ssh", "-F", "none", "-i", str(key), *words, f"{account}@127.0.0.1", "echo in"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == "in\n" or "Permission denied" in done.stderr, done.stderr + self.log
        return done.stdout == "in\n"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@contextmanager
def started(folder: Path, host: Mapping[str, Any], authority: str, accounts: list[str]) -> Iterator[Server]:
    """HOST's sshd in FOLDER, which trusts AUTHORITY (a public key), with ACCOUNTS beside root's.

    Args:
        host: ``settings`` and ``extraConfig`` of services.openssh; ``file``, the text of /etc/ssh/aether-deployers, or None.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("sshd changes its user and its root: needs root on Linux")
    if not (DEBIAN / "sbin/sshd").exists():
        pytest.skip("sshd is not there: run nix/tools/get-checkers.sh")
    folder.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host"], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    root = _tree(folder, host, authority, accounts)
    script = _START.format(debian=DEBIAN, root=root, port=port)
    with (folder / "log").open("w") as log:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    server = Server(folder, port)
    try:
        for _ in range(100):
            assert running.poll() is None, server.log
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield server
    finally:
        # Takes everything in its process namespace along.
        running.kill()
        running.wait(10)


def config(host: Mapping[str, Any]) -> str:
    """HOST's sshd_config, as nixpkgs writes it, at this place."""
    lines = [
        f"{name} {_value(value)}" for name, value in host["settings"].items() if value is not None and name not in _OF_THE_PLACE
    ]
    # Who is refused here often is a test.
    own = [
        "ListenAddress 127.0.0.1",
        "UsePAM no",
        "PidFile none",
        "PerSourcePenalties no",
        "TrustedUserCAKeys /etc/ssh/authority.pub",
    ]
    return "\n".join([*own, *lines, host["extraConfig"]])


def _value(value: Any) -> str:
    return (
        {True: "yes", False: "no"}[value]
        if isinstance(value, bool)
        else ",".join(value)
        if isinstance(value, list)
        else str(value)
    )


def _tree(folder: Path, host: Mapping[str, Any], authority: str, accounts: list[str]) -> Path:
    """A small Debian with the host's files."""
    root = folder / "root"
    people = [(name, 1000 + number) for number, name in enumerate(accounts)]
    files = {
        "etc/passwd": "root:x:0:0::/:/sh\nsshd:x:100:65534::/run/sshd:/sbin/nologin\n"
        + "".join(f"{name}:x:{number}:{number}::/:/sh\n" for name, number in people),
        "etc/group": "root:x:0:\nnogroup:x:65534:\n" + "".join(f"{name}:x:{number}:\n" for name, number in people),
        "etc/shadow": "".join(f"{name}:*:20000::::::\n" for name in ("root", "sshd", *accounts)),
        "etc/ssh/sshd_config": config(host),
        "etc/ssh/ssh_host_ed25519_key": (folder / "host").read_text(),
        "etc/ssh/authority.pub": authority,
    }
    if host["file"]:
        files["etc/ssh/aether-deployers"] = host["file"]["text"]
    for name in ("dev", "usr", "run/sshd"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "etc/ssh/ssh_host_ed25519_key").chmod(0o600)
    # The accounts' shell: one that wants no more than a C library.
    shutil.copy(Path("/bin/sh").resolve(), root / "sh")
    return root
