"""In which order changed hosts are activated, beyond what they depend on."""

from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter

from inventory.load import Inventory
from inventory.rules.references import ancestors


@dataclass(frozen=True)
class Wave:
    """Hosts that change together. Its ``name`` is canary, or its number; all where the inventory has no waves."""

    name: str
    hosts: tuple[str, ...]


def waves(inventory: Inventory, phase: int | None = None) -> list[Wave]:
    """The managed hosts up to PHASE by when they may change: none of a wave is touched before the one before it is through.

    The canaries and what they depend on are the first wave; the others follow in the order of their dependencies, a batch a wave,
    of all kinds together. Hosts that may be away, and what depends on them, are in the last one, for nobody waits for that. The
    public gateway of a cloud is before them all, as Proxmox nodes are: the others stand on it.
    """
    hosts = inventory.managed(phase)
    if inventory.cloud:
        hosts.pop(inventory.cloud.gateway, None)
    rollout = inventory.rollout
    if rollout.strategy != "waves":
        return [Wave("all", tuple(hosts))]
    needs = {name: [other for other in host.depends_on if other in hosts] for name, host in hosts.items()}
    first = {name for canary in rollout.canary if canary in needs for name in (canary, *ancestors(canary, needs))}
    roaming = {name for name, host in hosts.items() if getattr(host, "roams", False)}
    last = {name for name in hosts if name in roaming or roaming & ancestors(name, needs)}
    order = _sorted(needs)
    rest = [name for name in order if name not in first | last]
    size = rollout.at_a_time(len(rest))
    made = [[name for name in order if name in first], *(rest[start : start + size] for start in range(0, len(rest), size))]
    if last:
        made.append([name for name in order if name in last])
    return [Wave(str(number) if number > 1 else "canary", tuple(names)) for number, names in enumerate(made, 1)]


def activation_order(inventory: Inventory, hosts: Iterable[str]) -> dict[str, list[str]]:
    """Hosts that must be healthy before each of HOSTS is touched, by name; every host comes after those that it waits for.

    HOSTS are of one kind: NixOS, Atomic, Ansible, or homes. Roll-outs: "all" adds nothing to what hosts depend on; "canary" lets
    the canaries among them and what these depend on go first; "batches" of N let each batch wait for the one before. Batches are
    filled in the order of dependencies, so that no host of one needs a later one. "waves" are of all kinds together
    (``stacks/waves.py``), so they add nothing here.
    """
    known = list(hosts)
    needs = {name: [other for other in inventory.hosts[name].depends_on if other in known] for name in known}
    rollout = inventory.rollout
    if rollout.strategy == "canary":
        canaries = [name for name in rollout.canary if name in needs]
        first = {*canaries, *(other for name in canaries for other in ancestors(name, needs))}
        needs = {name: before if name in first else [*before, *canaries] for name, before in needs.items()}
    elif rollout.strategy == "batches":
        order = _sorted(needs)
        size = rollout.at_a_time(len(order))
        for index, name in enumerate(order):
            start = index // size * size
            needs[name] = [*needs[name], *order[max(0, start - size) : start]]
    return {name: list(dict.fromkeys(needs[name])) for name in _sorted(needs)}


def _sorted(needs: dict[str, list[str]]) -> list[str]:
    return list(TopologicalSorter(needs).static_order())
