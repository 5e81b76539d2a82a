"""hostname, hostnamectl, timedatectl, loginctl, systemd-analyze, reboot, poweroff and shutdown of a simulated host.

Imitates hostname(1), hostnamectl(1), shutdown(8) and systemctl reboot of systemd 257
(https://www.freedesktop.org/software/systemd/man/). A reboot or power-off cuts the session, as the real one does.
"""

from __future__ import annotations

import asyncio
import re

from aether_sim.fakes.served import backups
from aether_sim.hosts import units
from aether_sim.hosts.agent import Call, Refused

# The command still gets its answer before the connection breaks.
_GRACE = 0.05


async def _uname(call: Call) -> str:
    code, output = await call.host.run("/usr/bin/uname", "-n")
    return output.strip() if code == 0 else call.host.name


async def hostname(call: Call) -> int:
    """Print or set the running host name."""
    words = [word for word in call.argv[1:] if not word.startswith("-")]
    flags = [word for word in call.argv[1:] if word.startswith("-")]
    if words:
        if call.uid != 0:
            raise Refused("hostname: you must be root to change the host name")
        await call.host.set_hostname(words[0])
        return 0
    name = await _uname(call)
    if "-I" in flags or "--all-ip-addresses" in flags or "-i" in flags:
        call.out(call.host.sim_address)
    elif "-s" in flags or "--short" in flags:
        call.out(name.split(".")[0])
    else:
        call.out(name)
    return 0


async def ip(call: Call) -> int:
    """`ip address show|add`, `ip route show|replace` (ip(8) of iproute2) of a host with one card; a node's bridges."""
    words = [word for word in call.argv[1:] if not word.startswith("-")]
    match words:
        case ["link", *rest] if call.host.facts.kind == "node":
            return backups.link(call, rest)
        case ["route", "show", "default"]:
            call.out("default via 192.168.0.1 dev eth0 proto static")
        case ["address", "show", *_]:
            call.out(f"2: eth0    inet {call.host.address}/24 brd + scope global eth0")
        case ["address", "add", cidr, "dev", "eth0"] if call.uid == 0:
            call.host.detach(call.host.move(cidr.partition("/")[0]))
        case ["route", "replace", "default", *_] if call.uid == 0:
            pass
        case ["address" | "route", "add" | "replace", *_]:
            raise Refused("RTNETLINK answers: Operation not permitted", 2)
        case _:
            raise Refused(f'Object "{" ".join(words)}" is unknown, try "ip help".', 1)
    return 0


async def hostnamectl(call: Call) -> int:
    """`hostnamectl [status]`, `hostname [NAME]`, `set-hostname NAME`; static name in /etc/hostname."""
    words = [word for word in call.argv[1:] if not word.startswith("-")]
    verb = words[0] if words else "status"
    root = call.host.root
    static = root.read_text("/etc/hostname", "").strip()
    if verb == "set-hostname" or (verb == "hostname" and len(words) > 1):
        if call.uid != 0:
            raise Refused("Could not set static hostname: Interactive authentication required.")
        if len(words) < 2 or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62})", words[1]):
            raise Refused(f"Could not set static hostname: Invalid hostname '{words[1] if len(words) > 1 else ''}'")
        if call.host.facts.flavour == "nixos":
            raise Refused("Could not set static hostname: Changing system settings via systemd is not supported on NixOS.")
        root.write("/etc/hostname", words[1] + "\n")
        await call.host.set_hostname(words[1])
        return 0
    if verb == "hostname":
        call.out(await _uname(call))
        return 0
    if verb != "status":
        raise Refused(f"Unknown command verb '{verb}'.")
    if "--static" in call.argv:
        call.out(static)
        return 0
    pretty = re.search(r'PRETTY_NAME="?([^"\n]+)', root.read_text("/etc/os-release", ""))
    call.out(f" Static hostname: {static}\n       Icon name: computer-vm")
    call.out(f"      Machine ID: {root.read_text('/etc/machine-id', '').strip()}")
    call.out(f"Operating System: {pretty[1] if pretty else 'Linux'}\n    Architecture: x86-64")
    return 0


async def timedatectl(call: Call) -> int:
    """`show`, `set-timezone ZONE` (a link in /etc), status."""
    words = [word for word in call.argv[1:] if not word.startswith("-")]
    root = call.host.root
    if words[:1] == ["set-timezone"]:
        if call.uid != 0:
            raise Refused("Failed to set time zone: Interactive authentication required.")
        if len(words) < 2 or not root.exists(f"/usr/share/zoneinfo/{words[1]}"):
            raise Refused(f"Failed to set time zone: Invalid or not installed time zone '{words[1] if len(words) > 1 else ''}'")
        root.symlink(f"/usr/share/zoneinfo/{words[1]}", "/etc/localtime")
        root.write("/etc/timezone", words[1] + "\n")
        return 0
    link = root.readlink("/etc/localtime") or "/usr/share/zoneinfo/UTC"
    zone = link.partition("zoneinfo/")[2] or "UTC"
    if words[:1] == ["show"]:
        call.out(f"Timezone={zone}\nLocalRTC=no\nCanNTP=yes\nNTP=yes\nNTPSynchronized=yes")
    else:
        call.out(f"                Time zone: {zone}\nSystem clock synchronized: yes\n              NTP service: active")
    return 0


async def loginctl(call: Call) -> int:
    """`enable-linger [USER]` and `show-user`; sessions are not modelled."""
    words = [word for word in call.argv[1:] if not word.startswith("-")]
    if words[:1] == ["enable-linger"]:
        call.host.root.write(f"/var/lib/systemd/linger/{words[1] if len(words) > 1 else 'root'}", "")
        return 0
    if words[:1] == ["disable-linger"]:
        call.host.root.unlink(f"/var/lib/systemd/linger/{words[1] if len(words) > 1 else 'root'}")
        return 0
    if words[:1] == ["show-user"] and len(words) > 1:
        linger = call.host.root.exists(f"/var/lib/systemd/linger/{words[1]}")
        call.out(f"Name={words[1]}\nLinger={'yes' if linger else 'no'}")
        return 0
    if not words or words[0] == "list-sessions":
        call.out("No sessions.")
        return 0
    raise Refused(f"Unknown command verb '{words[0]}'.")


async def analyze(call: Call) -> int:
    """`systemd-analyze calendar EXPRESSION` and `verify FILE…`: what the roles use."""
    words = [word for word in call.argv[1:] if not word.startswith("-")]
    if words[:1] == ["calendar"] and len(words) > 1:
        if not re.search(r"\d|daily|weekly|hourly|monthly|yearly", words[1]):
            raise Refused(f"Failed to parse calendar specification '{words[1]}': Invalid argument")
        call.out(f"Normalized form: {words[1]}")
        return 0
    if words[:1] == ["verify"]:
        for path in words[1:]:
            if not call.host.root.exists(path):
                raise Refused(f"Failed to prepare filename {path}: No such file or directory")
        return 0
    call.out("Startup finished in 300ms (userspace) = 300ms.")
    return 0


def _after(call: Call, change: str, delay: float = _GRACE) -> None:
    host = call.host

    async def later() -> None:
        await asyncio.sleep(delay)
        host.log(change)
        host.detach(host.reboot() if change == "reboot" else host.turn_off())

    host.services.log("systemd-logind.service", f"The system will {change} now!")
    host.keep([asyncio.create_task(later())])


async def reboot(call: Call) -> int:
    """Restart the host."""
    if call.uid != 0:
        raise Refused("Call to Reboot failed: Interactive authentication required.")
    _after(call, "reboot")
    return 0


async def poweroff(call: Call) -> int:
    """Turn the host off; for a guest, Proxmox then says stopped."""
    if call.uid != 0:
        raise Refused("Call to PowerOff failed: Interactive authentication required.")
    _after(call, "power off")
    return 0


async def shutdown(call: Call) -> int:
    """`shutdown [-r|-h|-c] [now|+MINUTES]`."""
    words = call.argv[1:]
    if call.uid != 0:
        raise Refused("Call to ScheduleShutdown failed: Interactive authentication required.")
    if "-c" in words:
        call.host.cancel_kept()
        return 0
    when = next((word for word in words if not word.startswith("-")), "+1")
    delay = _GRACE if when in ("now", "+0") else (units.seconds(when.lstrip("+") + "min") or 60.0)
    _after(call, "reboot" if "-r" in words else "power off", delay)
    return 0
