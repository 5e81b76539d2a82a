"""Keys of the simulated datacentre, made at first start: operator, age, SSH host keys, and the sops files with them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aether_sim.hosts.firstboot import public_line, random_host_key
from aether_sim.paths import SimPaths, write_atomic
from inventory.generate import new_signing_key, public_half


class KeysError(Exception):
    """A key or secrets file could not be made; the message says what to do."""


class Keys:
    """The key files below `.aether/sim/keys`; what exists is never made again."""

    def __init__(self, paths: SimPaths) -> None:
        self.paths = paths
        self.directory = paths.keys
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory.chmod(0o700)

    @property
    def operator(self) -> Path:
        """The SSH private key that deploys use."""
        return self.directory / "operator"

    @property
    def age(self) -> Path:
        """The age identity that sops decrypts with."""
        return self.directory / "age.txt"

    def operator_public(self) -> str:
        """The operator's public line; the key is made when missing."""
        if not self.operator.exists():
            write_atomic(self.operator, random_host_key().encode())
        public = self.operator.with_name("operator.pub")
        if not public.exists():
            write_atomic(public, (public_line(self.operator.read_text(), "operator@aether-sim") + "\n").encode(), 0o644)
        return public.read_text().strip()

    def host(self, name: str) -> str:
        """A host's private SSH key (OpenSSH PEM)."""
        path = self.directory / "hosts" / name
        if not path.exists():
            write_atomic(path, random_host_key().encode())
        return path.read_text()

    def keep(self, name: str, installed: Path) -> None:
        """Take the key that a host INSTALLED by itself, before the inventory had it, for its own."""
        path = self.directory / "hosts" / name
        if installed.exists() and not path.exists():
            write_atomic(path, installed.read_bytes())

    def host_public(self, name: str) -> str:
        """A host's public SSH key line, without a comment."""
        private = self.host(name)
        path = self.directory / "hosts" / f"{name}.pub"
        if not path.exists():
            write_atomic(path, (public_line(private) + "\n").encode(), 0o644)
        return path.read_text().strip()

    def tool(self, name: str) -> str:
        """A tool of the engine's build, or of PATH. Raises KeysError."""
        built = self.paths.engine_bin / name
        found = str(built) if os.access(built, os.X_OK) else shutil.which(name)
        if found is None:
            raise KeysError(f"{name} is not in {self.paths.engine_bin} or on PATH; run `make setup`, then start again")
        return found

    def age_recipient(self) -> str:
        """The recipient of the simulator's age key, made by the real age-keygen when missing. Raises KeysError."""
        if not self.age.exists():
            made = _run([self.tool("age-keygen")], self.directory)
            write_atomic(self.age, made.encode())
        for line in self.age.read_text().splitlines():
            if line.startswith("# public key: "):
                return line.removeprefix("# public key: ").strip()
        raise KeysError(f"{self.age} holds no public key; delete it and start again")

    def pair(self, kind: str, name: str, make: Callable[[], tuple[str, str]]) -> tuple[str, str]:
        """A host's certificate and private key for one purpose (PEM), which MAKE makes the first time."""
        certificate, key = (self.directory / kind / f"{name}.{half}" for half in ("cert", "key"))
        if not certificate.exists():
            made = make()
            # The certificate last: it says that both are there.
            write_atomic(key, made[1].encode())
            write_atomic(certificate, made[0].encode(), 0o644)
        return certificate.read_text(), key.read_text()

    def write_secrets(self, names: Iterable[str], extra: Mapping[str, Mapping[str, str]] | None = None) -> int:
        """Make the missing or outdated sops files of hosts; how many were written. Raises KeysError."""
        recipient = self.age_recipient()
        sops = self.tool("sops")
        wanted = []
        for name in names:
            values = {
                "ssh_host_ed25519_key": self.host(name),
                "ssh_host_ed25519_key.pub": self.host_public(name),
                **((extra or {}).get(name, {})),
            }
            path = self.paths.secrets / "hosts" / f"{name}.yaml"
            stamp = self.directory / "stamps" / name
            mark = hashlib.sha256(json.dumps([recipient, values]).encode()).hexdigest()
            if not path.exists() or not stamp.exists() or stamp.read_text() != mark:
                wanted.append((path, stamp, mark, values))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda item: self._encrypt(sops, recipient, *item), wanted))
        return len(wanted)

    @property
    def signing_public(self) -> str:
        """Public half of the fleet's signing key, as nix.conf names it."""
        return public_half("nix-key", self._signing())

    def _signing(self) -> str:
        path = self.directory / "nix-signing"
        if not path.exists():
            write_atomic(path, new_signing_key().encode())
        return path.read_text()

    def write_signing(self) -> None:
        """The sops file with the key that signs what hosts are sent. Raises KeysError."""
        self.write_secret_file("fleet.yaml", {"nix-signing-key": self._signing()})

    def write_secret_file(self, file: str, values: Mapping[str, str]) -> None:
        """Make one sops file that is no host's, if it is missing or outdated. Raises KeysError."""
        path, stamp = self.paths.secrets / file, self.directory / "stamps" / file
        recipient = self.age_recipient()
        mark = hashlib.sha256(json.dumps([recipient, dict(values)]).encode()).hexdigest()
        if not path.exists() or not stamp.exists() or stamp.read_text() != mark:
            self._encrypt(self.tool("sops"), recipient, path, stamp, mark, values)

    def _encrypt(self, sops: str, recipient: str, path: Path, stamp: Path, mark: str, values: Mapping[str, str]) -> None:
        # The repository's own rules (.sops.yaml) are not for these files.
        command = [
            sops,
            "--config",
            "/dev/null",
            "encrypt",
            "--age",
            recipient,
            "--input-type",
            "json",
            "--output-type",
            "yaml",
            "/dev/stdin",
        ]
        text = _run(command, self.directory, json.dumps(values))
        write_atomic(path, text.encode(), 0o644)
        write_atomic(stamp, mark.encode())


def _run(command: list[str], directory: Path, stdin: str = "") -> str:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory)}
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=environment, cwd=directory)
    if done.returncode != 0:
        raise KeysError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")
    return done.stdout
