"""One look at the whole fleet: what the inventory says, what each host says of itself, and what is wrong with it."""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from components.nixos.desired import EvaluationError
from inventory.edges import Edge, edges
from inventory.load import Inventory, InventoryError, load_all, production
from inventory.models import External, Host, NixosHost
from ops import hosts
from ops.orders.document import Order
from ops.orders.leaving import lying
from ops.stack import Stack
from ops.wanted import wanted_closures
from stacks.live import Report, drift, reports

DAY = 86400
# A backup a night, an hour's spread, and the time that it takes (nix/modules/backup.nix).
BACKUP_OLD = 30 * 3600
# Certificates of the own authority live for two days and are renewed every six hours; public ones every two months.
CERTIFICATE_OLD = 75 * DAY
# A restore test a month, and some days for whoever looks at one that failed.
RESTORE_OLD = 35 * DAY


@dataclass(frozen=True)
class HostStatus:
    """A host or Proxmox node. Times are seconds since 1970, memory is in MiB; None is not known, or not asked."""

    host: str
    kind: str
    node: str | None
    address: str
    state: str
    generation: str | None = None
    network: str = ""
    description: str = ""
    managed: bool = True
    answers: bool | None = None
    system: str | None = None
    since: int | None = None
    """Runs its system since."""
    deployed_at: int | None = None
    deployed_by: str | None = None
    revision: str | None = None
    behind: bool | None = None
    """The repository has another system for it than was deployed."""
    drift: str = ""
    unarmed: str = ""
    """Of an Atomic host: why nobody takes a bad deployment back in its boot, and what to do."""
    unhealthy: tuple[str, ...] = ()
    """Health checks of the inventory that do not hold."""
    failed: tuple[str, ...] = ()
    """Units that have failed."""
    certificate: int | None = None
    """Its certificate that was renewed last longest ago was renewed then."""
    backup: int | None = None
    """Its last good backup."""
    backup_failed: int | None = None
    """The last try of Proxmox to back it up failed then."""
    backup_within: int = BACKUP_OLD
    """Seconds in which another backup has to come."""
    restored: int | None = None
    """Its backup was restored, and the copy was good; 0: a job backs it up, and that was never tried."""
    pending: int | None = None
    """An order waits for it at the cache since."""
    ordered: int | None = None
    """It took its last order then."""
    order: str = ""
    """What somebody has to know of its last order."""
    reboot: bool | None = None
    load: float | None = None
    cpu: int | None = None
    memory: int | None = None
    available: int | None = None
    planned: int | None = None
    """Of a node: the memory that its guests are given."""


@dataclass(frozen=True)
class Fleet:
    """Hosts and nodes, what leads from one to another, and when they were asked (0: they were not)."""

    site: str
    stack: str
    at: int
    hosts: tuple[HostStatus, ...]
    edges: tuple[Edge, ...] = ()
    networks: Mapping[str, str] = field(default_factory=dict)
    """Their addresses (CIDR), by name."""

    def host(self, name: str) -> HostStatus:
        return next(host for host in self.hosts if host.host == name)

    def as_json(self) -> dict[str, Any]:
        """For programs; ``problems`` by host is what `problems` says."""
        told = {host.host: problems(host, self.at) for host in self.hosts}
        return {**asdict(self), "problems": {name: found for name, found in told.items() if found}}


def look(stack: Stack, inventory: Inventory, managed: set[str], *, asking: bool = True) -> Fleet:
    """The fleet of STACK. MANAGED are the hosts that it has deployed; without ASKING only the inventory is read."""
    config = str(hosts.ssh_config(stack.name))
    answers = reports(config, inventory, health=True) if asking else {}
    at = int(time.time())
    wanted = _wanted(stack, inventory) if asking else {}
    orders = lying(inventory) if asking else {}
    nodes = [_node(inventory, name, answers.get(name)) for name in inventory.nodes]
    found = [
        _host(name, host, answers.get(name), wanted.get(name), name in managed, asking) for name, host in inventory.hosts.items()
    ]
    found = [_ordered(host, answers.get(host.host), orders.get(host.host), at) for host in found]
    restored = _restored(inventory, answers)
    found = _backed_up([replace(host, restored=restored.get(host.host)) for host in found], inventory, answers)
    others = _neighbours(inventory)
    beyond = [_elsewhere(name, host) for other in others for name, host in other.hosts.items() if name not in inventory.hosts]
    networks = {name: network.cidr for each in (inventory, *others) for name, network in each.networks.items()}
    ways = tuple(edges([inventory, *others]))
    return Fleet(inventory.site.name, stack.name, at if asking else 0, (*nodes, *found, *beyond), ways, networks)


AWAY = "away"
"""State of a host that roams and does not answer: no failure."""
PENDING = "pending"
"""State of one for which an order waits meanwhile."""
# What a host says of an order that it will not look at again.
_ENDED = ("taken", "reverted", "failed", "superseded", "expired")
# As long as the slowest activation, and its health, may take.
_ORDER_SLOW = 3600


def problems(host: HostStatus, at: int) -> list[str]:
    """What somebody has to look at, in words; AT is when the host was asked."""
    found = []
    if host.answers is False:
        found.append(host.state)
    found += [f"{check} does not hold" for check in host.unhealthy]
    found += [f"{unit} has failed" for unit in host.failed]
    if host.drift:
        found.append(f"drifted: {host.drift}")
    if host.unarmed:
        found.append(f"not armed, nobody takes a bad image back in its boot: {host.unarmed}")
    if host.behind:
        found.append("behind: the repository has another system for it")
    if host.order:
        found.append(host.order)
    if host.reboot:
        found.append("waits for a reboot")
    found += _of_backups(host, at)
    if host.certificate is not None and at - host.certificate > CERTIFICATE_OLD:
        found.append(f"a certificate was renewed {ago(host.certificate, at)}")
    if host.memory and host.available is not None and host.available < host.memory * 0.05:
        found.append(f"{host.available} MiB of memory left")
    return found


def _of_backups(host: HostStatus, at: int) -> list[str]:
    found = []
    if host.backup_failed is not None and host.backup_failed > (host.backup or 0):
        found.append(f"its backup failed {ago(host.backup_failed, at)}: /var/log/vzdump on {host.node}")
    if host.backup is not None and at - host.backup > host.backup_within:
        found.append(f"last backup {ago(host.backup, at)}")
    elif host.restored == 0 and host.backup is None and host.deployed_at and at - host.deployed_at > host.backup_within:
        found.append("a job is to back it up, and no backup of it is known")
    if host.restored == 0:
        # What has no backup yet has nothing to be tried.
        if host.backup is not None:
            found.append(f"its backup was never restored to try it: ./aether restore {host.host} --to scratch")
    elif host.restored is not None and at - host.restored > RESTORE_OLD:
        found.append(f"its backup was restored last {ago(host.restored, at)}: ./aether restore {host.host} --to scratch")
    return found


def ago(when: int | None, at: int) -> str:
    """WHEN as a distance from AT: ``3 h ago``; ``-`` where it is not known."""
    if when is None:
        return "-"
    seconds = max(0, at - when)
    for unit, size in (("d", DAY), ("h", 3600), ("min", 60)):
        if seconds >= size * (2 if unit == "d" else 1):
            return f"{seconds // size} {unit} ago"
    return "just now"


def _restored(inventory: Inventory, answers: Mapping[str, Report]) -> dict[str, int]:
    """When each host's backup was restored last, by what the nodes noted; 0: a job backs it up, and no node knows of any."""
    found: dict[str, int] = {}
    for name in inventory.nodes:
        report = answers.get(name)
        for host, at in ((report.facts or {}).get("restored", {}) if report else {}).items():
            found[host] = max(at, found.get(host, 0))
    if all((report := answers.get(name)) is not None and report.answers for name in inventory.nodes):
        for host in inventory.backed_up():
            found.setdefault(host, 0)
    return found


def _backed_up(hosts: Iterable[HostStatus], inventory: Inventory, answers: Mapping[str, Report]) -> list[HostStatus]:
    """HOSTS with the last backup that Proxmox made of each, where that is newer than its own, and when the next one is due."""
    guests = inventory.guests()
    facts = [report.facts or {} for name in inventory.nodes if (report := answers.get(name))]
    made, failed = (_newest(each.get(how, {}) for each in facts) for how in ("backed_up", "backup_failed"))
    within: dict[str, int] = {}
    for job in inventory.content.backups.values():
        seconds = _within(job.schedule)
        within |= {name: min(seconds, within.get(name, seconds)) for name in inventory.backed_up(job)}

    def told(host: HostStatus, vmid: int) -> HostStatus:
        newest = max(made.get(vmid, 0), host.backup or 0)
        # Its own, which is a nightly one, says by itself when it is old.
        due = BACKUP_OLD if host.backup else within.get(host.host, BACKUP_OLD)
        return replace(host, backup=newest or None, backup_failed=failed.get(vmid) or None, backup_within=due)

    return [told(host, guests[host.host].vmid) if host.host in guests else host for host in hosts]


def _newest(said: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """The latest time of each guest, by VMID, that one of the nodes SAID."""
    newest: dict[int, int] = {}
    for times in said:
        newest |= {vmid: max(at, newest.get(vmid, at)) for vmid, at in times.items()}
    return newest


def _within(schedule: str) -> int:
    """Seconds in which a job of this Proxmox SCHEDULE has to have run again: of a month, of certain weekdays, or daily."""
    if re.match(r"(\S+-)?\*-\d", schedule):
        return 33 * DAY
    return 8 * DAY if re.search("[a-z]", schedule) else BACKUP_OLD


def _wanted(stack: Stack, inventory: Inventory) -> dict[str, str]:
    """What the repository has for each NixOS host, as far as it is known without an evaluation."""
    nixos = {name: host for name, host in inventory.hosts.items() if isinstance(host, NixosHost)}
    try:
        return wanted_closures(stack, inventory, nixos, evaluate=False)
    except (EvaluationError, OSError):
        return {}


def _neighbours(inventory: Inventory) -> list[Inventory]:
    """The other inventories of production, where this one is of it: tunnels lead there."""
    files = production()
    if str(inventory.path) not in files:
        return []
    try:
        return [each for each in load_all(files) if each.path != inventory.path]
    except InventoryError:
        return []


def _node(inventory: Inventory, name: str, report: Report | None) -> HostStatus:
    node = inventory.nodes[name]
    planned = sum(guest.memory for guest in inventory.guests().values() if guest.node == name)
    return HostStatus(
        name, "proxmox-node", None, node.address, hosts.state(report), answers=report.answers if report else None, cpu=node.cpu,
        planned=planned, **_resources(report, node.memory),
    )  # fmt: skip


def _host(name: str, host: Host, report: Report | None, wanted: str | None, managed: bool, asked: bool) -> HostStatus:
    common: dict[str, Any] = {"network": host.network, "description": host.description}
    node = getattr(host, "node", None)
    if isinstance(host, External):
        return HostStatus(name, host.kind, node, host.address, "not managed" if asked else "-", managed=False, **common)
    facts = (report.facts if report else None) or {}
    last = facts.get("last") or {}
    known = facts.get("desired", "-") not in ("-", "")
    away = report is not None and not report.answers and getattr(host, "roams", False)
    return HostStatus(
        name,
        host.kind,
        node,
        host.address,
        AWAY if away else hosts.state(report),
        hosts.generation(report),
        managed=managed,
        answers=report.answers if report and not away else None,
        system=_system(facts),
        since=_number(facts.get("since")),
        deployed_at=_number(facts.get("deployed_at")),
        deployed_by=str(last.get("id", "")).rsplit(":", 1)[0] or None,
        revision=last.get("revision") if last.get("revision") not in ("", "-") else None,
        behind=facts["desired"] != wanted if known and wanted else None,
        drift=drift(host, report) if report else "",
        unarmed=hosts.unarmed(report),
        unhealthy=tuple(facts.get("unhealthy", ())),
        failed=tuple(facts.get("failed", ())),
        certificate=_number(facts.get("certificate")),
        backup=_number(facts.get("backup")),
        reboot=bool(facts.get("booted") and facts.get("kernel") == "other") if "kernel" in facts else None,
        cpu=getattr(host, "cpu", None),
        **_resources(report, getattr(host, "memory", None)),
        **common,
    )


def _ordered(host: HostStatus, report: Report | None, order: Order | None, at: int) -> HostStatus:
    """HOST with what is known of its order: what lies at the cache, and what it says of the last one itself."""
    facts = (report.facts if report else None) or {}
    told: Mapping[str, Any] = facts.get("order") or {}
    outcome, ended = str(told.get("outcome", "")), int(told.get("ended", 0))
    waits = (
        order is not None
        and order.expires > at
        and order.desired != facts.get("desired")
        and not (outcome in _ENDED and int(told.get("at", 0)) >= order.at)
    )
    # What was deployed since is the last word.
    over = ended <= (_number(facts.get("deployed_at")) or 0)
    words = {
        "refused": "refused an order",
        "reverted": "took the system of its order back",
        "failed": "could not take its order",
        "boot": "could not take its order",
        "waiting": "could not take its order yet",
    }
    said = f"{words[outcome]}, {ago(ended, at)}: {told.get('why', '')}" if outcome in words and not over else ""
    if outcome == "begun" and not over and at - ended > _ORDER_SLOW:
        said = f"began to take its order {ago(ended, at)}, and never ended"
    return replace(
        host,
        state=PENDING if waits and host.state == AWAY else host.state,
        pending=order.since if order and waits else None,
        ordered=ended if outcome == "taken" else None,
        order=said,
    )


def _elsewhere(name: str, host: Host) -> HostStatus:
    """A host of another stack: in the picture, and not asked."""
    return HostStatus(
        name, host.kind, None, host.address, "another stack", network=host.network, description=host.description, managed=False
    )  # fmt: skip


def _resources(report: Report | None, memory: int | None) -> dict[str, Any]:
    facts = (report.facts if report else None) or {}
    size = facts.get("memory")
    available = facts.get("available")
    return {
        "load": facts.get("load"),
        "memory": int(size) // 1024 if size else memory,
        "available": int(available) // 1024 if available is not None else None,
    }


def _system(facts: Mapping[str, Any]) -> str | None:
    """The system's name without its hash, or the image that is booted."""
    if "current" in facts:
        return str(facts["current"]).rsplit("/", 1)[-1].partition("-")[2] or str(facts["current"])
    booted: Mapping[str, Any] = next((item for item in facts.get("deployments", []) if item.get("booted")), {})
    return str(booted.get("container-image-reference", "")).rsplit("/", 1)[-1].partition("@")[0] or None


def _number(value: object) -> int | None:
    """A time; None and 0 are none."""
    text = str(value)
    return int(text) or None if text.isdigit() else None
