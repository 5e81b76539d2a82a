"""A real sshd (Debian's) on loopback by the settings that a host is evaluated to: who is let in by which certificate.

What is another's there is the place alone: the files of the store, PAM, and the port. Every word about who may come in is
the host's.
"""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import sshd

# Files of the store and what this sshd has of its own; without PAM a locked account would be refused, so none is locked.
_OF_THE_PLACE = {"HostKey", "Subsystem", "UsePAM", "PidFile", "TrustedUserCAKeys", "AuthorizedKeysFile", "Banner", "UseDns"}


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
    sshd.needed()
    folder.mkdir()
    sshd.make_keys(folder, "host")
    with sshd.serving(folder, _tree(folder, host, authority, accounts)) as port:
        yield Server(folder, port)


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
    people = [(name, 1000 + number) for number, name in enumerate(accounts)]
    files = {
        "etc/passwd": "root:x:0:0::/:/sh\nsshd:x:100:65534::/run/sshd:/sbin/nologin\n"
        + "".join(f"{name}:x:{number}:{number}::/:/sh\n" for name, number in people),
        "etc/group": "root:x:0:\nnogroup:x:65534:\n" + "".join(f"{name}:x:{number}:\n" for name, number in people),
        "etc/shadow": "".join(f"{name}:*:20000::::::\n" for name in ("root", "sshd", *accounts)),
        "etc/ssh/sshd_config": config(host),
        "etc/ssh/authority.pub": authority,
    }
    if host["file"]:
        files["etc/ssh/aether-deployers"] = host["file"]["text"]
    root = sshd.small_debian(folder, files)
    # The accounts' shell: one that wants no more than a C library.
    shutil.copy(Path("/bin/sh").resolve(), root / "sh")
    return root
