"""restic's part of a restore test: the repository of a host is checked, and its newest snapshot restored into a folder."""

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.secret_store import SecretStore, SecretStoreError
from ops import hosts
from ops.notify import secret_store
from ops.restore.report import size
from ops.stack import OpsError, Stack

ROOT, USER = "/srv/backup", "restic"
"""Where role restic_server keeps a repository a host, and whose it is."""
PASSWORD, KEY = "restic-password", "restic-ssh-key"
SUBSET = "5%"


def has_repository(stack: Stack, host: str) -> bool:
    """Whether the host's secrets say that restic carries its data off."""
    store, file = secret_store(stack), f"hosts/{host}.yaml"
    return (store.root / file).exists() and PASSWORD in store.keys(file)


def server_of(inventory: Inventory) -> str | None:
    """The host that keeps the repositories."""
    return next((name for name, host in inventory.hosts.items() if "backup" in getattr(host, "tags", ())), None)


def prove(stack: Stack, inventory: Inventory, host: str, say: Callable[[str], None]) -> str:
    """Check the host's repository, restore its newest snapshot into a folder that is removed again; what was found, in words.

    Raises:
        OpsError: it could not be looked at, it is damaged, or nothing could be restored.
    """
    program = shutil.which("restic", path=stack.environment()["PATH"])
    if program is None:
        raise OpsError("restic is not on this machine, so its repository was not looked at. Fix: apt install restic")
    server = server_of(inventory)
    if server is None:
        raise OpsError(f"no host of {inventory.path} is tagged backup, so the repository was not looked at")
    with tempfile.TemporaryDirectory(prefix="aether-restic-") as folder:
        ask = _asking(program, stack, secret_store(stack), host, server, Path(folder))
        say(f"  {host}: checks its restic repository, and reads {SUBSET} of its data")
        ask("check", f"--read-data-subset={SUBSET}")
        snapshot = json.loads(ask("snapshots", "latest", "--json") or "[]")[-1:]
        if not snapshot:
            raise OpsError("its restic repository has no snapshot")
        needs = int(json.loads(ask("stats", "latest", "--mode", "restore-size", "--json"))["total_size"])
        left = shutil.disk_usage(folder).free
        if needs > left * 0.9:
            raise OpsError(
                f"its newest snapshot needs {size(needs)} and {folder} has {size(left)} left. Fix: TMPDIR=…, where there is room"
            )
        say(f"  {host}: restores its newest snapshot, {size(needs)}")
        target = Path(folder) / "restored"
        ask("restore", "latest", "--target", str(target), "--verify")
        count = sum(len(files) for _, _, files in os.walk(target))
        when = str(snapshot[0]["time"])[:16].replace("T", " ")
        files = "1 file" if count == 1 else f"{count} files"
        return f"repository whole ({SUBSET} read), snapshot of {when} restored: {files}, {size(needs)}"


def _asking(program: str, stack: Stack, store: SecretStore, host: str, server: str, folder: Path) -> Callable[..., str]:
    """A function that runs restic on the host's repository, as the operator. Key and password are no arguments."""
    try:
        values: dict[str, Any] = store.read(f"hosts/{host}.yaml")
    except SecretStoreError as error:
        raise OpsError(f"its secrets cannot be read: {error}") from None
    key = folder / "key"
    key.touch(0o600)
    key.write_text(str(values[KEY]).rstrip("\n") + "\n")
    config = shlex.quote(str(hosts.ssh_config(stack.name)))
    over = f"ssh -F {config} -i {key} -o IdentitiesOnly=yes -l {USER} {server} -s sftp"
    line = [program, "-r", f"sftp:{USER}@{server}:{ROOT}/{host}", "-o", f"sftp.command={over}", "--quiet"]
    environment = {**os.environ, "RESTIC_PASSWORD": str(values[PASSWORD]), "RESTIC_CACHE_DIR": str(folder / "cache")}

    def ask(*words: str) -> str:
        done = subprocess.run([*line, *words], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            said = "; ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])
            raise OpsError(f"restic {words[0]}: {said}")
        return done.stdout

    return ask
