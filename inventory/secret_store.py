"""The sops files: read, written and re-encrypted with the real sops. Values go by stdin, never in arguments."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from inventory import agekey
from inventory.ages import Ages
from inventory.files import write_whole
from inventory.rules.files import sops_keys, sops_recipients

DEFAULT_KEY_FILE = Path("~/.config/sops/age/keys.txt")


class SecretStoreError(Exception):
    """sops could not do it; says which file, why, and what to do."""


class SecretStore:
    """The files under a secrets directory.

    Args:
        root: the directory (``secrets/``).
        key_file: the owner's private key, age or OpenSSH Ed25519; sops' own default when left out.
    """

    def __init__(self, root: Path, key_file: Path | None = None) -> None:
        self.root = root
        self._key_file = key_file

    def files(self) -> list[str]:
        """Every sops file, relative to the directory."""
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*.yaml"))

    def keys(self, file: str) -> list[str]:
        """Top-level keys of FILE: names are readable without a key."""
        path = self.root / file
        return sops_keys(path.read_text()) if path.exists() else []

    def leaves(self, file: str) -> list[tuple[str, ...]]:
        """Path of every value of FILE, also of nested ones."""
        path = self.root / file
        tree = yaml.safe_load(path.read_text()) if path.exists() else {}
        tree.pop("sops", None)
        return _leaves(tree)

    def recipients(self, file: str) -> list[str]:
        """age recipients that FILE is encrypted to."""
        path = self.root / file
        return sops_recipients(path.read_text()) if path.exists() else []

    def read(self, file: str) -> dict[str, Any]:
        """All values of FILE.

        Raises:
            SecretStoreError: not decryptable with the owner's key.
        """
        text = self._sops(["decrypt", "--output-type", "json", str(self.root / file)])
        values: dict[str, Any] = json.loads(text)
        return values

    def add(self, file: str, values: Mapping[str, Any], recipients: Sequence[str]) -> None:
        """Set VALUES in FILE, which is made, encrypted to RECIPIENTS, where it does not exist."""
        path = self.root / file
        if not path.exists():
            self.create(file, values, recipients)
            return
        for key, value in values.items():
            self.set(file, (key,), value)

    def set(self, file: str, path: Sequence[str], value: Any) -> None:
        """Set one value of FILE, which exists; PATH names it from the top."""
        index = "".join(f"[{json.dumps(key)}]" for key in path)
        self._sops(["set", "--value-stdin", str(self.root / file), index], json.dumps(value))
        Ages(self.root).note(file, [".".join(path)])

    def unset(self, file: str, path: Sequence[str]) -> None:
        """Take one value out of FILE; nothing where it is not there."""
        if tuple(path) in self.leaves(file):
            index = "".join(f"[{json.dumps(key)}]" for key in path)
            self._sops(["unset", str(self.root / file), index])

    def create(self, file: str, values: Mapping[str, Any], recipients: Sequence[str]) -> None:
        """Replace FILE by VALUES alone, encrypted to RECIPIENTS."""
        path = self.root / file
        if not recipients:
            raise SecretStoreError(f"{path}: nobody could read it. Fix: write age_recipients in [site]")
        command = ["encrypt", "--age", ",".join(recipients), "--input-type", "json", "--output-type", "yaml"]
        text = self._sops([*command, "--filename-override", path.name, "/dev/stdin"], json.dumps(dict(values)))
        write_whole(path, text)
        Ages(self.root).note(file, [".".join(leaf) for leaf in self.leaves(file)])

    def rekey(self, file: str, recipients: Sequence[str]) -> bool:
        """Encrypt FILE's data key to RECIPIENTS; False when it is so already."""
        now = self.recipients(file)
        path = str(self.root / file)
        new, old = sorted(set(recipients) - set(now)), sorted(set(now) - set(recipients))
        if not new and not old:
            return False
        change = [f"--add-age={key}" for key in new] + [f"--rm-age={key}" for key in old]
        # A reader that was removed may know the old data key: `rotate` makes a new one.
        self._sops(["rotate", "--in-place", *change, path])
        return True

    def _sops(self, arguments: Sequence[str], stdin: str | None = None) -> str:
        environment = {**os.environ, "SOPS_CONFIG": os.devnull, **self._identity()}
        run = subprocess.run(
            [tool("sops"), *arguments], input=stdin, text=True, capture_output=True, env=environment, check=False
        )
        if run.returncode:
            said = " ".join(line.strip() for line in run.stderr.splitlines() if line.strip())[-400:]
            fix = "name the owner's private key: --key-file FILE or SOPS_AGE_KEY_FILE"
            raise SecretStoreError(f"sops {arguments[0]} of {arguments[-1]} failed: {said}. Fix: {fix}")
        return run.stdout

    def _identity(self) -> dict[str, str]:
        if self._key_file is None:
            return {}
        try:
            text = self._key_file.expanduser().read_text()
        except OSError as error:
            raise SecretStoreError(f"{self._key_file}: {error.strerror}. Fix: name the owner's private key") from None
        if "OPENSSH PRIVATE KEY" not in text:
            return {"SOPS_AGE_KEY_FILE": str(self._key_file.expanduser())}
        try:
            return {"SOPS_AGE_KEY": agekey.identity(text)}
        except ValueError as error:
            raise SecretStoreError(f"{self._key_file}: {error}") from None


def _leaves(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in tree.items():
        found += _leaves(value, (*above, str(key))) if isinstance(value, dict) else [(*above, str(key))]
    return found


def tool(name: str) -> str:
    """Path of sops or an age program: the built engine's first, then PATH.

    Raises:
        SecretStoreError: there is none.
    """
    built = Path(".aether/engine/bin", name)
    found = str(built.absolute()) if built.exists() else shutil.which(name)
    if not found:
        raise SecretStoreError(f"{name} is not installed. Fix: `make setup` builds it, or install {name}")
    return found
