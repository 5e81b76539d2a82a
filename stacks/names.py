"""Names of the public side that become records of a machine."""

from collections.abc import Mapping

from inventory.load import Inventory
from inventory.models import CloudVm, Site


def of_machine(site: Site, name: str, facts: CloudVm) -> tuple[str, ...]:
    """A machine's own name, then those that the inventory gives it under the public domain."""
    return (f"{name}.{site.domain}", *(f"{label}.{site.public_domain}" for label in facts.public_names))


def of_services(homelab: Inventory | None, domain: str) -> tuple[str, ...]:
    """Names of the HOMELAB's public services under the public DOMAIN; they lead to the gateway."""
    services = homelab.services if homelab else {}
    return tuple(sorted(f"{service.subdomain or name}.{domain}" for name, service in services.items() if service.public))


def of_all(inventory: Inventory, homelab: Inventory | None, machines: Mapping[str, CloudVm]) -> list[str]:
    """Every name that becomes a record of one of MACHINES."""
    site, cloud = inventory.site, inventory.cloud
    assert cloud is not None
    own = [label for name, facts in machines.items() for label in of_machine(site, name, facts)]
    gateway = (f"{cloud.gateway}.{site.public_domain}", site.public_domain)
    return [*own, *gateway, *of_services(homelab, site.public_domain)]
