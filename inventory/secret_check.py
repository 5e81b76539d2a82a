"""Holds the sops files against the inventory, what Nix and playbooks want of them, and each other."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from inventory import agekey, sops, syncthing
from inventory.generate import UNSET, public_half, read_names
from inventory.keys import bare
from inventory.models import ManagedHost
from inventory.secret_facts import HOST_KEY, HOST_KEY_PUB, SecretFacts, declared, file_of, flat, unset
from inventory.secret_store import SecretStoreError


def check(facts: SecretFacts) -> list[str]:
    """What does not fit: readers, names that Nix declares; with the owner's key also what the values tell."""
    problems, values = [], dict[str, dict[str, Any]]()
    for file, recipients in sops.readers(facts.inventories).items():
        path = facts.store.root / file
        name = Path(file).stem
        if not path.exists():
            problems.append(f"{path}: does not exist. Fix: ./aether secrets init {name}")
            continue
        if set(facts.store.recipients(file)) != set(recipients):
            problems.append(f"{path}: has other readers. Fix: ./aether secrets rekey")
        there = set(facts.store.keys(file))
        missing = declared(facts.store.root.parent, facts.origin(name)[0]) - there
        problems += [f"{path}: no '{key}', which nix/ declares. Fix: sops edit {path}" for key in sorted(missing)]
        fix = f"./aether secrets set {name}"
        unheld = sorted(facts.needed(name) - there)
        problems += [f"{path}: no '{key}', which its playbook needs. Fix: {fix} {key}" for key in unheld]
        # Without the owner's key there is less to check.
        with suppress(SecretStoreError):
            values[name] = facts.store.read(file)
    for name, held in values.items():
        problems += _values(facts, name, held)
    problems += _pairs(facts, values)
    config = facts.store.root.parent / ".sops.yaml"
    if not config.exists() or config.read_text() != sops.config(facts.inventories):
        problems.append(f"{config}: is not current. Fix: ./aether inventory sops --write")
    return problems


def _values(facts: SecretFacts, name: str, values: dict[str, Any]) -> list[str]:
    """Unset values, and a host key that is not the inventory's."""
    path, host = facts.store.root / file_of(name), facts.hosts().get(name)
    found = [f"{path}: '{key}' is unset. Fix: ./aether secrets set {name} {key}" for key in unset(values)]
    # A node was installed by its owner: its key is the machine's, which only the inventory knows.
    if isinstance(host, ManagedHost) and HOST_KEY in values:
        public = agekey.public_key(values[HOST_KEY])
        if public != bare(host.host_key) or public != bare(values.get(HOST_KEY_PUB, public)):
            fix = f"./aether secrets rotate {name}"
            found.append(f"{path}: {HOST_KEY} is not host_key of '{name}'. Fix: {fix}")
    device, certificate = getattr(host, "syncthing_id", None), values.get(syncthing.CERT, UNSET)
    if device and certificate != UNSET and device != syncthing.device_id(certificate):
        fix = f"./aether secrets syncthing {name}"
        found.append(f"{path}: {syncthing.CERT} is not of the syncthing_id of '{name}'. Fix: {fix}")
    return found


def _pairs(facts: SecretFacts, held: dict[str, dict[str, Any]]) -> list[str]:
    """Two sides of one secret that differ, and public halves that belong to another key."""
    names, first, found = read_names(facts.store.root), dict[str, tuple[str, str]](), []
    for host, values in held.items():
        written, environment = facts.origin(host)
        for name, value in flat(values, f"{written}/"):
            shared, earlier = first.setdefault(f"{environment}{names.value_of(name)}", (value, name))
            if shared != value:
                found.append(f"{environment}{name}: is not the value of {earlier}. Fix: set one to the other's value")
            public = None if environment else names.public_file(name)
            path = facts.store.root.parent / public if public else None
            if path is None or value == UNSET:
                continue
            half = public_half(names.kind(name), value)
            if not path.exists() or bare(path.read_text()) != half:
                found.append(f"{path}: is not the public half of {name}. Fix: write {half}")
    return found
