"""What cluster and state hold against what the inventory wants, before anything is registered.

Nothing is adopted, replaced, moved or destroyed by the way: what would be is refused, each with the line to write.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from inventory.load import Inventory
from inventory.models import Guest, NixosVm
from inventory.problems import InventoryError, Lines, Problem
from stacks.cluster import RETIRED, TAG, Cluster, ClusterGuest
from stacks.recorded import RecordedGuest

_WORDS = {"qemu": "a virtual machine", "lxc": "a container"}
GIB = 1024**3
# code, field, message, fix
Finding = tuple[str, str, str, str]


@dataclass(frozen=True)
class Preflight:
    """The three views of a stack's guests, and whether they may be destroyed."""

    inventory: Inventory
    guests: Mapping[str, Guest]
    """Those that this deployment wants."""
    cluster: Cluster
    state: Mapping[str, RecordedGuest]
    stack: str
    protect: bool
    lacking: Sequence[str] = ()
    """Rights that the token lacks for this inventory, as `PRIVILEGE on PATH`; looked at where a guest is to be replaced."""

    detached: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """Disks that were detached from guests that are to be replaced, by VMID."""
    pools: Mapping[str, str] = field(default_factory=dict)
    """Resource pool of each host that the state put into one."""

    def check(self) -> None:
        """Refuse what would cost a guest.

        Raises:
            InventoryError: with every problem.
        """
        lines = Lines(self.inventory.path.read_text())
        findings = [(name, found) for name, facts in self.guests.items() for found in self._findings(name, facts)]
        findings += [(name, found) for name in self.state for found in self._missing(name)]
        if self.lacking:
            findings += [(name, self._cannot_return()) for name, facts in self.guests.items() if facts.replace]
        problems = [
            Problem(str(self.inventory.path), f"hosts.{name}", at, message, fix, code, lines.find(f"hosts.{name}", at))
            for name, (code, at, message, fix) in findings
        ]
        if problems:
            raise InventoryError(problems)

    def _cannot_return(self) -> Finding:
        message = f"it would be destroyed, and could not be made again: the token lacks {', '.join(self.lacking)}"
        return "rights", "replace", message, f"./aether --stack {self.stack} proxmox role --update"

    def node_of(self, name: str) -> str:
        """The node that the guest of host NAME is on, or is to be on.

        A guest that somebody or the HA manager moved stays where it is. An inventory that names another node than at the last
        deployment moves a virtual machine; a container is moved by `./aether move`, which restarts it.
        """
        facts = self.guests[name]
        found = self.cluster.get(facts.vmid)
        if found is None:
            return facts.node
        before = self._before(name)
        if before is not None and before.node != found.node:
            pulumi.log.warn(f"hosts.{name}.node: the guest was moved from {before.node} to {found.node}; an `up` follows it")
            return before.node
        if found.node == facts.node:
            return facts.node
        edited = before is not None and (before.wanted != facts.node if before.wanted else before.node == found.node)
        if edited and found.kind == "qemu" and not found.ha:
            return facts.node
        why = "the HA manager decides" if found.ha else "edited in the inventory" if edited else "it was moved there"
        fix = f'To move it: ./aether --stack {self.stack} move {name}. To leave it there: write node = "{found.node}"'
        pulumi.log.warn(f"hosts.{name}.node: the guest is on {found.node} ({why}), the inventory says {facts.node}. {fix}")
        return found.node

    def imports(self, name: str) -> bool:
        """Whether host NAME's guest is on the cluster, adopted, and the state does not have it."""
        facts = self.guests[name]
        return facts.adopted and facts.vmid in self.cluster and self._before(name) is None

    def disks_of(self, name: str) -> int:
        """How many disks of host NAME's guest the state knows; those that it wants where it has none yet."""
        before = self._before(name)
        return before.disks if before is not None and before.disks else len(self.guests[name].disks)

    def births(self, greeted: Mapping[str, int]) -> dict[str, int]:
        """How many guests each host will have had, by those that were GREETED before: one more where it gets another."""
        found = {}
        for name, facts in self.guests.items():
            had = greeted.get(name, greeted.get(facts.was or "", 0))
            another = self._before(name) is None or facts.replace
            found[name] = max(1, had + 1 if another else had)
        return found

    def _before(self, name: str) -> RecordedGuest | None:
        return self.state.get(name) or self.state.get(self.guests[name].was or "")

    def _findings(self, name: str, facts: Guest) -> Iterator[Finding]:
        found = self.cluster.get(facts.vmid)
        if found is not None:
            yield from self._taken(name, facts, found)
            yield from self._pooled(name, facts, found)
        before = self._before(name)
        old = self.cluster.get(before.vmid) if before is not None else None
        if facts.replace and old is not None and old.ha:
            message = f"its guest {old.vmid} is an HA resource, which Proxmox does not destroy"
            yield "replaces", "replace", message, "take it out of [availability] (or Datacenter, HA) in a run before"
        if facts.replace and before is not None and self.detached.get(before.vmid):
            disks = ", ".join(self.detached[before.vmid])
            tool = "qm disk move" if before.kind == "qemu" else "pct move-volume"
            fix = f"give each to another guest ({tool} {before.vmid} unused0 --target-vmid VMID), or delete it"
            yield "disks-detached", "replace", f"its guest {before.vmid} would take disks along that were kept: {disks}", fix
        if before is not None and isinstance(facts, NixosVm) and before.vmid == facts.vmid:
            yield from self._moved_disks(facts, before)
        if before is None or facts.replace or (found is None and before.vmid == facts.vmid):
            return
        kind = "qemu" if isinstance(facts, NixosVm) else "lxc"
        again = "or, to have it destroyed and created again, replace = true"
        if before.vmid != facts.vmid:
            yield (
                "replaces",
                "vmid",
                f"its guest has VMID {before.vmid}, which cannot be changed",
                f"write vmid = {before.vmid}, {again}",
            )
        elif before.kind != kind:
            yield "replaces", "kind", f"its guest is {_WORDS[before.kind]}", f"write a free vmid for another guest, {again}"
        elif found is not None and found.node != before.node and not pulumi.runtime.is_dry_run():
            fix = f"./aether --stack {self.stack} follow"
            yield "moved", "node", f"its guest was moved to {found.node}, the state has {before.node}", fix

    def _pooled(self, name: str, facts: Guest, found: ClusterGuest) -> Iterator[Finding]:
        """A guest is in one pool, and its rights may hang on it: nobody's is taken out of it by the way."""
        if facts.pool and found.pool not in ("", facts.pool, self.pools.get(name, self.pools.get(facts.was or ""))):
            message = f"its guest {found.vmid} is in pool {found.pool}, where somebody else put it"
            fix = f'write pool = "{found.pool}"; or take it out: pvesh set /pools/{found.pool} --vms {found.vmid} --delete 1'
            yield "pooled", "pool", message, fix

    def _moved_disks(self, facts: NixosVm, before: RecordedGuest) -> Iterator[Finding]:
        """Disks that are elsewhere than is wanted: the provider moves none of a running machine, and says so half-way."""
        usual = self.inventory.nodes[facts.node].disk_datastore
        for index, disk in enumerate(facts.disks):
            interface = disk.interface or f"scsi{index}"
            has, wanted = before.datastores.get(interface), disk.datastore or usual
            if has and has != wanted:
                move = f"qm disk move {facts.vmid} {interface} {wanted} --delete 1"
                fix = f'write datastore = "{has}" for it; or move it, while it runs, on {before.node}: {move}'
                again = f"and then ./aether --stack {self.stack} refresh"
                yield "disk-moves", f"disks[{index}]", f"the disk is on {has} and {wanted} is wanted", f"{fix}, {again}"

    def _taken(self, name: str, facts: Guest, found: ClusterGuest) -> Iterator[Finding]:
        """What stands against FACTS being what was FOUND under its VMID: the provider would adopt whatever that is."""
        what = f"{_WORDS[found.kind]} on {found.node} that is called '{found.name}'"
        other = f"write a free one, vmid = {self._free(facts.vmid)}"
        kind = "qemu" if isinstance(facts, NixosVm) else "lxc"
        if RETIRED in found.tags:
            message = f"{facts.vmid} is the retired {what}"
            yield (
                "vmid-taken",
                "vmid",
                message,
                f"{other}; or delete it: ./aether --stack {self.stack} retire {found.name} --delete",
            )
        elif TAG not in found.tags and not facts.adopted:
            message = f"{facts.vmid} is taken by {what} and was not made by Aether; it stays as it is"
            yield (
                "vmid-taken",
                "vmid",
                message,
                f"{other}; or, where it is this host, take it over with adopted = true",
            )
        elif found.kind != kind and name not in self.state:
            yield "vmid-taken", "vmid", f"{facts.vmid} is {what}, and the inventory makes it {_WORDS[kind]}", other
        elif found.name != name and found.name in self.inventory.hosts:
            yield "vmid-taken", "vmid", f"{facts.vmid} is host '{found.name}' of this inventory on the cluster", other
        elif found.name not in (name, facts.was):
            message = f"{facts.vmid} is {what}: a host that is renamed keeps its guest only when the inventory says so"
            yield "renamed", "was", message, f'write was = "{found.name}"; or, for a guest of its own, {other}'
        # What is over a whole GiB an adopted guest keeps.
        elif facts.disks[0].size < (size := found.disk // GIB) and not facts.replace:
            message = f"the first disk has {size} GiB and {facts.disks[0].size} are wanted: a disk cannot be shrunk"
            yield "disk-shrinks", "disks", message, f"write size = {size} for it"

    def _missing(self, name: str) -> Iterator[Finding]:
        """A guest of the state that this deployment no longer wants would be destroyed."""
        before = self.state[name]
        if name in self.guests or any(facts.was == name for facts in self.guests.values()):
            return
        if any(facts.vmid == before.vmid for facts in self.guests.values()):
            return  # Renamed without `was`, which is said.
        facts = self.inventory.hosts.get(name)
        why = f"is of phase {facts.phase}, which this deployment leaves out" if facts else "is no longer in the inventory"
        if not self.protect or before.disposable:
            pulumi.log.warn(f"hosts.{name}: {why}: its guest {before.vmid} is destroyed")
            return
        back = f"set aether:phase to {facts.phase}" if facts else "put its entry back"
        message = f"{why}, and its guest {before.vmid} would be destroyed"
        yield "missing", "", message, f"{back}; or stop it and keep its disks: ./aether --stack {self.stack} retire {name}"

    def _free(self, wanted: int) -> int:
        taken = {*self.cluster, *(host.vmid for host in self.inventory.guests().values())}
        return next(vmid for vmid in range(max(wanted, 100), 1_000_000_000) if vmid not in taken)
