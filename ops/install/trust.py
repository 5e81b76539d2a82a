"""Who answers at an address before the host does: its SSH host key, compared with what the inventory or a person says."""

import base64
import hashlib
import subprocess
import sys
from collections.abc import Callable, Mapping

from inventory.agekey import check_public_key
from inventory.keys import bare
from ops.stack import OpsError

Ask = Callable[[str], str]


def scan(address: str, port: int) -> str:
    """The Ed25519 host key that answers. Raises OpsError where none does."""
    try:
        run = subprocess.run(
            ["ssh-keyscan", "-T", "10", "-t", "ed25519", "-p", str(port), address],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        run = None
    lines = [line for line in (run.stdout if run else "").splitlines() if line and not line.startswith("#")]
    if not lines:
        raise OpsError(
            f"nothing answers on SSH at {address}, port {port}, with an Ed25519 key. Fix: start a rescue system with SSH on it, "
            "or name where it is: --address, --port"
        )
    return " ".join(lines[0].split()[1:3])


def fingerprint(key: str) -> str:
    """As `ssh-keygen -l` shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def trusted(host: str, answered: str, pinned: Mapping[str, str], given: str | None, ask: Ask | None = None) -> str:
    """The key to go on with: ANSWERED, where it is HOST's of the PINNED ones, the one that was GIVEN, or a person says so.

    Raises:
        OpsError: it is another machine of the inventory, not the key that was given, or nobody said that it is right.
    """
    owner = next((name for name, key in pinned.items() if bare(key) == answered), None)
    if owner == host:
        return answered
    if owner is not None:
        raise OpsError(
            f"the machine there is {owner}: it answers with that host's key. Nothing was sent to it. Fix: the address in the "
            f"inventory, or --address of the machine that is to be {host}"
        )
    if given is not None:
        wrong = check_public_key(given)
        if wrong:
            raise OpsError(f"--host-key {wrong}. Fix: a whole line, ssh-ed25519 AAAA…")
        if bare(given) != answered:
            raise OpsError(
                f"another key answers ({fingerprint(answered)}) than --host-key ({fingerprint(given)}). Nothing was sent to it. "
                "Fix: is it the right machine? Compare at its console"
            )
        return answered
    said = (
        f"The machine's SSH host key is {fingerprint(answered)}. At its console:\n"
        "  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
    )
    if ask is None:
        raise OpsError(f"{said}\nThere is no terminal to ask at. Fix, where it is the same: --host-key '{answered}'")
    print(said, flush=True)
    if ask("Is it the same? [y/N] ").strip().lower() not in ("y", "yes"):
        raise OpsError("Nothing was changed.")
    return answered


def terminal() -> Ask | None:
    """How a person is asked; None where there is nobody."""
    return input if sys.stdin.isatty() else None
