"""What refers to a guest elsewhere in the cluster, and goes with it when it is destroyed with `purge` (PVE::API2::Qemu)."""

from __future__ import annotations

from typing import Any

from fakepve.routing import die

Entries = dict[str, dict[str, dict[str, Any]]]


def check(entries: Entries, kind: str, vmid: int, *, purging: bool) -> None:
    """Refuse to destroy a guest (KIND vm or ct) that the HA manager looks after, unless PURGING."""
    if not purging and f"{kind}:{vmid}" in entries["/cluster/ha/resources"]:
        raise die(f"unable to remove {kind.upper()} {vmid} - used in HA resources and purge parameter not set.")


def purge(entries: Entries, kind: str, vmid: int) -> None:
    """Take the guest out of HA resources, HA rules and backup jobs; a job of nobody else goes."""
    sid = f"{kind}:{vmid}"
    entries["/cluster/ha/resources"].pop(sid, None)
    for path, key, word in (("/cluster/ha/rules", "resources", sid), ("/cluster/backup", "vmid", str(vmid))):
        for name, entry in list(entries[path].items()):
            words = [item for item in str(entry.get(key) or "").split(",") if item]
            if word in words:
                words.remove(word)
                entry[key] = ",".join(words)
                if not words:
                    del entries[path][name]
