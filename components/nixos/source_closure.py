"""The source closure of a NixOS host: every file that its configuration can read, and a hash of them.

Evaluating a host costs seconds; hashing its sources costs milliseconds. Two equal hashes mean the same system, so the hash is
the key of the evaluation cache, and the desired closure itself where there is no Nix. Reachability is by the path literals
of Nix files. It errs on the side of too much: a file too many costs an evaluation, a file too few would miss a change.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from os.path import normpath
from pathlib import Path
from typing import Any

from components.contents import DIGITS, grouped, short_digest
from inventory.overlay import document
from inventory.readers import UNREAD_BY_SYSTEMS

# What every host is made of, whatever its own files say.
COMMON = ("flake.nix", "flake.lock", "nix/default.nix")
# Folders that list themselves (nix/lib finds hosts by name): following them would make every host part of every other.
NOT_FOLLOWED = ("nix/hosts", "inventory", "secrets", "nix/home", "nix/images", "nix/shells", "nix/checks", "nix/tools")
# Tables of what is done to hosts from outside.
CLUSTER_TABLES = ("rollout", "zones", "backups", "availability", "policies", "builders", "cache")

# How a Nix file names every group that deploys a part of the fleet (step-ca, Keycloak); of its own a host is told by name.
ALL_GROUPS = "inventory.deployers"

_COMMENT = re.compile(r"(?m)(?:^|\s)#[^\n]*$|/\*.*?\*/", re.DOTALL)
_LITERAL = re.compile(r"(?<![\w/.\"$}])(\.\.?(?:/[A-Za-z0-9_.+-]+)+/?)")


def entry_file(repository: Path, host: str, node: str | None = None) -> Path | None:
    """The file a host is written in, relative to the repository: nix/hosts/NODE/HOST.nix, or a folder with default.nix.

    None where there is none (nix/lib says so with a fix when Nix evaluates).
    """
    bases = [f"nix/hosts/{node}/{host}"] if node else []
    for base in (*bases, f"nix/hosts/{host}"):
        for candidate in (f"{base}.nix", f"{base}/default.nix"):
            if (repository / candidate).is_file():
                return Path(candidate)
    return None


def reachable(repository: Path, entries: Iterable[Path]) -> list[Path]:
    """Files that ENTRIES read, directly or through others, relative to REPOSITORY, sorted."""
    return _Tree(repository).reachable(entries)


@dataclass(frozen=True)
class Sources:
    """What the system of one host is made of."""

    files: Mapping[str, str]
    """SHA-256 (hexadecimal) of each reachable file, by path."""
    own: frozenset[str]
    """Those that are the host's alone."""
    secrets: Mapping[str, str]
    """SHA-256 (hexadecimal) of each of its secrets' files, by path below secrets/; empty where there is none."""
    inventory: str
    """The inventory as the host sees it, as JSON."""

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) over all of it."""
        digest = hashlib.sha256()
        for file, content in (*self.files.items(), *self.secrets.items()):
            digest.update(f"{file}\0{content}\0".encode())
        digest.update(self.inventory.encode())
        return digest.hexdigest()

    def summary(self) -> dict[str, str]:
        """Short digests for a person to compare: of each file of the host's own, of the others by folder, of the inventory."""
        return {
            **grouped(self.files, lambda file: file if file in self.own else "/".join(file.split("/", 2)[:2])),
            **{f"secrets/{file}": content[:DIGITS] for file, content in self.secrets.items()},
            "inventory": short_digest(self.inventory),
        }


def source_hash(repository: Path, inventory_files: Iterable[Path], host: str) -> str:
    """SHA-256 (hexadecimal) over the sources of HOST."""
    return source_hashes(repository, inventory_files, [host])[host]


def source_hashes(repository: Path, inventory_files: Iterable[Path], hosts: Iterable[str]) -> dict[str, str]:
    """``source_hash`` of each of HOSTS."""
    return {host: sources.digest for host, sources in sources_of(repository, inventory_files, hosts).items()}


def sources_of(repository: Path, inventory_files: Iterable[Path], hosts: Iterable[str]) -> dict[str, Sources]:
    """The sources of each of HOSTS; what they share is read once."""
    tables = [document(repository / file) for file in inventory_files]
    # What hosts say to each other: nix/lib reads every one.
    exports = [path.relative_to(repository) for path in sorted((repository / "nix/hosts").rglob("exports.nix"))]
    shared = [*(Path(common) for common in COMMON), *exports]
    tree = _Tree(repository)
    common = dict.fromkeys(tree.reachable(shared))
    return {host: _sources_of(tree, tables, common, host) for host in hosts}


def _sources_of(tree: "_Tree", tables: list[dict[str, Any]], common: dict[Path, None], host: str) -> Sources:
    repository = tree.repository
    own: dict[str, Any] = next((table["hosts"][host] for table in tables if host in table.get("hosts", {})), {})
    entry = entry_file(repository, own.get("stands_for", host), own.get("node"))
    mine = [entry] if entry else []
    if entry and entry.name == "default.nix":
        mine = [entry, *tree.below(entry.parent)]
    # Two sorted runs, which costs little to sort.
    files = tree.hashes(sorted([*common, *(path for path in tree.reachable(mine) if path not in common)]))
    # With what they hold: sops-nix carries the encrypted file in the system, so a rotated secret is a new system.
    paths = {secret: repository / "secrets" / secret for secret in own.get("secrets", ())}
    secrets = {secret: _content_hash(path) if path.exists() else "" for secret, path in paths.items()}
    every_group = any(file.suffix == ".nix" and ALL_GROUPS in (repository / file).read_text(errors="replace") for file in mine)
    visible = json.dumps([_visible_to(host, table, every_group) for table in tables], sort_keys=True, default=str)
    return Sources(files, frozenset(map(str, mine)), secrets, visible)


class _Tree:
    """The files of a repository at one moment: what each reads is found once, however many hosts share it."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository.resolve()
        self._read: dict[Path, list[Path] | None] = {}
        self._hashes: dict[Path, str] = {}
        self._below: dict[Path, list[Path]] = {}
        self._named: dict[Path, list[Path]] = {}

    def reachable(self, entries: Iterable[Path]) -> list[Path]:
        found: set[Path] = set()
        todo = list(entries)
        while todo:
            file = todo.pop()
            if file not in found and (read := self._read_by(file)) is not None:
                found.add(file)
                todo.extend(read)
        return sorted(found)

    def hashes(self, files: Iterable[Path]) -> dict[str, str]:
        """The content of each of FILES."""
        for file in files:
            if file not in self._hashes:
                self._hashes[file] = _content_hash(self.repository / file)
        return {str(file): self._hashes[file] for file in files}

    def _read_by(self, file: Path) -> list[Path] | None:
        """What FILE reads; None where there is no such file."""
        if file not in self._read:
            known = (self.repository / file).is_file()
            literals = _literals(self.repository / file) if known and file.suffix == ".nix" else ()
            named = [Path(normpath(file.parent / literal)) for literal in literals]
            self._read[file] = [found for path in named for found in self._followed(path)] if known else None
        return self._read[file]

    def _followed(self, path: Path) -> list[Path]:
        """What is read where a file says PATH, relative to the repository."""
        if path not in self._named:
            self._named[path] = self._found(path)
        return self._named[path]

    def _found(self, path: Path) -> list[Path]:
        target = (self.repository / path).resolve()
        if not target.is_relative_to(self.repository):
            return []
        relative = target.relative_to(self.repository)
        if str(relative) in (*NOT_FOLLOWED, ".", "nix"):
            return []
        if target.is_file():
            return [relative]
        # A folder may be imported as its default.nix, or read file by file (modules that list themselves, dashboards).
        return self.below(relative) if target.is_dir() else []

    def below(self, folder: Path) -> list[Path]:
        """Every file of a FOLDER, sorted."""
        if folder not in self._below:
            found = sorted((self.repository / folder).rglob("*"))
            self._below[folder] = [path.relative_to(self.repository) for path in found if path.is_file()]
        return self._below[folder]


def image_hash(repository: Path) -> str:
    """SHA-256 (hexadecimal) of what guests are born from: nix/images and the pins.

    Not the modules that images import: a guest is given its own system right after its birth, and a new image for each change of
    a module would upload hundreds of megabytes to every node for nothing.
    """
    digest = hashlib.sha256()
    for file in [
        Path("flake.lock"),
        *(path for path in _Tree(repository).below(Path("nix/images")) if path.suffix == ".nix"),
    ]:
        digest.update(f"{file}\0{_content_hash(repository / file)}\0".encode())
    return digest.hexdigest()


def _visible_to(host: str, table: dict[str, object], every_group: bool = False) -> dict[str, object]:
    """The inventory without what cannot matter to HOST."""
    hosts = table.get("hosts")
    visible = {key: value for key, value in table.items() if key not in ("hosts", "deployers", *CLUSTER_TABLES)}
    if groups := _groups_of(host, table, every_group):
        visible["deployers"] = groups
    if isinstance(hosts, dict):
        if "cache" in table and hosts.get(host, {}).get("roams"):
            # Where it asks for its orders.
            visible["cache"] = table["cache"]
        visible["hosts"] = {
            name: facts if name == host else {key: value for key, value in facts.items() if key not in UNREAD_BY_SYSTEMS}
            for name, facts in hosts.items()
        }
    return visible


def _groups_of(host: str, table: dict[str, Any], every_group: bool) -> list[str]:
    """Names of the groups that deploy HOST; of all where its system has them."""
    facts = table.get("hosts", {}).get(host, {})
    groups = table.get("deployers", {}).items()
    tags = set(facts.get("tags", ()))
    return [name for name, said in groups if every_group or host in said.get("hosts", ()) or tags & set(said.get("tags", ()))]


def _literals(path: Path) -> tuple[str, ...]:
    return _literals_at(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4096)
def _literals_at(path: Path, _mtime: int) -> tuple[str, ...]:
    return tuple(_LITERAL.findall(_COMMENT.sub(" ", path.read_text(errors="replace"))))


def _content_hash(path: Path) -> str:
    return _content_hash_at(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4096)
def _content_hash_at(path: Path, _mtime: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
