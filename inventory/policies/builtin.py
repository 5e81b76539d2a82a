"""Aether's own policies: what a homelab that is reachable from outside wants. Their levels are the inventory's to set."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from inventory.models import AtomicHost, External, ManagedHost, NixosHost, Opening
from inventory.policies.policy import Finding, Policy, Resource, Subject

ANYBODY = ("0.0.0.0/0", "::/0")
SSH = 22
ENDPOINTS = ("_endpoint", "_base_url")
"""Settings that end so are URLs of what the program asks."""
_VOLUMES = ("aws:ebs/volume:Volume", "aws:ebs/snapshotCopy:SnapshotCopy")


def _public_ssh(subject: Subject) -> Iterator[Finding]:
    cloud = subject.inventory.cloud
    for name, cidr in (cloud.ssh_from if cloud else {}).items():
        if cidr in ANYBODY:
            yield Finding(
                "cloud", f"'{name}' lets everybody reach SSH", f"{_OWN_NETWORK}, or ssh_from = {{}}: SSM", "", "ssh_from"
            )
    for host, facts in subject.inventory.hosts.items():
        if not facts.elsewhere:
            continue
        for name, cidr in getattr(facts, "ssh_from", {}).items():
            if cidr in ANYBODY:
                yield Finding(host, f"'{name}' lets everybody reach SSH", _OWN_NETWORK, field="ssh_from")
        yield from (
            Finding(host, f"port {opening.port} is SSH, open to everybody", "remove it; ssh_from says who may", field="open")
            for opening in getattr(facts, "open", ())
            if _opens(opening, facts.ssh_port)
        )


_OWN_NETWORK = 'write the network that you come from, like home = "203.0.113.7/32"'


def _opens(opening: Opening, port: int) -> bool:
    return opening.protocol == "tcp" and opening.port in (SSH, port) and bool(set(opening.cidrs) & set(ANYBODY))


def _public_ssh_rules(resource: Resource) -> Iterator[Finding]:
    """Rules of security groups, in whichever resource they are written."""
    values = resource.properties
    rules: list[Any] = []
    if resource.type in ("aws:ec2/securityGroup:SecurityGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"):
        rules = list(values.get("ingress") or [])
    elif resource.type == "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule" or (
        resource.type == "aws:ec2/securityGroupRule:SecurityGroupRule" and values.get("type") == "ingress"
    ):
        rules = [values]
    for rule in rules:
        first, last = rule.get("from_port"), rule.get("to_port")
        who = [
            *(rule.get("cidr_blocks") or []),
            *(rule.get("ipv6_cidr_blocks") or []),
            rule.get("cidr_ipv4"),
            rule.get("cidr_ipv6"),
        ]
        everything = str(rule.get("protocol") or rule.get("ip_protocol")) == "-1"
        if set(who) & set(ANYBODY) and (
            everything or (isinstance(first, int) and isinstance(last, int) and first <= SSH <= last)
        ):
            yield Finding(resource.name, "lets everybody reach SSH", "name the networks that may", "")


def _unencrypted(resource: Resource) -> Iterator[Finding]:
    if resource.type in _VOLUMES and _plain_text(resource.properties):
        yield Finding(resource.name, "is not encrypted", "write encrypted = True where it is made", "")
    if resource.type == "aws:ec2/instance:Instance":
        root = resource.properties.get("root_block_device", {})
        for disk in (root, *(resource.properties.get("ebs_block_devices") or [])):
            if _plain_text(disk):
                yield Finding(resource.name, "a disk of it is not encrypted", "write encrypted = True where it is made", "")


def _plain_text(disk: Any) -> bool:
    """Whether DISK is known to be written as it is; what AWS does when nothing is said."""
    return isinstance(disk, Mapping) and disk.get("encrypted", False) is False and "kms_key_id" not in disk


def _carried_away(subject: Subject) -> Iterator[Finding]:
    """Machines that somebody can carry away, with their disks: by the disk layout that their own Nix files have."""
    for name, host in subject.inventory.hosts.items():
        if host.kind != "nixos-metal":
            continue
        own = host.stands_for or name
        if not _says(subject.repository, own, _SEALED) or _says(subject.repository, own, _PLAIN_DISK):
            fix = "write aether.features.disk = { enable = true; … } into its Nix file (encrypt is on), or a layout with luks"
            yield Finding(name, "its disk is not encrypted: whoever carries the machine away reads it", fix)


_SEALED = re.compile(r"\bluks\b|\bfeatures\.disk\b|\bdisk\s*=\s*\{|\bdisk\.\w+\s*=")
_PLAIN_DISK = re.compile(r"\bencrypt\s*=\s*(lib\.mkForce\s+)?false\b")


def _unprotected(subject: Subject) -> Iterator[Finding]:
    for name, guest in subject.inventory.guests().items():
        mounts = [disk.mount for disk in guest.disks if disk.mount]
        if mounts and guest.disposable:
            fix = "remove disposable = true, or the disk"
            yield Finding(name, f"is disposable, and has data at {', '.join(mounts)}", fix, field="disposable")
        if mounts and guest.replace:
            message = f"any change may destroy it, with its data at {', '.join(mounts)}"
            yield Finding(name, message, "remove replace = true once it is done", field="replace")
    if subject.settings.get("protect") is False and not subject.simulated:
        stack = subject.settings.get("stack", "STACK")
        fix = f"pulumi -s {stack} config rm aether:protect"
        yield Finding("stack", "aether:protect is false: no guest of it is protected", fix, "")
    for name, host in subject.inventory.hosts.items():
        if getattr(host, "volume", None) and not getattr(host, "protect", True):
            yield Finding(name, "has a data volume, and is not protected", "remove protect = false", field="protect")


def _images_by_tag(subject: Subject) -> Iterator[Finding]:
    for name, host in subject.inventory.hosts.items():
        if isinstance(host, AtomicHost) and host.tag and not host.digest:
            fix = f'write digest = "sha256:…" (skopeo inspect --format "{{{{.Digest}}}}" docker://{host.image}:{host.tag})'
            yield Finding(name, f"follows the tag {host.tag}, which may be another image tomorrow", fix, field="tag")


def _insecure(subject: Subject) -> Iterator[Finding]:
    if subject.settings.get("proxmox_insecure") and not subject.simulated:
        stack = subject.settings.get("stack", "STACK")
        fix = f"pulumi -s {stack} config set aether:proxmoxCa inventory/pve-root-ca.pem, and config rm aether:proxmoxInsecure"
        yield Finding("stack", "aether:proxmoxInsecure sends the token to whoever answers", fix, "")
    for endpoint, value in subject.settings.items():
        if endpoint.endswith(ENDPOINTS) and str(value).startswith("http://") and not subject.simulated:
            yield Finding("stack", f"{endpoint} {value} is asked without TLS", "write https://", "")


def _insecure_providers(resource: Resource) -> Iterator[Finding]:
    if resource.type.startswith("pulumi:providers:") and resource.properties.get("insecure") is True:
        yield Finding(resource.name, "trusts any certificate", "give it the authority of its server", "")


def _without_health(subject: Subject) -> Iterator[Finding]:
    for name, host in subject.inventory.hosts.items():
        if isinstance(host, ManagedHost) and not host.health:
            fix = 'write health = [{ unit = "sshd.service" }], or what it is for'
            yield Finding(name, "has no health check: nobody sees that it does not do what it is for", fix, field="health")


def _without_backup(subject: Subject) -> Iterator[Finding]:
    """NixOS hosts whose files name no paths for the backup (nix/modules/backup.nix), and that no job of the cluster backs up."""
    by_job = subject.inventory.backed_up()
    for name, host in subject.inventory.hosts.items():
        if isinstance(host, NixosHost) and name not in by_job and not _says(subject.repository, host.stands_for or name, _BACKUP):
            fix = 'write aether.backup.paths = [ "/var/lib/…" ] into its Nix file, or name it in a [backups.…] table'
            yield Finding(name, "has no backup", fix)


def _without_monitoring(subject: Subject) -> Iterator[Finding]:
    for name, host in subject.inventory.hosts.items():
        if isinstance(host, NixosHost) and _says(subject.repository, host.stands_for or name, _UNWATCHED):
            yield Finding(name, "is not watched", "remove watched = false from its exports.nix")
        elif isinstance(host, External) and not host.health and not subject.inventory.base:
            yield Finding(name, "nobody asks whether it is there", "write health = [{ tcp = PORT }]", field="health")


_BACKUP = re.compile(r"aether\.backup\b|\bbackup\.paths\b|\bbackup\s*=\s*\{")
_UNWATCHED = re.compile(r"\bwatched\s*=\s*false\b")


def _says(repository: Path, host: str, what: re.Pattern[str]) -> bool:
    """Whether the host's own Nix files say WHAT."""
    return any(what.search(text) for text in _files(repository).get(host, ()))


@cache
def _files(repository: Path) -> dict[str, tuple[str, ...]]:
    """The texts of every host's own Nix files: HOST.nix, or a folder HOST with a default.nix."""
    found: dict[str, list[str]] = {}
    for path in sorted((repository / "nix/hosts").rglob("*.nix")):
        inside = [folder.name for folder in path.parents if (folder / "default.nix").is_file()]
        for name in (path.stem, *inside):
            found.setdefault(name, []).append(path.read_text())
    return {name: tuple(texts) for name, texts in found.items()}


POLICIES: Iterable[Policy] = (
    Policy("no-public-ssh", "mandatory", "SSH is open to named networks alone", _public_ssh),
    Policy("no-public-ssh-rules", "mandatory", "No security group opens SSH to everybody", resource=_public_ssh_rules),
    Policy("encrypted-disks", "mandatory", "Disks in a cloud are encrypted", resource=_unencrypted),
    Policy("encrypted-machines", "advisory", "Disks of machines that can be carried away are encrypted", _carried_away),
    Policy("protected-data", "mandatory", "Hosts that hold data are protected", _unprotected),
    Policy("no-insecure-tls", "mandatory", "Who is talked to proves who it is", _insecure),
    Policy("no-insecure-providers", "mandatory", "Providers check certificates", resource=_insecure_providers),
    Policy("images-by-digest", "advisory", "Images are named by their digest", _images_by_tag),
    Policy("has-health", "advisory", "Every host has a health check", _without_health),
    Policy("has-backup", "advisory", "Every NixOS host has a backup", _without_backup),
    Policy("has-monitoring", "advisory", "Every host is watched", _without_monitoring),
)
