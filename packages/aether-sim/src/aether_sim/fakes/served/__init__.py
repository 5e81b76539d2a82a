"""Commands that the supervisor answers for a host."""

from __future__ import annotations

from aether_sim.fakes.served import journalctl, machine, proxmox, sudo, systemctl, systemd_run
from aether_sim.hosts.agent import Refused
from aether_sim.hosts.host import Call, Handler

COMMANDS: dict[str, Handler] = {
    "systemctl": systemctl.run,
    "systemd-run": systemd_run.run,
    "journalctl": journalctl.run,
    "logger": journalctl.logger,
    "sudo": sudo.run,
    "nix-daemon-socket": sudo.nix_daemon,
    **dict.fromkeys(("reboot", "poweroff", "halt", "shutdown"), machine.power),
    **dict.fromkeys(("qm", "pct"), proxmox.guest_tool),
    **{each.__name__: each for each in (proxmox.pvesm, proxmox.pvesh, proxmox.pveversion, proxmox.vzdump, proxmox.qmrestore)},
    **{each.__name__: each for each in (machine.hostname, machine.loginctl, machine.ip, machine.nproc)},
    **{each.__name__.replace("_", "-"): each for each in (machine.rc_service, machine.rc_update)},
}


async def serve(call: Call) -> int:
    """Run one command. Raises Refused."""
    if not call.argv or call.argv[0] not in COMMANDS:
        raise Refused(f"{call.argv[0] if call.argv else ''}: command not found", 127)
    return await COMMANDS[call.argv[0]](call)
