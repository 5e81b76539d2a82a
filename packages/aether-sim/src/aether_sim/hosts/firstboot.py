"""What a host is given before it first answers: cloud-init for guests, an installation for the others."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Protocol

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aether_sim.hosts.inroot import HostRoot
from aether_sim.hosts.offer import Offer
from aether_sim.hosts.process import find_user
from aether_sim.hosts.ssh import HOST_KEY

_INSTANCE = "/var/lib/cloud/data/instance-id"


@dataclass
class WriteFile:
    """One entry of cloud-init's write_files."""

    path: str
    content: str
    mode: int = 0o644
    owner: str = "root"


@dataclass
class Seed:
    """What first boot applies, once for each instance id."""

    instance: str = "installed"
    hostname: str | None = None
    host_key: str | None = None
    authorized: dict[str, list[str]] = field(default_factory=dict)
    files: list[WriteFile] = field(default_factory=list)
    commands: list[list[str] | str] = field(default_factory=list)


class Seeded(Offer, Protocol):
    """A host that has a seed."""

    seed: Seed


def seed_of_user_data(text: str, instance: str, default_user: str = "root") -> Seed:
    """Read cloud-init user data (#cloud-config). Raises ValueError for what is not a cloud-config document.

    Imitates the modules ssh, set_hostname, write_files, users and runcmd of cloud-init
    (https://docs.cloud-init.io/en/latest/reference/modules.html); the others are ignored.
    """
    if not text.startswith("#cloud-config"):
        raise ValueError("user data does not start with #cloud-config")
    try:
        document = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"user data is not YAML: {error}") from error
    keys = document.get("ssh_keys", {})
    seed = Seed(instance=instance, hostname=document.get("hostname"), host_key=keys.get("ed25519_private"))
    if document.get("ssh_authorized_keys"):
        seed.authorized.setdefault(document.get("user", default_user), []).extend(document["ssh_authorized_keys"])
    for user in document.get("users", []):
        if isinstance(user, dict) and user.get("ssh_authorized_keys"):
            seed.authorized.setdefault(user["name"], []).extend(user["ssh_authorized_keys"])
    for entry in document.get("write_files", []):
        content = entry.get("content", "")
        if entry.get("encoding") in ("b64", "base64"):
            import base64

            content = base64.b64decode(content).decode()
        mode = int(str(entry.get("permissions", "0644")), 8)
        seed.files.append(WriteFile(entry["path"], content, mode, entry.get("owner", "root:root").split(":")[0]))
    seed.commands = list(document.get("runcmd", []))
    return seed


def random_host_key() -> str:
    """A new private SSH host key, OpenSSH PEM."""
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        .decode()
    )


def public_line(private_key: str, comment: str = "") -> str:
    """The public line of a private key."""
    key = serialization.load_ssh_private_key(private_key.encode(), None)
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{line.decode()} {comment}".strip()


def authorize(root: HostRoot, user: str, lines: list[str]) -> None:
    """Add keys to a user's authorized_keys."""
    account = find_user(root, user)
    if account is None:
        return
    path = f"{account.home}/.ssh/authorized_keys"
    present = root.read_text(path, "").splitlines()
    wanted = [line.strip() for line in lines if line.strip() and line.strip() not in present]
    if wanted:
        root.write(path, "\n".join([*present, *wanted]) + "\n", 0o600)
        with contextlib.suppress(OSError):
            root.chown(f"{account.home}/.ssh", account.uid, account.gid)
            root.chown(path, account.uid, account.gid)


def install_host_key(root: HostRoot, private_key: str, comment: str) -> None:
    """Write both halves of the SSH host key."""
    text = private_key if private_key.endswith("\n") else private_key + "\n"
    root.write(HOST_KEY, text, 0o600)
    root.write(HOST_KEY + ".pub", public_line(text, comment) + "\n")


def apply(host: Seeded) -> list[list[str] | str]:
    """Apply the seed if this instance has not had it; returns the commands to run once the host is up."""
    root, seed = host.root, host.seed
    commands: list[list[str] | str] = []
    if root.read_text(_INSTANCE, "").strip() != seed.instance:
        if seed.host_key:
            install_host_key(root, seed.host_key, host.name)
        for user, lines in seed.authorized.items():
            authorize(root, user, lines)
        if seed.hostname:
            root.write("/etc/hostname", seed.hostname + "\n")
        for file in seed.files:
            root.write(file.path, file.content, file.mode)
            account = find_user(root, file.owner)
            if account is not None and account.uid:
                root.chown(file.path, account.uid, account.gid)
        root.write(_INSTANCE, seed.instance + "\n")
        commands = seed.commands
    for user in host.facts.users:
        # What the image or the installation brings: the operator's key, as NixOS and cloud images keep it.
        if host.surroundings.operator_key:
            root.write(f"/etc/ssh/authorized_keys.d/{user}", host.surroundings.operator_key + "\n")
    if root.exists("/etc/NIXOS") and host.surroundings.signing_key and not root.exists("/etc/nix/nix.conf"):
        # From the image on, a NixOS host takes what the fleet's key has signed.
        root.write("/etc/nix/nix.conf", f"trusted-public-keys = {host.surroundings.signing_key}\n")
    if not root.exists(HOST_KEY):
        install_host_key(root, random_host_key(), host.name)
    if not root.exists("/etc/hostname"):
        root.write("/etc/hostname", host.facts.name + "\n")
    if not root.exists("/etc/machine-id"):
        import uuid

        root.write("/etc/machine-id", uuid.uuid4().hex + "\n")
    names = "".join(f"{address} {name}\n" for name, address in sorted(host.surroundings.names.items()))
    own = f"127.0.0.1 localhost\n{host.sim_address} {host.name}\n"
    root.write("/etc/hosts", own + names)
    return commands
