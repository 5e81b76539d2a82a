"""What is left of a host that went: what others still know of it, what it has seen, and its files in the repository."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from inventory.keeping import Secret, by_hand, secrets
from inventory.load import InventoryError, all_files
from inventory.problems import some
from inventory.secret_facts import HOST_KEY
from inventory.secret_manager import SecretManager
from inventory.secret_store import SecretStore, SecretStoreError

REST = "what others know of it goes: DNS, monitoring, certificates, tunnels, logins, firewall"


def to_do(repository: Path, host: str, stack: str, *, deleted: bool) -> list[str]:
    """What is to be done once HOST has left the inventory of REPOSITORY, in this order, a command and its reason a line.

    Args:
        deleted: its guest is gone; else that is the last step.
    """
    steps: list[tuple[str, str]] = []
    if not deleted:
        steps.append((f"make up STACK={stack}", REST))
    steps += [(command, reason) for command, reason in _seen(_known(repository), host)]
    files = _files(repository, host)
    if files:
        steps.append((f"git rm {' '.join(files)}", "its own files; git keeps them"))
    if any(name.startswith("secrets/") for name in files):
        steps.append(("./aether secrets rekey", "whom the files are encrypted to is written anew"))
    if not deleted:
        steps.append((f"./aether --stack {stack} retire {host} --delete", "the guest and its disks, once nobody wants them back"))
    width = min(60, max((len(command) for command, _ in steps), default=0))
    return [f"  {command:{width}}  # {reason}" for command, reason in steps]


def _known(repository: Path) -> list[Secret]:
    """Every secret of the repository, as far as its files can be read: nothing is decrypted."""
    try:
        return secrets(SecretManager([Path(file) for file in all_files()], SecretStore(repository / "secrets")))
    except (InventoryError, SecretStoreError, ValueError, RuntimeError):
        return []


def _seen(known: Sequence[Secret], host: str) -> list[tuple[str, str]]:
    """What rotates the values that HOST had and that somebody else has, too."""
    own = {each.shared: each for each in known if each.file == f"hosts/{host}.yaml" and each.key != HOST_KEY}
    others: dict[str, list[Secret]] = {}
    for each in known:
        if each.shared in own and each.file != f"hosts/{host}.yaml":
            others.setdefault(each.shared, []).append(each)
    found = []
    for shared, those in others.items():
        names = some([each.name for each in those], 2)
        how = f"./aether secrets rotate {those[0].name}" if own[shared].rotates else by_hand(those[0])
        # What a person does first is no command.
        first, _, then = how.rpartition("; then ")
        reason = f"it has seen this one, which is {names}, too: opens {own[shared].opens}"
        found.append((then, f"{first}: {reason}" if first else reason))
    return found


def _files(repository: Path, host: str) -> list[str]:
    """Its file or folder below nix/hosts, and its secrets, as far as git has them."""
    patterns = (f"nix/hosts/**/{host}.nix", f"nix/hosts/**/{host}/default.nix", f"secrets/hosts/{host}.yaml")
    found = []
    for pattern in patterns:
        for path in sorted(repository.glob(pattern)):
            name = str((path.parent if path.name == "default.nix" else path).relative_to(repository))
            listed = subprocess.run(["git", "ls-files", name], cwd=repository, capture_output=True, text=True, check=False)
            if listed.stdout.strip():
                found.append(f"-r {name}" if path.name == "default.nix" else name)
    return found
