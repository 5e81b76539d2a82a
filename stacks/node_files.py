"""Images that the nodes have already: taken over where they are this version's, and never written over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi

from components.proxmox.image import built_file, content_type, stored_name
from inventory.files import REPOSITORY
from stacks.cluster import client, credentials
from stacks.errors import SettingsError
from stacks.recorded import RecordedFile
from stacks.settings import Settings


@dataclass(frozen=True)
class Stored:
    """What nodes and state have of one image."""

    existing: dict[str, str] = field(default_factory=dict)
    """Node -> volume id, of what is to be imported."""
    imported: frozenset[str] = frozenset()
    """Nodes whose file the state has from an import."""


def stored(
    settings: Settings,
    kind: Literal["vm", "lxc"],
    version: str,
    environment: str,
    datastores: Mapping[str, str],
    known: Mapping[str, RecordedFile],
) -> Stored:
    """Look for the image of this VERSION on the nodes whose file the state does not have.

    A node that cannot be asked has none: its upload says what is wrong.

    Raises:
        SettingsError: a file of its name holds something else.
    """
    name, login = stored_name(kind, version, environment), credentials()
    recorded = {node: known[f"nixos-{kind}-{node}"] for node in datastores if f"nixos-{kind}-{node}" in known}
    imported = frozenset(node for node, file in recorded.items() if file.imported and file.name == name)
    asked = {node: store for node, store in datastores.items() if node not in recorded or recorded[node].name != name}
    if login is None or not asked:
        return Stored(imported=imported)
    api = client(settings, login)
    existing = {}
    for node, datastore in asked.items():
        volume = f"{datastore}:{content_type(kind)}/{name}"
        size = _size(api, node, datastore, content_type(kind), volume)
        if size is not None:
            _refuse_other(node, volume, size, built_file(kind, version))
            pulumi.log.info(f"{node} has {volume} already: it is taken over, not uploaded")
            existing[node] = volume
    return Stored(existing, imported)


def _size(api: Any, node: str, datastore: str, content: str, volume: str) -> int | None:
    """Bytes of VOLUME; None where the node has no such file, or gives no answer."""
    from proxmoxer import ResourceException

    try:
        found = api.nodes(node).storage(datastore).content.get(content=content)
    except (ResourceException, OSError):
        return None
    return next((int(item.get("size") or 0) for item in found if item["volid"] == volume), None)


def _refuse_other(node: str, volume: str, size: int, built: str) -> None:
    """A file that is not whole, or not what this machine built under that name."""
    here = REPOSITORY / built
    wanted = here.stat().st_size if here.is_file() else None
    if size and wanted in (None, size):
        return
    other = f"{built} has {wanted}" if wanted is not None else "it is empty"
    raise SettingsError(
        f"{node}: {volume} is there already, with {size} bytes, and is not this image: {other}. Nothing was changed. "
        f"Fix: look at it, then on {node}: pvesm free {volume} (guests that were born from it do not need it)"
    )
