"""rc-service, rc-update and rc-status of a simulated Alpine host.

Imitates OpenRC 0.55 (https://github.com/OpenRC/openrc): rc-service NAME start|stop|restart|reload|status [--ifexists], rc-update
add|del|show NAME [RUNLEVEL], rc-status. Services are those with a script in /etc/init.d; what they run is the unit of the same
name. Refuses services that do not exist and callers who are not root.
"""

from __future__ import annotations

from aether_sim.hosts.agent import Call, Refused

RUNLEVELS = "/etc/runlevels"


def _unit(call: Call, name: str) -> str:
    if not call.host.root.exists(f"/etc/init.d/{name}"):
        raise Refused(f" * rc-service: service `{name}' does not exist")
    return f"{name}.service"


async def rc_service(call: Call) -> int:  # noqa: PLR0911 - one return an action
    """Start, stop and ask for one service."""
    words = [word for word in call.argv[1:] if not word.startswith("-")]
    if "-l" in call.argv or "--list" in call.argv:
        for name in call.host.root.listdir("/etc/init.d"):
            call.out(name)
        return 0
    if "-e" in call.argv or "--exists" in call.argv:
        return 0 if words and call.host.root.exists(f"/etc/init.d/{words[0]}") else 1
    if len(words) < 2:
        raise Refused(" * rc-service: you need to specify a service and a command")
    name, action = words[:2]
    if ("-i" in call.argv or "--ifexists" in call.argv) and not call.host.root.exists(f"/etc/init.d/{name}"):
        return 0
    unit, services = _unit(call, name), call.host.services
    if action == "status":
        state = services.units.get(unit)
        word = "started" if state and state.active == "active" else "crashed" if state and state.active == "failed" else "stopped"
        call.out(f" * status: {word}")
        return {"started": 0, "stopped": 3, "crashed": 32}[word]
    if call.uid != 0:
        raise Refused(f" * {name}: superuser access required")
    if action == "reload":
        return 0 if services.is_active(unit) else 1
    if action not in ("start", "stop", "restart", "zap"):
        raise Refused(f" * {name}: unknown function `{action}'")
    try:
        if action in ("stop", "zap"):
            await services.stop(unit)
            call.out(f" * Stopping {name} ... [ ok ]")
            return 0
        done = await (services.start(unit) if action == "start" else services.restart(unit))
    except KeyError:
        raise Refused(f" * {name}: no program of the simulator runs this service") from None
    call.out(f" * Starting {name} ... [ {'ok' if done else '!!'} ]")
    return 0 if done else 1


async def rc_update(call: Call) -> int:
    """Services of a runlevel: links in /etc/runlevels."""
    words = [word for word in call.argv[1:] if not word.startswith("-")]
    verb = words[0] if words else "show"
    root = call.host.root
    if verb == "show":
        for level in [words[1]] if len(words) > 1 else root.listdir(RUNLEVELS):
            for name in root.listdir(f"{RUNLEVELS}/{level}"):
                call.out(f"{name:>20} | {level}")
        return 0
    if call.uid != 0:
        raise Refused(" * rc-update: superuser access required")
    if len(words) < 2 or verb not in ("add", "del", "delete"):
        raise Refused(" * rc-update: no service specified")
    name, level = words[1], words[2] if len(words) > 2 else "default"
    link = f"{RUNLEVELS}/{level}/{name}"
    if verb == "add":
        _unit(call, name)
        if root.readlink(link) is not None:
            call.out(f" * rc-update: {name} already installed in runlevel `{level}'; skipping")
            return 0
        root.symlink(f"/etc/init.d/{name}", link)
        call.out(f" * service {name} added to runlevel {level}")
        return 0
    if root.readlink(link) is None:
        raise Refused(f" * rc-update: service `{name}' is not in the runlevel `{level}'")
    root.unlink(link)
    call.out(f" * service {name} deleted from runlevel {level}")
    return 0


async def rc_status(call: Call) -> int:
    """Services of the default runlevel and their states."""
    call.out("Runlevel: default")
    for name in call.host.root.listdir(f"{RUNLEVELS}/default"):
        call.out(f" {name:40} [  {'started' if call.host.services.is_active(name + '.service') else 'stopped'}  ]")
    return 0
