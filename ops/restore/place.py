"""Guests that are gone, made again of their backups: under their own VMIDs, with their disks, keys and network cards."""

import time
from collections.abc import Mapping, Sequence

from inventory.load import Inventory
from ops.fleet import out
from ops.guests import cluster_of
from ops.restore.node import Node, newest
from ops.stack import OpsError, Stack


def place(stack: Stack, inventory: Inventory, nodes: Mapping[str, Node], hosts: Sequence[str], storage: str | None) -> int:
    """Restore each of HOSTS that is not on the cluster, those first that others depend on. One that is there is left as it is.

    Raises:
        OpsError: the only host that is meant is there, or has no backup.
    """
    there, without, failed = cluster_of(stack), [], []
    for name in hosts:
        facts = inventory.guests()[name]
        if facts.vmid in there:
            found = there[facts.vmid]
            said = f"{name}: guest {facts.vmid} is there, on {found.node}: it is left as it is"
            if len(hosts) == 1:
                raise OpsError(
                    f"{said}. Fix: to have an older state of it, ./aether retire, or restore it by hand on {found.node}"
                )
            out.print(said)
            continue
        backup = newest(nodes, facts.vmid, facts.node)
        if backup is None:
            without.append(name)
            continue
        begun = time.monotonic()
        out.print(f"{name}: restores {backup.volid} as guest {facts.vmid} on {backup.node}, and starts it")
        where = storage or inventory.nodes[backup.node].disk_datastore
        try:
            nodes[backup.node].run("place", backup.tool, str(facts.vmid), backup.volid, where, what=f"restores {name}")
        except OpsError as error:
            out.print(f"{name}: {error}", markup=False)
            failed.append(name)
            continue
        out.print(f"{name}: is back, after {time.monotonic() - begun:.0f} s")
    if without:
        out.print(f"Without a backup: {', '.join(without)}. `up` creates them again; their data: restic, docs/runbook.md")
    if failed:
        out.print(f"Not restored: {', '.join(failed)}. Mend it and run the same again")
    return int(bool(failed))
