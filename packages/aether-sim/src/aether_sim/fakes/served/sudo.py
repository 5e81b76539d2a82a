"""`sudo`, where a distribution lets its first user become root without a password (Amazon Linux: ec2-user), and on NixOS, where
the system's sudoers says who may run what.

Imitates what sudo-1.9 does with -n -H -S -k -u USER -p PROMPT, --, and assignments before the command; refuses the rest.
Of sudoers it reads lines USER ALL=(root) NOPASSWD: PROGRAM; who has none of these is asked for a password, which nobody has here.
"""

from __future__ import annotations

from aether_sim.fakes.host.simlib import options
from aether_sim.fakes.served.nodes import inside
from aether_sim.hosts import process as proc
from aether_sim.hosts.agent import Refused
from aether_sim.hosts.host import Call
from inventory.models import DEPLOY_USER


async def run(call: Call) -> int:
    """Run a command as another user, root unless told. Raises Refused."""
    given, command = options(call.argv[1:], "-u -p", first=True)
    if unknown := set(given) - {"-n", "-H", "-S", "-k", "-u", "-p"}:
        raise Refused(f"sudo: unrecognized option '{min(unknown)}'")
    assignments = []
    while command and command[0].partition("=")[0].isidentifier() and "=" in command[0]:
        assignments.append(command.pop(0))
    account = proc.find_user(call.host.root, given.get("-u", ["root"])[-1])
    if account is None:
        raise Refused(f"sudo: unknown user {given['-u'][-1]}")
    environment = call.host.environment(account)
    if call.host.facts.flavour == "nixos" and call.uid != 0:
        # One rule of the running system has to let the caller run this, as it stands.
        rule = f"{_caller(call)} ALL=(root) NOPASSWD: {''.join(command[:1])}"
        rules = call.host.root.read_text("/etc/static/sudoers", "").splitlines()
        if rule not in rules or not command or account.uid or assignments:
            raise Refused("sudo: a password is required")
        environment |= {key: value for key, value in call.environment().items() if key == "SSH_CONNECTION"}
    command = command or [account.shell]
    return await inside(call, call.host, ["env", *assignments, *command] if assignments else command, environment, account)


async def nix_daemon(call: Call) -> int:
    """Not sudo, but alike: Nix's daemon, which is root, at the wish of an account of `allowed-users`. Raises Refused."""
    root, account = call.host.root, proc.find_user(call.host.root, "root")
    if _caller(call) != DEPLOY_USER or not root.exists("/run/current-system/etc/aether/host") or account is None:
        raise Refused("error: cannot open connection to remote store: you are not allowed to connect to the Nix daemon")
    environment = {**call.host.environment(account), "AETHER_SIM_CLIENT": DEPLOY_USER}
    return await inside(call, call.host, ["nix-daemon", "--stdio"], environment, account)


def _caller(call: Call) -> str:
    """The caller's name, by the host's own passwd; `-` where it has none."""
    lines = [line.split(":") for line in call.host.root.read_text("/etc/passwd", "").splitlines()]
    return next((fields[0] for fields in lines if len(fields) > 2 and fields[2] == str(call.uid)), "-")
