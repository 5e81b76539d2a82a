"""Keys, security postures and plain-text secrets."""

import re
from collections.abc import Iterator
from typing import Any

from inventory import agekey
from inventory.models import ManagedHost, NixosHost
from inventory.parse import Draft
from inventory.plaintext import why_secret

POSTURES = ("hardened", "relaxed")
"""Security modes of a host; they exclude each other (nix/modules/security.nix)."""


def check(draft: Draft) -> None:
    """age recipients against SSH keys, one posture a host, nothing secret written in the file."""
    for name, host in draft.hosts.items():
        if isinstance(host, ManagedHost):
            _recipient(draft, name, host)
        _posture(draft, name, host)
    for path, value in _strings(draft.raw):
        if reason := why_secret(path[-1], value):
            where, at = ".".join(path[:2]), _dotted(path[2:])
            if path[0] in ("site", "rollout"):
                where, at = path[0], _dotted(path[1:])
            fix = "put a new one into `sops secrets/hosts/HOST.yaml`; remove and revoke this one"
            draft.report("plain-text-secret", where, at, f"holds {reason} in plain text", fix)


def _recipient(draft: Draft, name: str, host: ManagedHost) -> None:
    where = f"hosts.{name}"
    ed25519 = host.host_key.startswith("ssh-ed25519 ")
    if host.age_recipient is None:
        if host.secrets:
            right = agekey.recipient(host.host_key) if ed25519 else "age1…"
            message = "is missing, so the host could not read its secrets"
            draft.report("recipient-missing", where, "age_recipient", message, f'write age_recipient = "{right}"')
    elif not ed25519:
        fix = f"run `./aether secrets rotate {name}`"
        draft.report("recipient-mismatch", where, "host_key", "is not ssh-ed25519, so no age key follows from it", fix)
    elif host.age_recipient != (right := agekey.recipient(host.host_key)):
        message = "is not the one of host_key, so the host could not read its secrets"
        draft.report("recipient-mismatch", where, "age_recipient", message, f'write age_recipient = "{right}"')


def _posture(draft: Draft, name: str, host: Any) -> None:
    asked = [posture for posture in POSTURES if posture in host.tags]
    where = f"hosts.{name}"
    if isinstance(host, NixosHost):
        clash = [posture for posture in asked if posture != host.security]
        if clash:
            message = f"'{clash[0]}' and security = \"{host.security}\" exclude each other"
            fix = f"remove '{clash[0]}' from tags, or write security = \"{clash[0]}\""
            draft.report("exclusive-security", where, "tags", message, fix)
    elif len(asked) > 1:
        draft.report(
            "exclusive-security",
            where,
            "tags",
            "hardened and relaxed exclude each other",
            "remove one of them",
        )


def _strings(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str) and path:
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, (*path, str(key)))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _strings(inner, (*path, str(i)))


def _dotted(path: tuple[str, ...]) -> str:
    return re.sub(r"\.(\d+)", r"[\1]", ".".join(path))
