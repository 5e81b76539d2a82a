"""Hosts that have no key yet: what makes a machine that machine is made here, and written where the host is."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from inventory import agekey
from inventory.keys import new_ssh_key, set_fields
from inventory.overlay import base_of, document

# Born of our images with the key that they are given. The key of any other machine is its own, unless somebody says its name.
_BORN = ("nixos-vm", "nixos-lxc", "cloud-vm")


def give_keys(files: Sequence[Path], only: Sequence[str] = ()) -> dict[str, str]:
    """Write a new host key (and age recipient) of each host that has none into its table: of an overlay that of the base's name.

    Args:
        files: inventory files.
        only: names of hosts; when empty, all that stand for one of the base, and guests and cloud machines.

    Returns:
        The private keys, OpenSSH PEM, by host.
    """
    made: dict[str, str] = {}
    for path in files:
        for name, table in _keyless(path, only):
            made[name], public = new_ssh_key(name)
            _ensure(path, table)
            set_fields(path, table, {"host_key": public, "age_recipient": agekey.recipient(public)})
    return made


def _keyless(path: Path, only: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name and table of each host of PATH that has no key: the line is missing, or says `…`."""
    laid_over = base_of(path) is not None
    hosts: Mapping[str, Any] = document(path).get("hosts", {})
    for name, facts in hosts.items():
        if not isinstance(facts, dict) or facts.get("kind") == "external" or "…" not in str(facts.get("host_key", "…")):
            continue
        if laid_over and "stands_for" in facts and (not only or name in only):
            yield name, f"hosts.{facts['stands_for']}"
        elif not laid_over and (name in only if only else facts.get("kind") in _BORN):
            yield name, f"hosts.{name}"


def _ensure(path: Path, table: str) -> None:
    """The table [TABLE] in PATH, at its end where there is none."""
    text = path.read_text(encoding="utf-8")
    if f"\n[{table}]\n" not in f"\n{text}\n":
        path.write_text(f"{text.rstrip()}\n\n[{table}]\n", encoding="utf-8")
