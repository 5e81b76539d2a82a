"""What the hosts of a stack say themselves, asked over SSH, all at once."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from components.health.checks import check_lines
from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.models import DEPLOY_USER, AtomicHost, ManagedHost, NixosHost

SCRIPTS = REPOSITORY / "components"
STATUS = ("health/scripts/health.sh", "nixos/scripts/host.sh", "nixos/scripts/status.sh")
"""What a NixOS host is asked how it is by, one behind the other."""


@dataclass(frozen=True)
class Report:
    """One host's answer."""

    host: str
    answers: bool
    reason: str = ""
    facts: dict[str, Any] | None = None


def host_script(*names: str) -> str:
    """A remote command line that runs the named host-side scripts (AREA/scripts/NAME of components/), one behind the other."""
    text = "\n".join((SCRIPTS / name).read_text() for name in names)
    return f"bash -c {shlex.quote(text)} aether"


def ask(ssh_config: str, host: str, command: str, timeout: int = 20) -> "subprocess.CompletedProcess[str]":
    """Run COMMAND on HOST over a new connection to its pinned key; exit code 255 when it does not answer."""
    line = ["ssh", "-n", "-F", ssh_config, "-o", "ConnectTimeout=5", host, command]
    try:
        return subprocess.run(line, capture_output=True, text=True, timeout=timeout, check=False, cwd=REPOSITORY)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(line, 255, "", f"no answer within {timeout} s")


def reports(
    ssh_config: str, inventory: Inventory, names: Iterable[str] | None = None, *, health: bool = False
) -> dict[str, Report]:
    """The answers of NAMES; of every node and managed host when not given. External hosts are not asked.

    With HEALTH a NixOS host asks its health checks, too, each once.
    """
    asked = list(names) if names is not None else [*inventory.nodes, *inventory.managed()]
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(asked, pool.map(lambda name: _report(ssh_config, inventory, name, health), asked), strict=True))


def drifts(ssh_config: str, inventory: Inventory, phase: int | None = None) -> dict[str, str]:
    """Hosts that run something else than was deployed, with what they run. One that does not answer is not one of them.

    A NixOS host remembers what the last deployment left it with (/var/lib/aether/deployed); an Atomic host is held against the
    digest in the inventory.
    """
    return drifted(inventory, systems(ssh_config, inventory, phase))


def systems(ssh_config: str, inventory: Inventory, phase: int | None = None) -> dict[str, Report]:
    """The answers of the hosts that can drift."""
    names = [name for name, host in inventory.managed(phase).items() if isinstance(host, NixosHost | AtomicHost)]
    return reports(ssh_config, inventory, names)


def drifted(inventory: Inventory, answers: Mapping[str, Report]) -> dict[str, str]:
    """As ``drifts``, of hosts that were asked."""
    found = {name: drift(inventory.hosts[name], report) for name, report in answers.items()}
    return {name: what for name, what in found.items() if what}


def drift(host: object, report: Report) -> str:
    """What HOST runs instead of what was deployed; empty where it is the same, or not known."""
    facts = report.facts
    if not facts:
        return ""
    if isinstance(host, AtomicHost):
        return _atomic_drift(host, facts.get("deployments", []))
    if "current" not in facts:
        return ""
    if facts["current"] == facts["deployed"]:
        return ""
    since = f" (since {datetime.fromtimestamp(int(facts['since']), UTC):%Y-%m-%d %H:%M} UTC)" if facts["since"].isdigit() else ""
    if facts["deployed"] == "-":
        return f"runs {facts['current']}, which no deployment left it with{since}"
    return f"runs {facts['current']} instead of {facts['deployed']}{since}"


# What `rpm-ostree status --json` calls changes that somebody made on top of the image, and what they are.
_OWN_CHANGES = {
    "requested-packages": "layered",
    "requested-local-packages": "layered from a file",
    "requested-base-removals": "removed from the image",
    "requested-base-local-replacements": "replaced in the image",
}


def _atomic_drift(host: AtomicHost, deployments: list[dict[str, Any]]) -> str:
    """Another image than the inventory's digest, and packages that are not the image's: each rebase carries those along."""
    booted: dict[str, Any] = next((item for item in deployments if item.get("booted")), {})
    digest = booted.get("container-image-reference-digest", "")
    staged = any(item.get("staged") for item in deployments)
    found = []
    if host.digest and digest != host.digest and not staged:
        found.append(f"has booted {digest or 'no image'}")
    changes = [f"{', '.join(sorted(booted[key]))} {how}" for key, how in _OWN_CHANGES.items() if booted.get(key)]
    if booted.get("unlocked", "none") != "none":
        changes.append(f"/usr unlocked ({booted['unlocked']})")
    if changes:
        found.append(f"has {'; '.join(changes)} (`rpm-ostree reset` on the host takes that back)")
    return " and ".join(found)


# The last line of a host's account of its deployments (host.sh, account), where it keeps one.
_LAST = "tail -n 1 /var/lib/aether/deployments.jsonl 2>/dev/null || true"
# What begins the line of an Atomic host about who counts its boots (armed.sh).
_UNARMED = "unarmed: "
# Of a host that is neither: what it has to do and its memory; of a Proxmox node what was restored on it (scratch-guest.sh, good).
# A shell of any kind understands it.
_LOAD = f"cat /proc/loadavg /proc/meminfo 2>/dev/null; {_LAST}; cat /var/lib/aether/restored/* 2>/dev/null || true"

# Of a Proxmox node beside that: how the last backup of each of its guests ended. vzdump writes a log of each anew, and that is
# quicker to read than any storage: another one may be asleep, or elsewhere.
_LOG = "/var/log/vzdump/*-*.log 2>/dev/null | xargs -r stat -c"
_BACKED_UP = (
    f"""grep -l 'INFO: Finished Backup of VM' {_LOG} '{{"backed_up": "%n", "at": %Y}}'; """
    f"""grep -l 'ERROR: Backup of VM' {_LOG} '{{"backup_failed": "%n", "at": %Y}}'; true"""
)


def _report(ssh_config: str, inventory: Inventory, name: str, health: bool) -> Report:
    host: ManagedHost | None = inventory.managed().get(name)
    if isinstance(host, NixosHost):
        assert host is not None
        command = _status_command(host, own_address(ssh_config, name) if health else "")
    elif isinstance(host, AtomicHost):
        command = f"rpm-ostree status --json && {{ {_LAST}; }} && printf '{_UNARMED}' && {host_script('atomic/scripts/armed.sh')}"
    else:
        command = f"{_LOAD}; {_BACKED_UP}" if name in inventory.nodes else _LOAD
    result = ask(ssh_config, name, command)
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        return Report(name, False, lines[-1] if lines else f"exit code {result.returncode}")
    if command.startswith(_LOAD):
        return Report(name, True, facts=load_of(result.stdout))
    try:
        facts, end = json.JSONDecoder().raw_decode(result.stdout)
    except json.JSONDecodeError:
        return Report(name, True)
    rest = result.stdout[end:]
    return Report(name, True, facts={**_last(rest), **_unarmed(rest), **facts} if isinstance(facts, dict) else None)


def _status_command(host: ManagedHost, health_at: str) -> str:
    """What asks a NixOS host how it is; with HEALTH_AT, its own address, its health checks, too."""
    if host.ssh_user == DEPLOY_USER:
        return entry_command("status", health_at, "yes" if health_at else "no")
    asked = [health_at, check_lines(host.health)] if health_at else []
    return " ".join([host_script(*STATUS), *map(shlex.quote, asked)])


def entry_command(step: str, *arguments: str) -> str:
    """By which the account `deploy` has a step of the protocol run as root (components/nixos/scripts/entry.sh)."""
    return f"sudo -n /run/current-system/etc/aether/host 1 {shlex.join([step, *arguments])}"


def own_address(ssh_config: str, name: str) -> str:
    """The address that NAME is reached at: what its health checks mean by its own."""
    line = ["ssh", "-F", ssh_config, "-T", "-G", name]
    said = subprocess.run(line, capture_output=True, text=True, check=False, cwd=REPOSITORY).stdout
    return next((line.split()[1] for line in said.splitlines() if line.startswith("hostname ")), name)


def _last(text: str) -> dict[str, Any]:
    """``last`` and ``deployed_at`` (seconds since 1970) of the account's last line in TEXT; empty where there is none."""
    for line in text.splitlines():
        if line.startswith('{"at": '):
            try:
                found = json.loads(line)
            except json.JSONDecodeError:
                continue
            return {"last": found, "deployed_at": found["at"]}
    return {}


def _unarmed(text: str) -> dict[str, str]:
    """``unarmed`` where TEXT says why nobody takes a bad deployment back in its boot, and what to do; empty elsewhere."""
    for line in text.splitlines():
        if line.startswith(_UNARMED) and line != _UNARMED:
            return {"unarmed": line.removeprefix(_UNARMED)}
    return {}


def _restored(text: str) -> dict[str, int]:
    """Hosts whose backups were restored and proved, and when (seconds since 1970), by the notes of a node in TEXT."""
    found = {}
    for line in text.splitlines():
        if line.startswith('{"restored": '):
            try:
                note = json.loads(line)
                found[str(note["restored"])] = int(note["at"])
            except (json.JSONDecodeError, KeyError, TypeError, ValueError):
                continue
    return found


def _backups(text: str, how: str) -> dict[int, int]:
    """When the last backup of each guest ended so (HOW is backed_up or backup_failed), by its VMID."""
    found = {}
    for log, at in re.findall(rf'^{{"{how}": "[^"]*-(\d+)\.log", "at": (\d+)}}$', text, re.MULTILINE):
        found[int(log)] = int(at)
    return found


def load_of(text: str) -> dict[str, Any] | None:
    """``load`` (of the last minute), ``memory`` and ``available`` (kB) from /proc's texts, the account's last line, and
    ``restored`` (times by host), ``backed_up`` and ``backup_failed`` (times by VMID) where something was; None where nothing of
    it is there.
    """
    found = _last(text)
    for how in ("backed_up", "backup_failed"):
        if backups := _backups(text, how):
            found[how] = backups
    if restored := _restored(text):
        found["restored"] = restored
    for line in text.splitlines():
        words = line.split()
        if len(words) == 5 and "/" in words[3]:
            found["load"] = float(words[0])
        if words and (key := {"MemTotal:": "memory", "MemAvailable:": "available"}.get(words[0])):
            found[key] = int(words[1])
    return found or None
