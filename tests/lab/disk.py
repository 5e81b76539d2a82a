"""The disk that the lab's machines start from, built once and kept in the cache by the hash of its recipe."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nix.tools.evaluate import path_literal

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CACHE = (
    Path(os.environ.get("AETHER_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aether") / "lab"
)
NIX = HERE / "nix.sh"
APPLETS = ("sh", "mkdir", "ln", "cp", "sed", "chmod", "cat", "echo")
PROGRAMS = ("qemu-system-x86_64", "qemu-img", "mmdebstrap", "mkfs.vfat", "mcopy", "sfdisk", "mkfs.ext4")


def nix(*arguments: str, cwd: Path | None = None) -> str:
    """The lab's operator's Nix; what it printed.

    Raises:
        AssertionError: with what Nix said.
    """
    done = subprocess.run([str(NIX), *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, f"nix {' '.join(arguments)}\n{done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Base:
    """What is in the cache: the root's parts, and the disk of the image."""

    root: Path
    folder: Path
    program: str = ""
    """SRI hash of nixpkgs' own switch-to-configuration, for systems that have it; the others have the lab's script."""

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"

    @property
    def first_boot(self) -> Path:
        """The disk after its first boot."""
        return self.folder / "first-boot.qcow2"

    @property
    def variables(self) -> Path:
        """The firmware's variables after it."""
        return self.folder / "variables.fd"

    @property
    def state(self) -> Path:
        """Memory and devices of the machine that was booted."""
        return self.folder / "state"

    @property
    def operator_key(self) -> Path:
        """Private SSH key that every machine lets in as root."""
        return self.root / "operator"

    @property
    def host_key(self) -> str:
        """Public SSH host key of a machine that was given none of its own."""
        return " ".join((self.root / "host.pub").read_text().split()[:2])

    @property
    def signing_key(self) -> Path:
        """Nix's secret key whose signatures the machines trust."""
        return self.root / "signing"

    @cached_property
    def parts(self) -> dict[str, str]:
        """SRI hashes of what systems are made of; the parts are in the store."""
        made = dict(json.loads((self.root / "parts.json").read_text()))
        return {**made, "switch-to-configuration": self.program} if self.program else made

    def system(self, **facts: Any) -> str:
        """The drvPath of a system (arguments of ``system/default.nix``)."""
        facts = {"parts": self.parts, "trusted": [(self.root / "signing.pub").read_text()], **facts}
        # A file: in a Nix string `${NAME:-WORD}` of a script would be a URL, and an argument has at most 128 KiB.
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(facts, file)
            file.flush()
            expression = f"(import {path_literal(HERE / 'system')} (builtins.fromJSON (builtins.readFile {file.name}))).drvPath"
            return nix("eval", "--impure", "--raw", "--expr", expression)


def base() -> Base:
    """The newest disk; minutes the first time, nothing afterwards."""
    root = (
        CACHE / f"root-{_hash(HERE / 'image' / 'build.sh', HERE / 'image' / 'packages.txt', *_below('files', 'initramfs-tools'))}"
    )
    made = Base(root, CACHE / f"disk-{_hash(HERE / 'image' / 'disk.sh', *_below('../system'))}-{root.name[-6:]}")
    with alone():
        if not (root / "parts.json").exists():
            _make_root(root)
        if not made.disk.exists():
            _make_disk(made)
    return made


def _make_root(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    _run([str(HERE / "image/build.sh"), str(root)])
    for name in ("operator", "host"):
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(root / name)])
    (root / "signing").touch(mode=0o600)
    (root / "signing").write_text(nix("key", "generate-secret", "--key-name", "lab-1"))
    public = subprocess.run(
        [str(NIX), "key", "convert-secret-to-public"], input=(root / "signing").read_bytes(), capture_output=True, check=True
    ).stdout
    (root / "signing.pub").write_bytes(public)
    parts = root / "parts"
    tools = parts / "tools/bin"
    tools.mkdir(parents=True)
    shutil.move(parts / "busybox", tools / "busybox")
    (tools / "busybox").chmod(0o555)
    for applet in APPLETS:
        (tools / applet).symlink_to("busybox")
    hashes = {}
    for name in ("tools", "kernel", "initrd"):
        nix("store", "add", "--name", name, str(parts / name))
        hashes[name] = nix("hash", "path", "--sri", str(parts / name))
    ssh = root / "root/root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(root / "operator.pub", ssh / "authorized_keys")
    for suffix in ("", ".pub"):
        shutil.copy(root / f"host{suffix}", root / f"root/etc/ssh/ssh_host_ed25519_key{suffix}")
    (root / "parts.json").write_text(json.dumps(hashes))


def _make_disk(made: Base) -> None:
    made.folder.mkdir(parents=True, exist_ok=True)
    system = nix("build", "--no-link", "--print-out-paths", f"{made.system()}^out")
    nix("copy", "--no-check-sigs", "--to", f"local?root={made.root / 'root'}", system)
    _run([str(HERE / "image/disk.sh"), str(made.root / "root"), str(made.root / "parts"), system, str(made.disk)])


def missing(environment: Mapping[str, str] = os.environ) -> str:
    """Why the lab cannot run here; empty where it can."""
    path = environment.get("PATH", "") + ":/usr/sbin:/sbin"
    absent = [program for program in PROGRAMS if not shutil.which(program, path=path)]
    if absent:
        return f"the lab needs {', '.join(absent)}: python3 ops/setup.py --tests"
    return "" if os.geteuid() == 0 else "the lab needs root"


def _below(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (HERE / "image" / folder).resolve().rglob("*") if path.is_file())


def _hash(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@contextmanager
def alone(at: str = "lock") -> Iterator[None]:
    """One process makes what the lock AT is of (default: a disk); the others wait for it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / at).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
