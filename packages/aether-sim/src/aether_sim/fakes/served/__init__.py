"""Commands that the supervisor answers for a host."""

from __future__ import annotations

from aether_sim.fakes.served import backups, journalctl, machine, openrc, proxmox, sudo, systemctl, systemd_run
from aether_sim.hosts.agent import Call, Handler, Refused

COMMANDS: dict[str, Handler] = {
    "systemctl": systemctl.run,
    "systemd-run": systemd_run.run,
    "journalctl": journalctl.run,
    "logger": journalctl.logger,
    "hostname": machine.hostname,
    "hostnamectl": machine.hostnamectl,
    "timedatectl": machine.timedatectl,
    "loginctl": machine.loginctl,
    "systemd-analyze": machine.analyze,
    "reboot": machine.reboot,
    "poweroff": machine.poweroff,
    "halt": machine.poweroff,
    "shutdown": machine.shutdown,
    "rc-service": openrc.rc_service,
    "rc-update": openrc.rc_update,
    "rc-status": openrc.rc_status,
    "sudo": sudo.run,
    "nix-daemon-socket": sudo.nix_daemon,
    "pct": proxmox.pct,
    "qm": proxmox.qm,
    "pvesm": proxmox.pvesm,
    "pvesh": proxmox.pvesh,
    "pveversion": proxmox.pveversion,
    "vzdump": backups.vzdump,
    "qmrestore": backups.qmrestore,
    "nproc": proxmox.nproc,
    "ip": machine.ip,
}


async def serve(call: Call) -> int:
    """Run one command. Raises Refused."""
    if not call.argv or call.argv[0] not in COMMANDS:
        raise Refused(f"{call.argv[0] if call.argv else ''}: command not found", 127)
    return await COMMANDS[call.argv[0]](call)
