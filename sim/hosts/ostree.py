"""Boot of a Fedora Atomic host: the deployment that is first in the boot order, greenboot's verdict on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.hosts.host import Host


class NoBoot(Exception):
    """The host does not come up; the message says why."""


async def boot(host: Host) -> None:
    """Finalize a staged deployment and boot the first one."""
    code, output = await host.run("/usr/lib/aether-sim/ostree_boot.py")
    if code:
        raise NoBoot(output.strip())
