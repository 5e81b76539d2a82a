"""Boot of a Fedora Atomic host: the deployment that is first in the boot order, greenboot's verdict on it."""

from __future__ import annotations

import json
from typing import Protocol

from aether_sim.hosts.services import Served

_BOOT = "/usr/lib/aether-sim/ostree_boot.py"
_ENVIRONMENT = "/var/lib/aether-sim/grubenv.json"
HEALTHCHECK = "greenboot-healthcheck.service"


class NoBoot(Exception):
    """The host does not come up; the message says why."""


class Again(Exception):
    """The host resets itself, as greenboot makes it after a red boot."""

    def __init__(self, rollback: bool) -> None:
        super().__init__("greenboot is red")
        self.rollback = rollback


class Deployed(Served, Protocol):
    """A host that ostree may roll back."""

    roll_back: bool


async def boot(host: Deployed) -> None:
    """Finalize a staged deployment and boot the first one. Raises NoBoot."""
    command = [_BOOT, "--rollback"] if host.roll_back else [_BOOT]
    host.roll_back = False
    code, output = await host.run(*command)
    if code:
        raise NoBoot(output.strip())


def verdict(host: Deployed) -> None:
    """What greenboot's reboot and rollback units do after its health check. Raises Again.

    Red with attempts left: reset. Red with none left: roll back to the deployment before. Red without a counter (not a
    new deployment): the host stays up, for somebody to look at.
    """
    unit = host.services.units.get(HEALTHCHECK)
    if unit is None or unit.active != "failed":
        return
    environment = json.loads(host.root.read_text(_ENVIRONMENT, "{}"))
    if "boot_counter" not in environment:
        return
    left = int(environment["boot_counter"])
    host.log(f"greenboot is red, {left} attempts left")
    raise Again(rollback=left <= 0)
