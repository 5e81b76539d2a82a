"""`aether offsite`: the newest backup of each guest, from its node to a folder elsewhere, encrypted to the owners."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.models import Guest
from inventory.problems import did_you_mean
from inventory.secret_store import SecretStoreError, tool
from ops import hosts
from ops.arguments import parser
from ops.fleet import inventory_of, out
from ops.restore.node import Backup, Node, newest
from ops.restore.report import size
from ops.stack import OpsError, Stack

SUFFIX = ".age"
BLOCK = 1 << 20
EVERY = 10
"""Seconds between two words about one archive."""


def offsite(stack: Stack, arguments: list[str]) -> int:
    """Copy the newest backup of each guest from its node into DIRECTORY (a drive, a folder of another house), encrypted to the
    site's owners: whoever finds the drive reads nothing, and nothing but the owner's key is needed to read it. What is there
    is not copied again, and what is half there is none. Exit code 1 when a guest's could not be copied.
    """
    made = parser("offsite", offsite)
    made.add_argument("directory", type=Path, metavar="DIRECTORY", help="where to; a folder a node is made in it")
    made.add_argument("hosts", nargs="*", metavar="HOST", help="these guests (default: all that have a backup)")
    made.add_argument("--keep", type=int, default=2, metavar="N", help="newest copies of each guest that stay; default 2")
    options = made.parse_args(arguments)
    inventory = inventory_of(stack)
    guests = inventory.guests()
    if unknown := [name for name in options.hosts if name not in guests]:
        near = did_you_mean(unknown[0], guests) or f". Guests: {', '.join(guests)}"
        raise OpsError(f"'{unknown[0]}' is no guest of {inventory.path}{near}")
    if options.keep < 1:
        raise OpsError("--keep wants 1 or more: the newest copy always stays")
    folder = options.directory.expanduser()
    if not folder.is_dir():
        raise OpsError(f"{folder} is no folder. Fix: mount the drive, or mkdir -p {shlex.quote(str(folder))}")
    try:
        age = tool("age")
    except SecretStoreError as error:
        raise OpsError(str(error)) from None
    hosts.known(stack.name)
    nodes = {name: node for name in inventory.nodes if (node := Node(stack, name, out.print)).answers()}
    for name in inventory.nodes:
        if name not in nodes:
            out.print(f"{name} does not answer: its backups are not copied.")
    return _every(stack, inventory, nodes, age, folder, options.hosts or list(guests), options.keep)


def _every(
    stack: Stack, inventory: Inventory, nodes: dict[str, Node], age: str, folder: Path, names: Sequence[str], keep: int
) -> int:
    failed, copied = [node for node in inventory.nodes if node not in nodes], 0
    for name in names:
        guest: Guest = inventory.guests()[name]
        backup = newest(nodes, guest.vmid, guest.node)
        if backup is None:
            out.print(f"{name}: has no backup on {', '.join(nodes) or 'any node'}")
            continue
        try:
            copied += _copy(stack, inventory, age, folder, name, backup)
        except (OpsError, OSError) as error:
            out.print(f"{name}: NOT COPIED: {error}", markup=False)
            failed.append(name)
            continue
        for old in _copies(folder / backup.node, guest.vmid)[keep:]:
            old.unlink()
            out.print(f"{name}: {old.name} goes, {keep} newer are there")
    out.print(f"\n{copied} copied to {folder}" + (f"; not all: {', '.join(failed)}" if failed else ""), markup=False)
    return 1 if failed else 0


def _copy(stack: Stack, inventory: Inventory, age: str, folder: Path, name: str, backup: Backup) -> bool:
    """Bring BACKUP into FOLDER, whole or not at all; whether it was not there.

    Raises:
        OpsError: it could not be read, or not be written.
    """
    target = folder / backup.node / f"{backup.volid.rsplit('/', 1)[-1]}{SUFFIX}"
    if target.exists():
        out.print(f"{name}: {target.name} is there already")
        return False
    if ":backup/vzdump-" not in backup.volid:
        raise OpsError(f"{backup.volid} is no file. Fix: a Proxmox Backup Server copies its own by a sync job")
    target.parent.mkdir(exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    read = f'cat -- "$(pvesm path {shlex.quote(backup.volid)})"'
    line = ["ssh", "-n", "-F", str(hosts.ssh_config(stack.name)), "-o", "ConnectTimeout=10", backup.node, read]
    recipients = [word for each in inventory.site.age_recipients for word in ("--recipient", each)]
    try:
        with partial.open("wb") as kept:
            source = subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE)
            sealed = subprocess.Popen([age, *recipients], stdin=subprocess.PIPE, stdout=kept)
            assert source.stdout is not None and sealed.stdin is not None
            done = _through(source.stdout, sealed.stdin, _told(name, backup.size))
            codes = source.wait(), sealed.wait()
            os.fsync(kept.fileno())
        if any(codes):
            raise OpsError(f"{backup.node} could not send it, or it could not be written (above)")
        if backup.size and done != backup.size:
            raise OpsError(f"{size(done)} came of {size(backup.size)}")
        partial.replace(target)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
    out.print(f"{name}: {target.relative_to(folder)}, {size(done)}", markup=False)
    return True


def _through(source: IO[bytes], target: IO[bytes], tell: Callable[[int], None]) -> int:
    """All of SOURCE into TARGET; the bytes. What TARGET cannot take any more ends it."""
    done = 0
    with suppress(BrokenPipeError):
        while block := source.read(BLOCK):
            target.write(block)
            done += len(block)
            tell(done)
    with suppress(BrokenPipeError):
        target.close()
    source.close()
    return done


def _told(name: str, whole: int) -> Callable[[int], None]:
    """Says now and then how far it is."""
    last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY:
            last = time.monotonic()
            out.print(f"  {name}: {size(done)} of {size(whole)} …")

    return tell


def _copies(folder: Path, vmid: int) -> list[Path]:
    """Copies of a guest's backups in FOLDER, newest first: their names have the time."""
    found = [*folder.glob(f"vzdump-*-{vmid}-*{SUFFIX}")]
    return sorted(found, key=lambda path: path.name.split(f"-{vmid}-", 1)[1], reverse=True)
