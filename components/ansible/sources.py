"""What a playbook is made of: the files that it and its roles read, and a hash of them."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from components.contents import grouped, short_digest

# Read by every playbook.
COMMON = ("ansible.cfg", "group_vars/all", "library", "filter_plugins", "lookup_plugins", "tasks")
# Public keys, certificates and a script that a role reads: a file, a pattern, or the folder where the name is put together.
_PUBLIC = re.compile(r"/\.\./(nix/(?:pki|modules)/[\w.*-]*)")

_WORD = re.compile(rb"[A-Za-z_]\w*")
# Of a host's facts: they say nothing.
_UNSAID: tuple[Any, ...] = (None, "", (), [], {})

# libyaml's where PyYAML has it: ten times faster.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Playbooks:
    """The playbooks of a repository at one moment: what a playbook is made of is found once, however many hosts it is for."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self._brought: dict[tuple[str, tuple[Path, ...]], tuple[dict[str, str], frozenset[bytes]]] = {}

    def brings(self, playbook: str, extra: Iterable[Path] = ()) -> tuple[dict[str, str], frozenset[bytes]]:
        """SHA-256 of every file that PLAYBOOK and its roles read, and of EXTRA, by name; and the words in them."""
        key = playbook, tuple(extra)
        if key not in self._brought:
            self._brought[key] = _brings(self.repository, *key)
        return self._brought[key]


def playbook_content(
    playbooks: Playbooks, playbook: str, facts: Mapping[str, Any], tables: Mapping[str, Any], extra: Iterable[Path] = ()
) -> dict[str, Any]:
    """What a run of PLAYBOOK (under ansible/) is made of, for a person to compare.

    ``sources`` has a digest for each role and each other part that it brings, ``variables`` one for each table that it sees, and
    ``host`` what the inventory says of the host.

    Args:
        facts: the host's own entry in the inventory.
        tables: other variables by name; one counts only when the playbook or a role mentions its name, and of its entries the
            fields that they mention, so that a change runs the playbooks that read it and no other.
        extra: more files or folders that the playbook brings to the host, relative to the repository.

    Raises:
        FileNotFoundError: naming the playbook, or the role that one names.
    """
    digests, words = playbooks.brings(playbook, extra)
    return {
        "sources": grouped(digests, _part),
        "variables": {name: short_digest(_read(tables[name], words)) for name in sorted(tables) if name.encode() in words},
        # As JSON has it, and without what is not said.
        "host": json.loads(json.dumps({key: value for key, value in facts.items() if value not in _UNSAID}, default=str)),
    }


def _brings(repository: Path, playbook: str, extra: Iterable[Path]) -> tuple[dict[str, str], frozenset[bytes]]:
    root = repository / "ansible"
    if not (root / playbook).is_file():
        raise FileNotFoundError(f"ansible/{playbook} does not exist. Fix: write it, or correct `playbook` in the inventory")
    folders = [root / common for common in COMMON] + [root / "roles" / role for role in _roles(root, playbook)]
    files = [file for path in (root / playbook, *folders) for file in _files(path)]
    public = {key for file in files for key in _public(repository, file)}
    words: set[bytes] = set()
    digests: dict[str, str] = {}
    for file in (*files, *sorted(public), *(file for more in extra for file in _files(repository / more))):
        changed = file.stat().st_mtime_ns
        digests[str(file.relative_to(repository))] = hashlib.sha256(_content_at(file, changed)).hexdigest()
        words |= _words_at(file, changed)
    return digests, frozenset(words)


def _read(table: Any, words: AbstractSet[bytes]) -> Any:
    """Of a TABLE of entries, the fields that one of WORDS names: the image of a host is nothing to a router."""
    if not isinstance(table, dict) or not all(isinstance(entry, dict) for entry in table.values()):
        return table
    return {name: {key: value for key, value in entry.items() if key.encode() in words} for name, entry in table.items()}


def _part(file: str) -> str:
    """The part of a playbook that FILE belongs to: a role, a folder, or itself."""
    parts = Path(file).parts
    return "/".join(parts[:3] if parts[:2] == ("ansible", "roles") else parts[:2])


def _public(repository: Path, file: Path) -> list[Path]:
    """Files under nix/ that FILE names."""
    found = _PUBLIC.findall(_content_at(file, file.stat().st_mtime_ns).decode(errors="replace"))
    return [key for name in found for key in repository.glob(f"{name}*" if name.endswith("/") else name) if key.is_file()]


def _roles(root: Path, playbook: str) -> list[str]:
    """Roles that the playbook names, and those they depend on or include."""
    found: dict[str, None] = {}
    todo = _roles_in(root / playbook)
    while todo:
        role = todo.pop(0)
        if role in found:
            continue
        if not (root / "roles" / role).is_dir():
            raise FileNotFoundError(f"ansible/roles/{role} does not exist, and ansible/{playbook} uses it. Fix: write the role")
        found[role] = None
        for file in _files(root / "roles" / role):
            if file.suffix in (".yml", ".yaml") and file.parent.name in ("tasks", "meta", "handlers"):
                todo.extend(_roles_in(file))
    return list(found)


def _roles_in(file: Path) -> list[str]:
    return list(_roles_at(file, file.stat().st_mtime_ns))


# Many hosts share a playbook and its roles; each file is read once.
@lru_cache(maxsize=4096)
def _roles_at(file: Path, _mtime: int) -> tuple[str, ...]:
    return tuple(_named_roles(yaml.load(file.read_text(), Loader=_LOADER)))


@lru_cache(maxsize=4096)
def _words_at(file: Path, mtime: int) -> frozenset[bytes]:
    return frozenset(_WORD.findall(_content_at(file, mtime)))


@lru_cache(maxsize=4096)
def _content_at(file: Path, _mtime: int) -> bytes:
    return file.read_bytes()


def _named_roles(node: Any) -> list[str]:
    """Role names anywhere in a playbook, a task list or a role's meta (roles, dependencies, include_role, import_role)."""
    if isinstance(node, list):
        return [role for item in node for role in _named_roles(item)]
    if not isinstance(node, dict):
        return []
    names: list[str] = []
    for key, value in node.items():
        if key in ("roles", "dependencies") and isinstance(value, list):
            names.extend(item if isinstance(item, str) else str(item.get("role") or item.get("name")) for item in value)
        elif str(key).rsplit(".", 1)[-1] in ("include_role", "import_role") and isinstance(value, dict):
            names.append(str(value["name"]))
        else:
            names.extend(_named_roles(value))
    return [name for name in names if "{{" not in name]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        return []
    return sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
