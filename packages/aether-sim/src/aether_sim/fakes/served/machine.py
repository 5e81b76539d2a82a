"""A simulated host's name, address, lingering users, services of OpenRC, and its power, as its own commands have them.

Imitates hostname(1), `loginctl enable-linger` of systemd 257, ip(8) of iproute2 on one card (and a node's bridges), nproc(1) in a
guest, shutdown(8), rc-service and rc-update of OpenRC 0.55 (https://github.com/OpenRC/openrc): services are those with a script
in /etc/init.d, and run as the unit of the same name.
A reboot or power-off cuts the session, as the real one does. Refused: what needs root to others; services that do not exist.
"""

from __future__ import annotations

import asyncio
import os

from aether_sim.fakes.host.simlib import options
from aether_sim.fakes.served import nodes
from aether_sim.hosts import units
from aether_sim.hosts.agent import Refused
from aether_sim.hosts.host import Call

# The command still gets its answer before the connection breaks.
_GRACE = 0.05
_RUNLEVEL = "/etc/runlevels/default"


async def hostname(call: Call) -> int:
    """Set the running host name (the program answers what needs no privilege by itself), or say the address."""
    given, words = options(call.argv[1:])
    if not words:
        call.out(call.host.sim_address if given else call.host.name)
        return 0
    call.need_root("hostname: you must be root to change the host name.")
    await call.host.set_hostname(words[0])
    return 0


async def ip(call: Call) -> int:
    """`ip address show|add`, `ip route show|replace` of a host with one card; a node's bridges."""
    host, (_, words) = call.host, options(call.argv[1:])
    if words[:1] == ["link"] and host.facts.kind == "node":
        return nodes.link(call, words[1:])
    match words:
        case ["route", "show", "default"]:
            call.out("default via 192.168.0.1 dev eth0 proto static")
        case ["address", "show", *_]:
            call.out(f"2: eth0    inet {host.address}/24 brd + scope global eth0")
        case ["address", "add", cidr, "dev", "eth0"] if call.uid == 0:
            host.detach(host.move(cidr.partition("/")[0]))
        case ["route", "replace", "default", *_] if call.uid == 0:
            pass
        case ["address" | "route", "add" | "replace", *_]:
            raise Refused("RTNETLINK answers: Operation not permitted", 2)
        case _:
            raise Refused(f'Object "{" ".join(words)}" is unknown, try "ip help".', 1)
    return 0


async def nproc(call: Call) -> int:
    """In a guest: the cores that it was started with."""
    own = [guest for guest in nodes.guests() if nodes.host_of(guest) is call.host]
    call.out(str(own[0].config.get("cores", 1) if own else os.cpu_count()))
    return 0


async def loginctl(call: Call) -> int:
    """`enable-linger USER`: a file; user managers are not simulated."""
    match call.argv[1:]:
        case ["enable-linger", user]:
            call.need_root("Could not enable linger: Interactive authentication required.")
            call.host.root.write(f"/var/lib/systemd/linger/{user}", "")
        case words:
            raise Refused(f"loginctl {' '.join(words)}: not simulated")
    return 0


async def power(call: Call, verb: str = "") -> int:
    """reboot, poweroff; `shutdown [-r|-c] [now|+MINUTES]`."""
    verb, (given, words) = verb or call.argv[0], options(call.argv[1:])
    call.need_root(f"Call to {verb} failed: Interactive authentication required.")
    if "-c" in given:
        call.host.cancel_kept()
        return 0
    reboots = verb == "reboot" or "-r" in given
    delay = units.seconds(words[0].lstrip("+") + "min") if verb == "shutdown" and words and words != ["now"] else None
    call.host.services.log("systemd-logind.service", f"The system will {'reboot' if reboots else 'power off'} now!")

    async def later() -> None:
        await asyncio.sleep(delay or _GRACE)
        call.host.log("reboot" if reboots else "power off")
        call.host.detach(call.host.reboot() if reboots else call.host.turn_off())

    call.host.keep([asyncio.create_task(later())])
    return 0


async def rc_service(call: Call) -> int:
    """`rc-service NAME start|stop|restart|reload|status`."""
    words = options(call.argv[1:])[1]
    if len(words) < 2:
        raise Refused(" * rc-service: you need to specify a service and a command")
    (name, action), services = words[:2], call.host.services
    if not call.host.root.exists(f"/etc/init.d/{name}"):
        raise Refused(f" * rc-service: service `{name}' does not exist")
    unit = services.units.get(f"{name}.service")
    if action == "status":
        word, code = {"active": ("started", 0), "failed": ("crashed", 32)}.get(unit.active if unit else "", ("stopped", 3))
        call.out(f" * status: {word}")
        return code
    call.need_root(f" * {name}: superuser access required.")
    if action == "reload":
        return 0 if services.is_active(f"{name}.service") else 1
    if action not in ("start", "stop", "restart"):
        raise Refused(f" * {name}: unknown function `{action}'")
    try:
        done = await getattr(services, action)(f"{name}.service") is not False
    except KeyError:
        raise Refused(f" * {name}: no program of the simulator runs this service") from None
    call.out(f" * {'Stopping' if action == 'stop' else 'Starting'} {name} ... [ {'ok' if done else '!!'} ]")
    return 0 if done else 1


async def rc_update(call: Call) -> int:
    """`rc-update show|add NAME|del NAME`: links in the default runlevel."""
    root, words = call.host.root, options(call.argv[1:])[1]
    match words:
        case [] | ["show", *_]:
            for name in root.listdir(_RUNLEVEL):
                call.out(f"{name:>20} | default")
            return 0
        case ["add" | "del", _, *_]:
            call.need_root(" * rc-update: superuser access required.")
        case _:
            raise Refused(f" * rc-update {' '.join(words)}: not simulated")
    verb, name = words[:2]
    link = f"{_RUNLEVEL}/{name}"
    there = root.readlink(link) is not None
    if verb == "del" and not there:
        raise Refused(f" * rc-update: service `{name}' is not in the runlevel `default'")
    if not root.exists(f"/etc/init.d/{name}"):
        raise Refused(f" * rc-update: service `{name}' does not exist")
    if verb == "del":
        root.unlink(link)
    elif not there:
        root.symlink(f"/etc/init.d/{name}", link)
    call.out(f" * service {name} {'added to' if verb == 'add' else 'deleted from'} runlevel default")
    return 0
