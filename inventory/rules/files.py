"""Files that the inventory names: sops files, playbooks; and nothing readable under secrets/.

sops leaves the names of keys and its recipients readable, so no key is needed to check a file.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from inventory.models import AmazonLinuxVm, AnsibleHost, ManagedHost, NixosHost
from inventory.parse import Draft
from inventory.plaintext import why_secret
from inventory.problems import Problem, did_you_mean
from inventory.rolesecrets import needed

# Files of secrets/ that are meant to be read.
READABLE = {"README.md", "names.toml", "made.toml", "rotating.toml", ".gitignore", ".gitkeep"}


def repository(path: Path) -> Path | None:
    """Root of the repository that holds PATH; None for a file outside one."""
    return next((parent for parent in path.resolve().parents if (parent / "Pulumi.yaml").exists()), None) or next(
        (parent for parent in path.resolve().parents if (parent / "pyproject.toml").exists()), None
    )


def check(drafts: Sequence[Draft], root: Path, secrets: Path) -> None:
    """Files that hosts of DRAFTS name, below ROOT and SECRETS."""
    for draft in drafts:
        for name, host in draft.hosts.items():
            if isinstance(host, ManagedHost):
                _secrets(draft, name, host, secrets)
            if isinstance(host, AnsibleHost | AmazonLinuxVm):
                _playbook(draft, f"hosts.{name}", host.playbook, root)
                _role_secrets(draft, name, needed(root / "ansible", host.playbook, host.tags), secrets)
            if isinstance(host, NixosHost):
                _nix_posture(draft, name, host, root)
        for name, node in draft.nodes.items():
            _playbook(draft, f"nodes.{name}", node.playbook, root)
    if drafts:
        drafts[0].problems.extend(plain_files(secrets))


def sops_recipients(text: str) -> list[str]:
    """age recipients that a sops file is encrypted to; empty when it is not encrypted."""
    return re.findall(r"recipient:\s*(age1[0-9a-z]+)", text) if _is_encrypted(text) else []


def sops_keys(text: str) -> list[str]:
    """Top-level keys of a sops YAML file, without sops' own."""
    return [key for key in re.findall(r"^([A-Za-z0-9_.-]+):", text, re.MULTILINE) if key != "sops"]


def plain_files(secrets: Path) -> list[Problem]:
    """Files under SECRETS that sops has not encrypted, and values in them that it left readable."""
    problems = []
    for path in sorted(secrets.rglob("*")) if secrets.is_dir() else ():
        if not path.is_file() or path.name in READABLE:
            continue
        where, text = path.relative_to(secrets).as_posix(), path.read_text(errors="replace")
        # The emergency key: age's own, for whoever has no sops at hand.
        if where == "break-glass.age" and text.startswith("-----BEGIN AGE ENCRYPTED FILE-----"):
            continue
        file = str(secrets / where)
        if not _is_encrypted(text):
            message = "is not encrypted"
            fix = f"run `sops encrypt --in-place {file}`, and replace what it holds if it was ever committed"
            problems.append(Problem(file, where, "", message, fix, "plain-text-file"))
            continue
        for number, line in enumerate(text.splitlines(), 1):
            key, _, value = line.partition(": ")
            if re.match(r"[A-Za-z0-9_.-]+$", key) and value and not value.startswith("ENC[") and _is_value(key, value):
                fix = f"run `sops edit {file}` so that every value is encrypted, and replace this one"
                message = "is readable in an encrypted file"
                problems.append(Problem(file, where, key, message, fix, "plain-text-file", number))
    return problems


def _is_value(key: str, value: str) -> bool:
    """A public half may be readable; anything else, and whatever looks secret, may not."""
    return not key.endswith(("_pub", "_unencrypted")) or why_secret(key, value) is not None


def _is_encrypted(text: str) -> bool:
    return re.search(r"^sops:\s*$", text, re.MULTILINE) is not None and "ENC[AES256_GCM" in text


def _secrets(draft: Draft, name: str, host: ManagedHost, secrets: Path) -> None:
    where = f"hosts.{name}"
    for file in dict.fromkeys(host.secrets):
        path = secrets / file
        if not path.resolve().is_relative_to(secrets.resolve()):
            message = f"'{file}' is outside {secrets.name}/"
            draft.report("secret-outside", where, "secrets", message, f'write "hosts/{name}.yaml"')
        elif not path.is_file():
            present = [found.relative_to(secrets).as_posix() for found in secrets.rglob("*.yaml")]
            message = f"no file {secrets.name}/{file}{did_you_mean(file, present)}"
            fix = f"run `./aether secrets init {name}`, or remove '{file}'"
            draft.report("no-such-secret", where, "secrets", message, fix)
        else:
            recipients = sops_recipients(path.read_text(errors="replace"))
            if recipients and host.age_recipient and host.age_recipient not in recipients:
                message = f"{secrets.name}/{file} is not encrypted to this host's age_recipient"
                draft.report("secret-unreadable", where, "secrets", message, "run `./aether secrets rekey`")


def _role_secrets(draft: Draft, name: str, wanted: Sequence[str], secrets: Path) -> None:
    """What the host's playbook would stop for: a secret that its file does not hold."""
    path = secrets / "hosts" / f"{name}.yaml"
    held = sops_keys(path.read_text(errors="replace")) if path.is_file() else []
    for key in wanted:
        if key not in held:
            message = f"{secrets.name}/hosts/{name}.yaml holds no '{key}', which the host's playbook cannot do without"
            fix = f"run `./aether secrets set {name} {key}`"
            draft.report("no-such-key", f"hosts.{name}", "secrets", message, fix)


def _playbook(draft: Draft, where: str, playbook: str, root: Path) -> None:
    present = [path.name for path in (root / "ansible").glob("*.yml")]
    # A checkout without the Ansible half has none at all.
    if present and not (root / "ansible" / playbook).is_file():
        message = f"no file ansible/{playbook}{did_you_mean(playbook, present)}"
        fix = f"write playbook = one of {', '.join(sorted(present))}, or add the file"
        draft.report("no-such-playbook", where, "playbook", message, fix)


def _nix_posture(draft: Draft, name: str, host: NixosHost, root: Path) -> None:
    """The host's Nix file must not turn on the posture that excludes the inventory's."""
    other = "relaxed" if host.security == "hardened" else "hardened"
    pattern = re.compile(rf"aether\.security\.{other}\.enable\s*=\s*(lib\.mkForce\s+)?true")
    folder, written = getattr(host, "node", None), host.stands_for or name
    for base in filter(None, (folder and f"nix/hosts/{folder}/{written}", f"nix/hosts/{written}")):
        for file in (f"{base}.nix", f"{base}/default.nix"):
            path = root / file
            if path.is_file() and pattern.search(path.read_text(errors="replace")):
                message = f'"{host.security}" and aether.security.{other}.enable in {file} exclude each other'
                fix = f'write security = "{other}", or remove the line in {file}'
                draft.report("exclusive-security", f"hosts.{name}", "security", message, fix)
