"""Hosts of an environment that have no key yet: an overlay chooses them, and what makes a machine that machine is made here."""

from collections.abc import Sequence
from pathlib import Path

from inventory import agekey
from inventory.keys import new_ssh_key, set_fields
from inventory.overlay import base_of, document


def give_keys(files: Sequence[Path], only: Sequence[str] = ()) -> dict[str, str]:
    """Write a new host key (and age recipient) of each host that stands for one of the base and has none into its overlay.

    Args:
        files: inventory files; those without a base are left alone.
        only: names of hosts; all when empty.

    Returns:
        The private keys, OpenSSH PEM, by host.
    """
    made: dict[str, str] = {}
    for path in files:
        if base_of(path) is None:
            continue
        for name, facts in document(path)["hosts"].items():
            if "stands_for" not in facts or "host_key" in facts or facts.get("kind") == "external" or (only and name not in only):
                continue
            made[name], public = new_ssh_key(name)
            table = f"hosts.{facts['stands_for']}"
            _ensure(path, table)
            set_fields(path, table, {"host_key": public, "age_recipient": agekey.recipient(public)})
    return made


def _ensure(path: Path, table: str) -> None:
    """The table [TABLE] in PATH, at its end where there is none."""
    text = path.read_text(encoding="utf-8")
    if f"\n[{table}]\n" not in f"\n{text}\n":
        path.write_text(f"{text.rstrip()}\n\n[{table}]\n", encoding="utf-8")
