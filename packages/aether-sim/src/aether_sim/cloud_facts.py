"""What the inventory files say of the public side, read as plain tables, as world.py does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inventory.overlay import document as tables_of


@dataclass(frozen=True)
class CloudFacts:
    """Region of the machines; owner, repository and images of the image repository."""

    region: str = "eu-central-1"
    owner: str = "example"
    repository: str = ""
    images: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    """Images that others build and Atomic hosts follow, without their registry: OWNER/NAME:TAG."""


def load(files: Iterable[Path]) -> CloudFacts:
    """The facts of the file that has them; defaults where none has."""
    documents = [tables_of(path) for path in files]
    found = next((document for document in documents if "image" in document), None)
    if found is None:
        return CloudFacts(foreign=_foreign(documents, "", ()))
    image = found["image"]
    regions = [host["region"] for host in found.get("hosts", {}).values() if "region" in host]
    return CloudFacts(
        region=regions[0] if regions else "eu-central-1",
        owner=image["owner"],
        repository=image["repository"],
        images=tuple(image["images"]),
        foreign=_foreign(documents, image["owner"], image["images"]),
    )


def _foreign(documents: list[dict[str, Any]], owner: str, images: Iterable[str]) -> tuple[str, ...]:
    own = {f"{owner}/{image}" for image in images}
    hosts = [host for document in documents for host in document.get("hosts", {}).values() if host.get("kind") == "atomic"]
    named = {(host["image"].partition("/")[2], host.get("tag", "latest")) for host in hosts}
    return tuple(sorted(f"{image}:{tag}" for image, tag in named if image not in own))
