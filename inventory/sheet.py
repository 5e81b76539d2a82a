"""The emergency sheet: one page, for paper, of what is needed when all is lost but repository, owner's key and backups."""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from inventory import agekey, breakglass, sops
from inventory.keeping import Secret, secrets
from inventory.load import Inventory
from inventory.secret_manager import SecretManager
from inventory.secret_store import DEFAULT_KEY_FILE

PASSWORD, KEY = "restic-password", "restic-ssh-key"
SERVER_ROOT = "/srv/backup"
"""Where role restic_server keeps a repository a host."""
WIDTH = 96
"""Columns of a page of paper."""


def sheet(manager: SecretManager, today: date, key: str | None = None) -> Iterator[str]:
    """The page, a line each; KEY is the owner's private key, where it is to be on it. No other secret ever is."""
    inventories = [inventory for inventory in manager.inventories if not inventory.base]
    yield f"EMERGENCY SHEET of {', '.join(inventory.site.name for inventory in inventories)}, {today:%Y-%m-%d}"
    yield "Everything is lost but three things: this repository, the owner's key, the backups. In this order:"
    yield from _section("1. The repository", _repository())
    yield from _section("2. The owner's key, which opens every secret", _keys(manager, key))
    yield from _section("3. The state, which says what was deployed", _states(Path()))
    yield from _section("4. The backups", _backups(inventories, secrets(manager)))
    yield from _section("5. Commands", _commands(inventories))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield ""
    yield title.upper()
    for line in lines:
        yield from _wrapped(line)


def _wrapped(line: str) -> Iterator[str]:
    """LINE indented; words that do not fit go on below it, further in. What is one word stays one: it is to be typed."""
    row = "  "
    for word in line.split(" "):
        if len(row) + len(word) + 1 > WIDTH and row.strip():
            yield row.rstrip()
            row = "      "
        row += f"{word} "
    yield row.rstrip()


def _repository() -> Iterator[str]:
    done = subprocess.run(["git", "remote", "-v"], capture_output=True, text=True, check=False)
    found = dict.fromkeys(_without_login(line.split()[1]) for line in done.stdout.splitlines() if line.split()[1:])
    yield from (f"git clone {address}" for address in found)
    if not found:
        yield "It has no remote: this machine has the only copy. Fix: git remote add origin … and push"
    commit = subprocess.run(["git", "log", "-1", "--format=%h of %cs"], capture_output=True, text=True, check=False)
    yield f"this sheet is of commit {commit.stdout.strip() or 'none'}"


def _without_login(address: str) -> str:
    """ADDRESS without a user's token or password in it."""
    return re.sub(r"//[^/@]*@", "//", address)


def _keys(manager: SecretManager, key: str | None) -> Iterator[str]:
    owners = sops.owner_recipients(manager.inventories)
    login = {agekey.recipient(line): line.split()[2] for inventory in manager.inventories for line in _logins(inventory)}
    for owner in owners:
        whose = f"the SSH key of {login[owner]}" if owner in login else f"an age key, usually in {DEFAULT_KEY_FILE}"
        yield f"{owner}  ({whose}) opens every file of secrets/"
    yield "A host's own key opens its file alone, and those that it lists; it is in secrets/hosts/HOST.yaml, for the owner."
    if key is None:
        yield "The key itself is not on this page (--with-keys). It is at: ______________________________________"
    else:
        yield "The key itself. Who has this page opens everything:"
        yield from key.strip().splitlines()
    if (manager.store.root / breakglass.FILE).exists():
        yield "Hosts are there, and nobody gets in? The emergency key, of an age key that is offline, at: ______________"
        yield f"age --decrypt -i KEY-FILE secrets/{breakglass.FILE} >emergency && chmod 600 emergency"
        yield "ssh -o IdentitiesOnly=yes -i emergency root@HOST"
    yield "And the passphrase or the token of the stacks' secrets: ________________________________________"


def _logins(inventory: Inventory) -> list[str]:
    return [key for key in inventory.site.authorized_keys if key.startswith("ssh-ed25519 ") and len(key.split()) > 2]


def _states(folder: Path) -> Iterator[str]:
    project = folder / "Pulumi.yaml"
    backend = _yaml(project).get("backend")
    where = backend.get("url") if isinstance(backend, Mapping) else None
    yield f"backend: {_without_login(where) if where else 'what `pulumi whoami -v` says: ______________________________'}"
    for path in sorted(folder.glob("Pulumi.*.yaml")):
        name = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
        if name == "sim" or name.startswith("sim-"):
            continue
        said = _yaml(path)
        provider = said.get("secretsprovider") or ("passphrase" if said.get("encryptionsalt") else "not made yet")
        yield f"stack {name}: secrets by {provider}"
    yield "A lost state is no lost homelab: without it `up` creates guests again, and their data come from the backups."


def _yaml(path: Path) -> Mapping[str, Any]:
    found = yaml.safe_load(path.read_text()) if path.exists() else None
    return found if isinstance(found, Mapping) else {}


def _backups(inventories: Sequence[Inventory], found: Sequence[Secret]) -> Iterator[str]:
    for inventory in inventories:
        for name, job in inventory.content.backups.items():
            yield f"Proxmox, job {name}: {', '.join(inventory.backed_up(job))} on storage {job.storage}, {job.schedule}"
    names = {host for inventory in inventories for host in inventory.hosts}
    server = next((inventory for inventory in inventories if _server(inventory)), None)
    with_restic = [secret.file for secret in found if secret.key == PASSWORD and _host(secret.file) in names]
    if server is not None and with_restic:
        host = _server(server)
        yield f"restic on {host} ({server.hosts[host].address}), user restic, {SERVER_ROOT}/HOST; of each HOST"
        yield f"the password is {PASSWORD}, the SSH key {KEY}, of secrets/hosts/HOST.yaml:"
        yield ", ".join(_host(file) for file in with_restic)
    elif not with_restic and not any(inventory.content.backups for inventory in inventories):
        yield "There are none: no job of Proxmox', and no host with a restic repository."


def _server(inventory: Inventory) -> str:
    return next((name for name, host in inventory.hosts.items() if "backup" in getattr(host, "tags", ())), "")


def _host(file: str) -> str:
    return file.removeprefix("hosts/").removesuffix(".yaml")


def _commands(inventories: Sequence[Inventory]) -> Iterator[str]:
    nodes = [f"{name} {node.address}" for inventory in inventories for name, node in inventory.nodes.items()]
    yield "python3 ops/setup.py && . ops/env.sh"
    yield f"export SOPS_AGE_KEY_FILE={DEFAULT_KEY_FILE}   # the owner's key, from 2"
    yield "./aether secrets check                        # it opens them"
    if nodes:
        yield f"Proxmox VE reinstalled on the nodes ({', '.join(nodes)}), their storages back, then docs/first-machine.md"
    yield "pulumi login BACKEND; pulumi stack init NAME  # or pulumi stack import, where the state is there"
    yield "./aether --stack NAME doctor                  # what is missing, and what to do"
    yield "./aether --stack NAME restore --all --to place  # guests that are gone, of their backups: docs/disaster.md"
    yield "./aether --stack NAME up && ./aether --stack NAME status"
