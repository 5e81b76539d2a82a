"""How a host's own report is shown."""

import re
from pathlib import Path
from typing import Any

from inventory.files import REPOSITORY
from ops.stack import OpsError
from stacks.live import Report


def ssh_config(stack: str) -> Path:
    """The OpenSSH client configuration that the stack's last preview or up wrote."""
    return REPOSITORY / f".aether/ssh/{stack}/config"


def known(stack: str) -> str:
    """That configuration's path.

    Raises:
        OpsError: it is not written yet, so nobody can be asked.
    """
    path = ssh_config(stack)
    if not path.exists():
        raise OpsError(f"how the hosts of stack {stack} are reached is not written yet. Fix: make preview STACK={stack}")
    return str(path)


def state(report: Report | None) -> str:
    """running, or why not; a NixOS host whose boot waits says so, and an Atomic host that nobody takes back."""
    if report is None:
        return "-"
    if not report.answers:
        return f"does not answer ({_short(report.reason)})"
    facts = report.facts or {}
    if facts.get("booted") and facts.get("kernel") == "other":
        return "running, needs a reboot"
    return "running, not armed" if unarmed(report) else "running"


def _short(reason: str) -> str:
    """What OpenSSH says, without what the table says beside it: host and port."""
    return re.sub(r"^ssh: connect to host \S+ port \d+: ", "", reason).strip()[:60]


def unarmed(report: Report | None) -> str:
    """Of an Atomic host: why nobody takes a bad deployment back in its boot, and what to do; empty where greenboot does."""
    return str((report.facts or {}).get("unarmed", "")) if report else ""


def generation(report: Report | None) -> str | None:
    """What the host runs, in a word: a NixOS generation or an Atomic image digest; None where that is not known."""
    facts = report.facts if report else None
    if not facts:
        return None
    if "generation" in facts:
        return str(facts["generation"])
    booted: dict[str, Any] = next((item for item in facts.get("deployments", []) if item.get("booted")), {})
    digest = booted.get("container-image-reference-digest")
    return str(digest)[:19] if digest else None
