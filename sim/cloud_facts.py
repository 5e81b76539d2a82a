"""What the inventory files say of the public side, read as plain tables, as sim/world.py does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from inventory.overlay import document as tables_of


@dataclass(frozen=True)
class CloudFacts:
    """Region of the machines; owner, repository and images of the image repository."""

    region: str = "eu-central-1"
    owner: str = "example"
    repository: str = ""
    images: tuple[str, ...] = ()


def load(files: Iterable[Path]) -> CloudFacts:
    """The facts of the file that has them; defaults where none has."""
    for path in files:
        document = tables_of(path)
        image = document.get("image")
        if image is None:
            continue
        regions = [host["region"] for host in document.get("hosts", {}).values() if "region" in host]
        return CloudFacts(
            region=regions[0] if regions else "eu-central-1",
            owner=image["owner"],
            repository=image["repository"],
            images=tuple(image["images"]),
        )
    return CloudFacts()
