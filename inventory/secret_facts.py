"""The inventory as secrets see it: who has which file, what has to be in it, and the public halves that are written back."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inventory import agekey, syncthing
from inventory.checks import check as check_rules
from inventory.generate import UNSET
from inventory.keys import bare, set_fields
from inventory.load import Inventory, InventoryError, finish
from inventory.models import ManagedHost, NixosHost, Node
from inventory.parse import parse
from inventory.problems import did_you_mean
from inventory.rolesecrets import needed, of_home
from inventory.secret_store import SecretStore

HOST_KEY = "ssh_host_ed25519_key"
HOST_KEY_PUB = "ssh_host_ed25519_key_pub"
# The operator's, of every NixOS host (nix/modules/users.nix).
PASSWORD = "operator-password-hash"
# What these commands are there to repair must not stop them.
_REPAIRED = {
    "no-such-secret",
    "no-such-key",
    "secret-unreadable",
    "recipient-mismatch",
    "recipient-missing",
    "duplicate-host-key",
    "duplicate-syncthing-id",
    "plain-text-file",
}


class SecretFacts:
    """Inventory files and the sops files of their hosts.

    Args:
        files: inventory files; their ``host_key`` and ``age_recipient`` lines are edited in place.
        store: the sops files.
    """

    def __init__(self, files: Sequence[Path], store: SecretStore) -> None:
        self.files, self.store = list(files), store
        self.inventories = self._load()

    def _load(self) -> list[Inventory]:
        drafts = [parse(file) for file in self.files]
        check_rules(drafts, self.store.root)
        problems = [problem for draft in drafts for problem in draft.problems if problem.code not in _REPAIRED]
        if problems:
            raise InventoryError(problems)
        return [finish(draft) for draft in drafts]

    def hosts(self) -> dict[str, Node | ManagedHost]:
        found: dict[str, Node | ManagedHost] = {}
        for inventory in self.inventories:
            found |= inventory.nodes
            found |= {name: host for name, host in inventory.hosts.items() if isinstance(host, ManagedHost)}
        return found

    def origin(self, name: str) -> tuple[str, str]:
        """The host that NAME stands for (itself in the base), and ``ENVIRONMENT:``, empty in the base."""
        for inventory in self.inventories:
            if name in inventory.hosts and (base := inventory.hosts[name].stands_for):
                return base, f"{inventory.environment}:"
        return name, ""

    def names(self) -> list[str]:
        return list(self.hosts())

    def needed(self, name: str) -> set[str]:
        """What the host's playbook and its home cannot do without."""
        host = self.hosts().get(name)
        facts = host.model_dump(mode="json") if host else {}
        # An identity is checked, and made, by itself.
        home = [key for key in of_home(facts) if key not in (syncthing.CERT, syncthing.KEY)]
        return {*needed(self.store.root.parent / "ansible", facts.get("playbook"), facts.get("tags", ())), *home}

    def reload(self) -> None:
        """Read the inventory files again, after they were edited."""
        self.inventories = self._load()

    def recipients(self) -> dict[str, str]:
        """age recipient of each host that has one."""
        hosts = self.hosts().items()
        return {name: facts.age_recipient for name, facts in hosts if isinstance(facts, ManagedHost) and facts.age_recipient}

    def known(self, hosts: Sequence[str]) -> None:
        for name in hosts:
            if name not in self.names():
                near = did_you_mean(name, self.names())
                known = ", ".join(self.names())
                raise ValueError(f"'{name}' is no node and no host that Aether logs in to{near or '.'} Fix: one of {known}")

    def wanted(self, name: str) -> set[str]:
        """Names that a new host's file has to hold, as far as that can be seen."""
        nixos = {PASSWORD} if isinstance(self.hosts()[name], NixosHost) else set()
        return self.needed(name) | declared(self.store.root.parent, name) | nixos

    def publish(self, name: str, public: str) -> None:
        """Write the public half into the inventory file that holds the host, unless it is there."""
        for file, inventory in zip(self.files, self.inventories, strict=True):
            facts: Node | ManagedHost | None = inventory.nodes.get(name)
            host = inventory.hosts.get(name)
            facts = host if isinstance(host, ManagedHost) else facts
            # A node that an environment shares is in its base, and so is where its key stands.
            if facts is None or (isinstance(facts, Node) and facts.shared):
                continue
            values: dict[str, str | list[str]] = {"host_key": public}
            if isinstance(facts, ManagedHost) and (facts.age_recipient or facts.secrets):
                values["age_recipient"] = agekey.recipient(public)
            if any(bare(str(getattr(facts, field))) != value for field, value in values.items()):
                table = f"nodes.{name}" if isinstance(facts, Node) else f"hosts.{facts.stands_for or name}"
                set_fields(file, table, values)

    def publish_device(self, name: str, certificate: str) -> None:
        """Write the device id of CERTIFICATE into the inventory file that holds the host."""
        for file, inventory in zip(self.files, self.inventories, strict=True):
            if name in inventory.hosts:
                table = f"hosts.{inventory.hosts[name].stands_for or name}"
                set_fields(file, table, {"syncthing_id": syncthing.device_id(certificate)})


def file_of(host: str) -> str:
    return f"hosts/{host}.yaml"


def flat(values: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Dotted name and text of every value."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        found += flat(value, f"{above}{key}.") if isinstance(value, dict) else [(f"{above}{key}", str(value))]
    return found


def unset(values: dict[str, Any]) -> list[str]:
    """Dotted names of the values that only the owner can know."""
    return [name for name, value in flat(values) if value == UNSET]


def declared(repository: Path, host: str) -> set[str]:
    """Names that the host's Nix files declare in plain sight, as ``aether.secrets.NAME``.

    Nix itself finds the rest when it evaluates (nix/modules/secrets.nix).
    """
    names: set[str] = set()
    for path in (repository / "nix" / "hosts").rglob("*.nix"):
        if path.stem == host or (path.parent.name == host and (path.parent / "default.nix").exists()):
            names |= set(re.findall(r"aether\.secrets\.\"?([a-z0-9][A-Za-z0-9_-]*)", path.read_text()))
    return names
