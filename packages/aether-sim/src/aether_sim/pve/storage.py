"""Storages of the simulated nodes: each node has its own `local` and its own guest disks, as local storages are."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from typing import Any

GIB = 1024**3
# The node whose storages a request means; a task keeps that of the request which started it.
current_node: ContextVar[str | None] = ContextVar("current_node", default=None)

Store = dict[str, Any]
# Where the content types live below /var/lib/vz.
CONTENT_DIRECTORIES = {
    "iso": "template/iso",
    "vztmpl": "template/cache",
    "snippets": "snippets",
    "import": "import",
    "backup": "dump",
}


# A stock `local` takes no disk images (`import`): whoever uploads them has to enable that first.
STOCK, PREPARED = "iso,vztmpl,backup", "iso,vztmpl,snippets,import,backup"


def new_stores(image: str, disk: str, content: str = PREPARED) -> dict[str, Store]:
    """The storages of one node: a directory for images and snippets that takes CONTENT, ZFS for guests' disks."""
    stores: dict[str, Store] = {
        image: {
            "type": "dir",
            "path": "/var/lib/vz",
            "content": content,
            "avail": 200 * GIB,
            "total": 200 * GIB,
        },
        disk: {"type": "zfspool", "pool": "rpool/data", "content": "images,rootdir", "avail": 2000 * GIB},
    }
    if disk != "local-lvm" and image != "local-lvm":
        stores["local-lvm"] = {
            "type": "lvmthin",
            "vgname": "pve",
            "thinpool": "data",
            "content": "images,rootdir",
            "avail": 2000 * GIB,
        }
    for store in stores.values():
        store.update(active=1, files=set(), volumes={})
        store.setdefault("total", store["avail"])
    return stores


class NodeStores(MutableMapping[str, Store]):
    """What fakepve takes for the one cluster-wide table: it shows the table of the node that the request names."""

    def __init__(self, nodes: dict[str, dict[str, Store]]) -> None:
        self.nodes = nodes

    def of(self, node: str | None = None) -> dict[str, Store]:
        """The table of a node; without one, the node of the request, or the first."""
        name = node or current_node.get()
        if name not in self.nodes:
            name = next(iter(sorted(self.nodes)))
        return self.nodes[name]

    def take(self, name: str, content: str) -> None:
        """Let a storage take these content types: its definition is the cluster's, also where each node has its own of it."""
        for stores in self.nodes.values():
            if name in stores:
                stores[name]["content"] = content

    def __getitem__(self, name: str) -> Store:
        return self.of()[name]

    def __setitem__(self, name: str, store: Store) -> None:
        self.of()[name] = store

    def __delitem__(self, name: str) -> None:
        del self.of()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.of())

    def __len__(self) -> int:
        return len(self.of())
