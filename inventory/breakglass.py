"""The emergency key: an SSH key that hosts let in as root, readable by an age key that is kept offline, and by nobody else."""

import subprocess
from datetime import date

from inventory import agekey
from inventory.ages import Ages
from inventory.files import write_whole
from inventory.keys import new_ssh_key
from inventory.secret_manager import SecretManager
from inventory.secret_store import SecretStoreError, tool

FILE = "break-glass.age"
PUBLIC = "nix/pki/break-glass.pub"
KEY = "ssh-key"
_KEEP = """\
{private}: the emergency key, for the holder of {recipient} alone: commit it
{public}: what hosts let in as root: commit it, then make up, for every stack

Keep, on paper or on a stick, in two places that a fire does not reach at once, and on no machine that is online:
  - the age key of {recipient} (AGE-SECRET-KEY-1…)
  - a copy of {private}, or of the repository
  - addresses and host keys of the hosts (inventory/*.toml)
Sealed, and looked at once a year. Until a host is deployed, it lets the former emergency key in.

In an emergency:
  age --decrypt -i KEY-FILE {private} >emergency && chmod 600 emergency
  ssh -o IdentitiesOnly=yes -i emergency root@HOST
Every use is told: a line in the host's journal (aether-break-glass), and the alert BreakGlassUsed. Afterwards make a new one."""


def make(manager: SecretManager, recipient: str, today: date | None = None) -> list[str]:
    """Make the emergency key, or another one: encrypted to RECIPIENT alone, its public half for the hosts.

    Raises:
        ValueError: RECIPIENT is no age recipient, or one that is online: an owner's or a host's.
        SecretStoreError: age is not there, or fails.
    """
    if not recipient.startswith("age1") or (wrong := agekey.check_recipient(recipient)):
        why = f" ({wrong})" if recipient.startswith("age1") else ""
        raise ValueError(
            f"'{recipient}' is no age recipient{why}. Fix: age-keygen on a machine that is offline; --recipient age1…"
        )
    online = {key: "an owner's" for inventory in manager.inventories for key in inventory.site.age_recipients}
    online |= {key: f"that of {host}" for host, key in manager.recipients().items()}
    if recipient in online:
        raise ValueError(
            f"{recipient} is {online[recipient]}: the emergency key would be gone, or stolen, together with everything else. "
            "Fix: a key of its own, made by age-keygen on a machine that is offline"
        )
    when = today or date.today()
    private, public = new_ssh_key()
    root = manager.store.root
    encrypted = _encrypted(private, recipient)
    (root.parent / PUBLIC).parent.mkdir(parents=True, exist_ok=True)
    # The half that opens nothing by itself first: a break between the two leaves hosts as they are, until they are deployed.
    write_whole(root / FILE, encrypted)
    write_whole(root.parent / PUBLIC, f"{public} break-glass-{when.isoformat()}\n")
    Ages(root).note(FILE, [KEY], when)
    print(_KEEP.format(private=root / FILE, public=root.parent / PUBLIC, recipient=recipient))
    return []


def listed(manager: SecretManager, today: date) -> list[str]:
    """Its line of `secrets list`; none where there is no emergency key."""
    if not (manager.store.root / FILE).exists():
        return []
    made = Ages(manager.store.root).of(FILE, KEY)
    age = f"{(today - made).days} d" if made else "not known"
    return [f"{FILE}  {age}  read by the holder of the offline key alone; opens every host, as root, and everybody hears of it"]


def _encrypted(private: str, recipient: str) -> str:
    run = subprocess.run(
        [tool("age"), "--encrypt", "--armor", "--recipient", recipient],
        input=private,
        text=True,
        capture_output=True,
        check=False,
    )
    if run.returncode:
        raise SecretStoreError(f"age failed: {run.stderr.strip()[-300:]}. Fix: is {recipient} right?")
    return run.stdout
