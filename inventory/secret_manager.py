"""Keeping the sops files and the inventory's public keys in step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inventory import agekey, sops, syncthing
from inventory.generate import MAKERS, public_half, read_names
from inventory.keys import new_ssh_key, set_fields
from inventory.models import Node
from inventory.overlay import base_of
from inventory.owner import authorities, owner_recipient
from inventory.secret_check import check
from inventory.secret_facts import HOST_KEY, HOST_KEY_PUB, SecretFacts, file_of, unset
from inventory.secret_store import SecretStoreError

SIGNING = "fleet/nix-signing-key"


class SecretManager(SecretFacts):
    """Secrets and inventory files together: what makes and changes them."""

    def init(self, hosts: Sequence[str], source: Path | None) -> list[str]:
        """Give each host (all, or HOSTS) an SSH host key in secrets/, where there is none."""
        self.known(hosts)
        for name in hosts or self.names():
            present = self.store.keys(file_of(name))
            if HOST_KEY in present:
                if HOST_KEY_PUB not in present:
                    self._give(name, self.store.read(file_of(name))[HOST_KEY])
                continue
            given = source / name if source else None
            if given and given.exists():
                self._give(name, given.read_text())
            elif isinstance(self.hosts()[name], Node):
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
            fresh[file_of(name)] = {HOST_KEY: private, HOST_KEY_PUB: agekey.public_key(private)}
            base = self.origin(name)[0]
            like[file_of(name)] = (
                [(key,) for key in sorted(self.wanted(name))] if base == name else self.store.leaves(file_of(base))
            )
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
            for key in unset(values):
                print(f"{file}: only you know {key}: ./aether secrets set {Path(file).stem} {key}")

    def rotate(self, host: str) -> list[str]:
        """A new host key for HOST; every file that it reads is encrypted to the new recipient.

        Raises:
            ValueError: HOST is a Proxmox node, whose key is the machine's own.
        """
        self.known([host])
        if isinstance(node := self.hosts()[host], Node):
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
        self.known([host])
        if isinstance(self.hosts()[host], Node):
            raise ValueError(f"'{host}' is a Proxmox node, which syncs nothing. Fix: name a host")
        certificate, key = syncthing.new_identity()
        readers = sops.readers(self.inventories)[file_of(host)]
        self.store.add(file_of(host), {syncthing.CERT: certificate, syncthing.KEY: key}, readers)
        self.publish_device(host, certificate)
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
        self.known([host])
        path, value = key.split("."), value.rstrip("\n")
        if (self.store.root / file_of(host)).exists():
            self.store.set(file_of(host), path, value)
        else:
            nested: Any = value
            for part in reversed(path):
                nested = {part: nested}
            self.store.create(file_of(host), nested, sops.readers(self.inventories)[file_of(host)])
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
        return check(self)

    def new_owner(self, key_file: Path, ssh_key: Path) -> None:
        """Make everything again: owner, host keys, every value; no old key reads anything afterwards.

        Raises:
            SecretStoreError: no SSH public key at SSH_KEY.
        """
        if not ssh_key.exists():
            raise SecretStoreError(f"{ssh_key}: does not exist. Fix: ssh-keygen -t ed25519, or --ssh-key FILE")
        old = {file: self.store.leaves(file) for file in self.store.files()}
        for name in self.names():
            paths = old.setdefault(file_of(name), [])
            paths += [(key,) for key in sorted(self.needed(name)) if (key,) not in paths]
        site = {
            "age_recipients": [owner_recipient(key_file)],
            "authorized_keys": [ssh_key.read_text().strip()],
        }
        for file in self.files:
            # An environment's owner is its base's.
            if base_of(file) is None:
                set_fields(file, "site", site)
        fresh: dict[str, dict[str, Any]] = {}
        for name in self.names():
            private, public = new_ssh_key(name)
            fresh[file_of(name)] = {HOST_KEY: private, HOST_KEY_PUB: public}
            self.publish(name, public)
            if getattr(self.hosts()[name], "syncthing_id", None):
                certificate, key = syncthing.new_identity()
                fresh[file_of(name)] |= {syncthing.CERT: certificate, syncthing.KEY: key}
                self.publish_device(name, certificate)
        self.inventories = self._load()
        self._fill(old, fresh, authorities(self.store.root.parent, self.inventories[0].site, key_file))
        readers = sops.readers(self.inventories)
        owners = sops.owner_recipients(self.inventories)
        for name, values in fresh.items():
            self.store.create(name, values, readers.get(name, owners))
        self.rekey()
        left = [f"{file}: {key}" for file, values in fresh.items() for key in unset(values)]
        if left:
            print("Only you know these: set each with `./aether secrets set HOST KEY`")
            print("\n".join(f"  {line}" for line in left))

    def _alike(self, names: Sequence[str]) -> dict[str, str]:
        """Values that hosts NAMES have in common with those that there are, by what they share them under (names.toml).

        Raises:
            SecretStoreError: there is one, and it cannot be read: a new one would be another.
        """
        said, found = read_names(self.store.root), dict[str, str]()
        wanted = {said.value_of(f"{name}/{key}") for name in names for key in self.wanted(name)}
        for file in self.store.files():
            for key in self.store.keys(file):
                shared = said.value_of(f"{Path(file).stem}/{key}")
                if shared in wanted and shared not in found:
                    found[shared] = str(self.store.read(file)[key])
        return found

    def _give(self, name: str, private: str) -> None:
        public = agekey.public_key(private)
        self.publish(name, public)
        self.reload()
        self._keep(name, private)

    def _keep(self, name: str, private: str) -> None:
        readers = sops.readers(self.inventories)[file_of(name)]
        self.store.add(file_of(name), {HOST_KEY: private, HOST_KEY_PUB: agekey.public_key(private)}, readers)

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
