"""Keeping the sops files and the inventory's public keys in step."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from inventory import agekey, pki, sops, syncthing
from inventory.checks import check as check_rules
from inventory.generate import MAKERS, UNSET, public_half, read_names
from inventory.keys import bare, new_ssh_key, set_fields
from inventory.load import Inventory, InventoryError, finish
from inventory.models import ManagedHost, Node, runs_nixos
from inventory.overlay import base_of
from inventory.parse import parse
from inventory.problems import did_you_mean
from inventory.rolesecrets import needed, of_home
from inventory.secret_store import SecretStore, SecretStoreError, tool

HOST_KEY = "ssh_host_ed25519_key"
HOST_KEY_PUB = "ssh_host_ed25519_key_pub"
SIGNING = "fleet/nix-signing-key"
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


class SecretManager:
    """Secrets and inventory files together.

    Args:
        files: inventory files; their ``host_key`` and ``age_recipient`` lines are edited in place.
        store: the sops files.
    """

    def __init__(self, files: Sequence[Path], store: SecretStore) -> None:
        self.files, self.store = list(files), store
        self.inventories = self._load()

    def init(self, hosts: Sequence[str], source: Path | None) -> list[str]:
        """Give each host (all, or HOSTS) an SSH host key in secrets/, where there is none."""
        self._known(hosts)
        for name in hosts or self._names():
            present = self.store.keys(_file(name))
            if HOST_KEY in present:
                if HOST_KEY_PUB not in present:
                    self._give(name, self.store.read(_file(name))[HOST_KEY])
                continue
            given = source / name if source else None
            if given and given.exists():
                self._give(name, given.read_text())
            elif isinstance(self._hosts()[name], Node):
                # The key of its own that the inventory has was scanned: it stays.
                self._keep(name, new_ssh_key(name)[0])
            else:
                self._give(name, new_ssh_key(name)[0])
        return self.rekey()

    def settle(self, made: Mapping[str, str]) -> None:
        """Files of new hosts, MADE their private keys. One of an environment gets every value that the base's host has, another
        one those that its system and its playbook want; rotated, but for what all hosts have alike.
        """
        fresh: dict[str, dict[str, Any]] = {}
        like: dict[str, list[tuple[str, ...]]] = {}
        for name, private in made.items():
            fresh[_file(name)] = {HOST_KEY: private, HOST_KEY_PUB: agekey.public_key(private)}
            base = self.origin(name)[0]
            like[_file(name)] = [(key,) for key in sorted(self._wanted(name))] if base == name else self.store.leaves(_file(base))
        self._fill(like, fresh, self._alike([name for name in made if self.origin(name)[0] == name]))
        readers = sops.readers(self.inventories)
        for file, values in fresh.items():
            if (self.store.root / file).exists():
                self.store.add(
                    file, {key: value for key, value in values.items() if key in (HOST_KEY, HOST_KEY_PUB)}, readers[file]
                )
                continue
            self.store.create(file, values, readers[file])
            print(f"{self.store.root / file}: written, with a new host key: {', '.join(sorted(values))}")
            for key in _unset(values):
                print(f"{file}: only you know {key}: ./aether secrets set {Path(file).stem} {key}")

    def rotate(self, host: str) -> list[str]:
        """A new host key for HOST; every file that it reads is encrypted to the new recipient.

        Raises:
            ValueError: HOST is a Proxmox node, whose key is the machine's own.
        """
        self._known([host])
        if isinstance(node := self._hosts()[host], Node):
            raise ValueError(
                f"'{host}' is a Proxmox node: its key is the machine's own, and the inventory only knows it. Fix: make a new one "
                f"on it (ssh-keygen -t ed25519 -f /etc/ssh/ssh_host_ed25519_key), and write what `ssh-keyscan -t ed25519 "
                f"{node.address}` says, compared at its console, into host_key of [nodes.{host}]"
            )
        self._give(host, new_ssh_key(host)[0])
        self.rekey()
        print(f"{host}: new host key. The next deployment of {host} must install it: see docs/inventory.md")
        return []

    def signing(self) -> list[str]:
        """The fleet's key for what hosts are sent, where there is none: private in secrets/fleet.yaml, public in nix/pki/."""
        names, (file, field) = read_names(self.store.root), SIGNING.split("/")
        if field in self.store.keys(f"{file}.yaml"):
            return []
        key = MAKERS[names.kind(SIGNING)]()
        self.store.add(f"{file}.yaml", {field: key}, sops.owner_recipients(self.inventories))
        public = self.store.root.parent / (names.public_file(SIGNING) or "nix/pki/nix-signing.pub")
        public.write_text(public_half("nix-key", key) + "\n")
        print(f"{public}: written. Hosts and images trust it once they are built with it")
        return []

    def syncthing(self, host: str) -> list[str]:
        """A new Syncthing identity for HOST: certificate and key in its secrets, the device id in the inventory."""
        self._known([host])
        if isinstance(self._hosts()[host], Node):
            raise ValueError(f"'{host}' is a Proxmox node, which syncs nothing. Fix: name a host")
        certificate, key = syncthing.new_identity()
        readers = sops.readers(self.inventories)[_file(host)]
        self.store.add(_file(host), {syncthing.CERT: certificate, syncthing.KEY: key}, readers)
        self._publish_device(host, certificate)
        return []

    def rekey(self) -> list[str]:
        """Encrypt each file to whom the inventory says, and write ``.sops.yaml`` beside secrets/."""
        for file, recipients in sops.readers(self.inventories).items():
            if (self.store.root / file).exists() and self.store.rekey(file, recipients):
                print(f"{self.store.root / file}: encrypted to {len(recipients)} readers")
        config = self.store.root.parent / ".sops.yaml"
        text = sops.config(self.inventories)
        if not config.exists() or config.read_text() != text:
            config.write_text(text)
            print(f"{config}: written")
        return []

    def put(self, host: str, key: str, value: str) -> list[str]:
        """Set KEY of HOST's file; ``a.b`` is b inside of a."""
        self._known([host])
        path, value = key.split("."), value.rstrip("\n")
        if (self.store.root / _file(host)).exists():
            self.store.set(_file(host), path, value)
        else:
            nested: Any = value
            for part in reversed(path):
                nested = {part: nested}
            self.store.create(_file(host), nested, sops.readers(self.inventories)[_file(host)])
        return []

    def show(self) -> list[str]:
        """Print files, names and readers."""
        who = {agekey_of: name for name, agekey_of in self.recipients().items()}
        for file in self.store.files():
            readers = ", ".join(who.get(key, "owner") for key in self.store.recipients(file))
            print(f"{self.store.root / file} (read by {readers})")
            for key in self.store.keys(file):
                print(f"  {key}")
        return []

    def check(self) -> list[str]:
        """What does not fit: readers, names that Nix declares; with the owner's key also what the values tell."""
        problems, values = [], dict[str, dict[str, Any]]()
        for file, recipients in sops.readers(self.inventories).items():
            path = self.store.root / file
            name = Path(file).stem
            if not path.exists():
                problems.append(f"{path}: does not exist. Fix: ./aether secrets init {name}")
                continue
            if set(self.store.recipients(file)) != set(recipients):
                problems.append(f"{path}: has other readers. Fix: ./aether secrets rekey")
            there = set(self.store.keys(file))
            missing = declared(self.store.root.parent, self.origin(name)[0]) - there
            problems += [f"{path}: no '{key}', which nix/ declares. Fix: sops edit {path}" for key in sorted(missing)]
            fix = f"./aether secrets set {name}"
            unheld = sorted(self._needed(name) - there)
            problems += [f"{path}: no '{key}', which its playbook needs. Fix: {fix} {key}" for key in unheld]
            # Without the owner's key there is less to check.
            with suppress(SecretStoreError):
                values[name] = self.store.read(file)
        for name, held in values.items():
            problems += self._check_values(name, held)
        problems += self._check_pairs(values)
        config = self.store.root.parent / ".sops.yaml"
        if not config.exists() or config.read_text() != sops.config(self.inventories):
            problems.append(f"{config}: is not current. Fix: ./aether inventory sops --write")
        return problems

    def new_owner(self, key_file: Path, ssh_key: Path) -> None:
        """Make everything again: owner, host keys, every value; no old key reads anything afterwards.

        Raises:
            SecretStoreError: no SSH public key at SSH_KEY.
        """
        if not ssh_key.exists():
            raise SecretStoreError(f"{ssh_key}: does not exist. Fix: ssh-keygen -t ed25519, or --ssh-key FILE")
        old = {file: self.store.leaves(file) for file in self.store.files()}
        for name in self._names():
            paths = old.setdefault(_file(name), [])
            paths += [(key,) for key in sorted(self._needed(name)) if (key,) not in paths]
        site = {
            "age_recipients": [_owner_recipient(key_file)],
            "authorized_keys": [ssh_key.read_text().strip()],
        }
        for file in self.files:
            # An environment's owner is its base's.
            if base_of(file) is None:
                set_fields(file, "site", site)
        fresh: dict[str, dict[str, Any]] = {}
        for name in self._names():
            private, public = new_ssh_key(name)
            fresh[_file(name)] = {HOST_KEY: private, HOST_KEY_PUB: public}
            self._publish(name, public)
            if getattr(self._hosts()[name], "syncthing_id", None):
                certificate, key = syncthing.new_identity()
                fresh[_file(name)] |= {syncthing.CERT: certificate, syncthing.KEY: key}
                self._publish_device(name, certificate)
        self.inventories = self._load()
        self._fill(old, fresh, self._authorities(key_file))
        readers = sops.readers(self.inventories)
        owners = sops.owner_recipients(self.inventories)
        for name, values in fresh.items():
            self.store.create(name, values, readers.get(name, owners))
        self.rekey()
        unset = [f"{file}: {key}" for file, values in fresh.items() for key in _unset(values)]
        if unset:
            print("Only you know these: set each with `./aether secrets set HOST KEY`")
            print("\n".join(f"  {line}" for line in unset))

    def _wanted(self, name: str) -> set[str]:
        """Names that a new host's file has to hold, as far as that can be seen."""
        nixos = {PASSWORD} if isinstance(host := self._hosts()[name], ManagedHost) and runs_nixos(host) else set()
        return self._needed(name) | declared(self.store.root.parent, name) | nixos

    def _alike(self, names: Sequence[str]) -> dict[str, str]:
        """Values that hosts NAMES have in common with those that there are, by what they share them under (names.toml).

        Raises:
            SecretStoreError: there is one, and it cannot be read: a new one would be another.
        """
        said, found = read_names(self.store.root), dict[str, str]()
        wanted = {said.value_of(f"{name}/{key}") for name in names for key in self._wanted(name)}
        for file in self.store.files():
            for key in self.store.keys(file):
                shared = said.value_of(f"{Path(file).stem}/{key}")
                if shared in wanted and shared not in found:
                    found[shared] = str(self.store.read(file)[key])
        return found

    def _fill(self, old: dict[str, list[tuple[str, ...]]], fresh: dict[str, dict[str, Any]], made: dict[str, str]) -> None:
        """New values for every name that the old files held; twins get the same, MADE are there already."""
        names = read_names(self.store.root)
        for file, paths in old.items():
            values = fresh.setdefault(file, {})
            # The host's identities.
            there = set(values)
            for path in paths:
                if path[0] in there:
                    continue
                host, environment = self.origin(Path(file).stem)
                name = f"{host}/{'.'.join(path)}"
                first, kind = f"{environment}{names.value_of(name)}", names.kind(name)
                if first not in made:
                    made[first] = made.get(f"{environment}{name}") or MAKERS[kind]()
                # What the repository publishes is the base's.
                if not environment and (public := names.public_file(name)):
                    (self.store.root.parent / public).write_text(public_half(kind, made[first]) + "\n")
                *above, key = path
                branch = values
                for part in above:
                    branch = branch.setdefault(part, {})
                branch[key] = made[first]

    def _authorities(self, key_file: Path) -> dict[str, str]:
        """New certificates in nix/pki/, the root's key beside KEY_FILE; the other private keys by HOST/KEY."""
        site = self.inventories[0].site
        keys = dict(pki.renew(self.store.root.parent / "nix" / "pki", site.name.capitalize(), site.domain))
        if root := keys.pop(pki.ROOT_KEY, None):
            path = unused(key_file.with_name("pki-root.key"))
            path.touch(mode=0o600)
            path.write_text(root)
            print(f"{path}: key of your root certificate. Keep it off this machine: it signs new intermediates alone")
        return keys

    def _check_values(self, name: str, values: dict[str, Any]) -> list[str]:
        """Unset values, and a host key that is not the inventory's."""
        path, facts = self.store.root / _file(name), self._hosts().get(name)
        found = [f"{path}: '{key}' is unset. Fix: ./aether secrets set {name} {key}" for key in _unset(values)]
        # A node was installed by its owner: its key is the machine's, which only the inventory knows.
        if isinstance(facts, ManagedHost) and HOST_KEY in values:
            public = agekey.public_key(values[HOST_KEY])
            if public != bare(facts.host_key) or public != bare(values.get(HOST_KEY_PUB, public)):
                fix = f"./aether secrets rotate {name}"
                found.append(f"{path}: {HOST_KEY} is not host_key of '{name}'. Fix: {fix}")
        device, certificate = getattr(facts, "syncthing_id", None), values.get(syncthing.CERT, UNSET)
        if device and certificate != UNSET and device != syncthing.device_id(certificate):
            fix = f"./aether secrets syncthing {name}"
            found.append(f"{path}: {syncthing.CERT} is not of the syncthing_id of '{name}'. Fix: {fix}")
        return found

    def _check_pairs(self, held: dict[str, dict[str, Any]]) -> list[str]:
        """Two sides of one secret that differ, and public halves that belong to another key."""
        names, first, found = read_names(self.store.root), dict[str, tuple[str, str]](), []
        for host, values in held.items():
            written, environment = self.origin(host)
            for name, value in _flat(values, f"{written}/"):
                shared, earlier = first.setdefault(f"{environment}{names.value_of(name)}", (value, name))
                if shared != value:
                    found.append(f"{environment}{name}: is not the value of {earlier}. Fix: set one to the other's value")
                public = None if environment else names.public_file(name)
                path = self.store.root.parent / public if public else None
                if path is None or value == UNSET:
                    continue
                half = public_half(names.kind(name), value)
                if not path.exists() or bare(path.read_text()) != half:
                    found.append(f"{path}: is not the public half of {name}. Fix: write {half}")
        return found

    def _give(self, name: str, private: str) -> None:
        public = agekey.public_key(private)
        self._publish(name, public)
        self.reload()
        self._keep(name, private)

    def _keep(self, name: str, private: str) -> None:
        readers = sops.readers(self.inventories)[_file(name)]
        self.store.add(_file(name), {HOST_KEY: private, HOST_KEY_PUB: agekey.public_key(private)}, readers)

    def _publish(self, name: str, public: str) -> None:
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

    def _publish_device(self, name: str, certificate: str) -> None:
        """Write the device id of CERTIFICATE into the inventory file that holds the host."""
        for file, inventory in zip(self.files, self.inventories, strict=True):
            if name in inventory.hosts:
                table = f"hosts.{inventory.hosts[name].stands_for or name}"
                set_fields(file, table, {"syncthing_id": syncthing.device_id(certificate)})

    def _load(self) -> list[Inventory]:
        drafts = [parse(file) for file in self.files]
        check_rules(drafts, self.store.root)
        problems = [problem for draft in drafts for problem in draft.problems if problem.code not in _REPAIRED]
        if problems:
            raise InventoryError(problems)
        return [finish(draft) for draft in drafts]

    def _hosts(self) -> dict[str, Node | ManagedHost]:
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

    def _names(self) -> list[str]:
        return list(self._hosts())

    def _needed(self, name: str) -> set[str]:
        """What the host's playbook and its home cannot do without."""
        host = self._hosts().get(name)
        facts = host.model_dump(mode="json") if host else {}
        # An identity is checked, and made, by itself.
        home = [key for key in of_home(facts) if key not in (syncthing.CERT, syncthing.KEY)]
        return {*needed(self.store.root.parent / "ansible", facts.get("playbook"), facts.get("tags", ())), *home}

    def reload(self) -> None:
        """Read the inventory files again, after they were edited."""
        self.inventories = self._load()

    def recipients(self) -> dict[str, str]:
        """age recipient of each host that has one."""
        hosts = self._hosts().items()
        return {name: facts.age_recipient for name, facts in hosts if isinstance(facts, ManagedHost) and facts.age_recipient}

    def _known(self, hosts: Sequence[str]) -> None:
        for name in hosts:
            if name not in self._names():
                near = did_you_mean(name, self._names())
                known = ", ".join(self._names())
                raise ValueError(f"'{name}' is no node and no host that Aether logs in to{near or '.'} Fix: one of {known}")


def unused(path: Path) -> Path:
    """PATH, or PATH with a number where that is taken: the key of another root is not written over."""
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}.{number}")
    return found


def declared(repository: Path, host: str) -> set[str]:
    """Names that the host's Nix files declare in plain sight, as ``aether.secrets.NAME``.

    Nix itself finds the rest when it evaluates (nix/modules/secrets.nix).
    """
    names: set[str] = set()
    for path in (repository / "nix" / "hosts").rglob("*.nix"):
        if path.stem == host or (path.parent.name == host and (path.parent / "default.nix").exists()):
            names |= set(re.findall(r"aether\.secrets\.\"?([a-z0-9][A-Za-z0-9_-]*)", path.read_text()))
    return names


def _flat(values: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Dotted name and text of every value."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        found += _flat(value, f"{above}{key}.") if isinstance(value, dict) else [(f"{above}{key}", str(value))]
    return found


def _unset(values: dict[str, Any]) -> list[str]:
    """Dotted names of the values that only the owner can know."""
    return [name for name, value in _flat(values) if value == UNSET]


def _file(host: str) -> str:
    return f"hosts/{host}.yaml"


def _owner_recipient(key_file: Path) -> str:
    """Recipient of the owner's key, which is made where there is none."""
    if not key_file.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        subprocess.run([tool("age-keygen"), "-o", str(key_file)], check=True, capture_output=True)
        print(f"{key_file}: your private key. Keep a copy off this machine: without it nothing can be decrypted")
    return recipient_of(key_file.read_text())


def recipient_of(text: str) -> str:
    """Recipient of a private key, an age identity or an unencrypted SSH one.

    Raises:
        ValueError: it is none.
    """
    if "OPENSSH PRIVATE KEY" in text:
        return agekey.recipient(agekey.public_key(text))
    run = subprocess.run([tool("age-keygen"), "-y"], input=text, capture_output=True, text=True, check=False)
    if run.returncode or not run.stdout.strip():
        raise ValueError("it is no age identity and no SSH key")
    return run.stdout.split()[0]
