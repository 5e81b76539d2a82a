"""Images of machines at AWS: what their publisher has in the region today."""

from pathlib import Path

from inventory.keys import set_fields
from inventory.load import Inventory
from inventory.models import CloudVm
from ops.cloud import NAMES, image_of, newest, of_system
from ops.stack import OpsError
from ops.update.pins import Found, Newer

REPLACES = "another image is another machine: the next `up` replaces it, its Elastic IP and its data disk stay"


def machine_images(inventory: Inventory, *, write: bool, endpoint: str | None = None) -> Found:
    """The newest official image of what each machine of the INVENTORY runs; an image of one's own is left alone."""
    found = Found()
    for name, host in inventory.hosts.items():
        if not isinstance(host, CloudVm):
            continue
        try:
            image = image_of(host.region, host.ami, endpoint)
        except OpsError as error:
            found.left.append(f"machine images: {error}")
            return found
        if image is None:
            found.left.append(f"`{name}`: {host.ami} is not in {host.region}. Fix: ./aether cloud images prints what is")
            continue
        system = next((system for system, (owner, _) in NAMES.items() if _published_by(image, owner)), None)
        if system is None:
            found.left.append(f"`{name}`: {host.ami} is an image of your own (./aether image publish makes a new one)")
            continue
        latest = newest(of_system(host.region, system, str(image["Architecture"]), endpoint))
        if latest is None or latest["ImageId"] == host.ami:
            continue
        before, after = (f"{each['ImageId']} of {str(each['CreationDate'])[:10]}" for each in (image, latest))
        found.newer.append(Newer(f"ami of {name}", before, after, str(inventory.path), REPLACES))
        if write:
            fields = {"ami": str(latest["ImageId"])} | ({"ami_name": str(latest["Name"])} if host.ami_name else {})
            set_fields(Path(inventory.path), f"hosts.{name}", fields)
    return found


def _published_by(image: dict[str, object], owner: str) -> bool:
    return owner in (image.get("OwnerId"), image.get("ImageOwnerAlias"))
