"""In which order changed hosts are activated, beyond what they depend on."""

from collections.abc import Iterable
from graphlib import TopologicalSorter

from inventory.load import Inventory


def activation_order(inventory: Inventory, hosts: Iterable[str]) -> dict[str, list[str]]:
    """Hosts that must be healthy before each of HOSTS is touched, by name; every host comes after those that it waits for.

    HOSTS are of one kind: NixOS, Atomic, Ansible, or homes. Roll-outs: "all" adds nothing to what hosts depend on; "canary" lets
    the canaries among them and what these depend on go first; "batches" of N let each batch wait for the one before. Batches are
    filled in the order of dependencies, so that no host of one needs a later one.
    """
    known = list(hosts)
    needs = {name: [other for other in inventory.hosts[name].depends_on if other in known] for name in known}
    rollout = inventory.rollout
    if rollout.strategy == "canary":
        canaries = [name for name in rollout.canary if name in needs]
        first = {*canaries, *(other for name in canaries for other in _ancestors(name, needs))}
        needs = {name: before if name in first else [*before, *canaries] for name, before in needs.items()}
    elif rollout.strategy == "batches":
        order = _sorted(needs)
        for index, name in enumerate(order):
            start = index // rollout.batch * rollout.batch
            needs[name] = [*needs[name], *order[max(0, start - rollout.batch) : start]]
    return {name: list(dict.fromkeys(needs[name])) for name in _sorted(needs)}


def _sorted(needs: dict[str, list[str]]) -> list[str]:
    return list(TopologicalSorter(needs).static_order())


def _ancestors(name: str, needs: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(needs[name])
    while todo:
        other = todo.pop()
        if other not in found:
            found.add(other)
            todo.extend(needs[other])
    return found
