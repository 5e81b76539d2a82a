"""In which order changed hosts are activated, beyond what they depend on."""

from inventory.load import Inventory


def waits_for(name: str, inventory: Inventory, hosts: list[str]) -> list[str]:
    """Hosts (of HOSTS, in their order) that must be healthy before NAME is touched: its dependencies and the roll-out's.

    Roll-outs: "all" adds nothing; "canary" lets the canary and what it depends on go first; "batches" of N let each batch wait
    for the one before.
    """
    needed = [other for other in inventory.hosts[name].depends_on if other in hosts]
    rollout = inventory.rollout
    if rollout.strategy == "canary" and rollout.canary in hosts:
        first = {rollout.canary, *_ancestors(rollout.canary, inventory)}
        if name not in first:
            needed.append(rollout.canary)
    elif rollout.strategy == "batches":
        batch = hosts.index(name) // rollout.batch
        needed.extend(hosts[(batch - 1) * rollout.batch : batch * rollout.batch] if batch else [])
    return list(dict.fromkeys(needed))


def _ancestors(name: str, inventory: Inventory) -> set[str]:
    found: set[str] = set()
    todo = list(inventory.hosts[name].depends_on)
    while todo:
        other = todo.pop()
        if other not in found:
            found.add(other)
            todo.extend(inventory.hosts[other].depends_on)
    return found
