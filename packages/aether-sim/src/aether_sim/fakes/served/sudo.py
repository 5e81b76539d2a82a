"""`sudo`, where a distribution lets its first user become root without a password (Amazon Linux: ec2-user), and on NixOS, where
the system's sudoers says who may run what.

Imitates what sudo-1.9 does with -n -H -S -E -i -s -u USER -p PROMPT, --, and assignments before the command; refuses the rest.
Of sudoers it reads lines USER ALL=(root) NOPASSWD: PROGRAM; who has none of these is asked for a password, which nobody has here.
"""

from __future__ import annotations

from aether_sim.fakes.served.nodes import inside
from aether_sim.hosts import process as proc
from aether_sim.hosts.agent import Call, Refused
from inventory.models import DEPLOY_USER

_FLAGS = {
    "-n",
    "-H",
    "-S",
    "-E",
    "-i",
    "-s",
    "-k",
    "--non-interactive",
    "--set-home",
    "--stdin",
    "--preserve-env",
    "--login",
    "--shell",
}
_WITH_VALUE = {"-u": "user", "--user": "user", "-p": "prompt", "--prompt": "prompt"}


async def run(call: Call) -> int:
    """Run a command as another user, root unless told. Raises Refused."""
    user, assignments, command = _parse(call.argv[1:])
    account = proc.find_user(call.host.root, user)
    if account is None:
        raise Refused(f"sudo: unknown user {user}")
    if call.host.facts.flavour == "nixos" and call.uid != 0:
        _permit(call, user, assignments, command)
        kept = {key: value for key, value in call.environment().items() if key == "SSH_CONNECTION"}
        return await inside(call, call.host, command, {**call.host.environment(account), **kept}, account)
    if not command:
        command = [account.shell or "/bin/sh"]
    return await inside(call, call.host, ["env", *assignments, *command] if assignments else command, user=account)


def _permit(call: Call, user: str, assignments: list[str], command: list[str]) -> None:
    """Raises Refused where no rule of the running system lets the caller run this."""
    root = call.host.root
    caller = _caller(call)
    for line in root.read_text("/etc/static/sudoers", "").splitlines():
        rule = f"{caller} ALL=(root) NOPASSWD: "
        if caller and user == "root" and not assignments and command and line == f"{rule}{command[0]}":
            return
    raise Refused("sudo: a password is required")


async def nix_daemon(call: Call) -> int:
    """Not sudo, but alike: Nix's daemon, which is root, at the wish of an account of `allowed-users`. Raises Refused."""
    root = call.host.root
    if _caller(call) != DEPLOY_USER or not root.exists("/run/current-system/etc/aether/host"):
        raise Refused("error: cannot open connection to remote store: you are not allowed to connect to the Nix daemon")
    account = proc.find_user(root, "root")
    assert account is not None
    environment = {**call.host.environment(account), "AETHER_SIM_CLIENT": DEPLOY_USER}
    return await inside(call, call.host, ["nix-daemon", "--stdio"], environment, account)


def _caller(call: Call) -> str:
    """The caller's name, by the host's own passwd."""
    for line in call.host.root.read_text("/etc/passwd", "").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2] == str(call.uid):
            return fields[0]
    return ""


def _parse(words: list[str]) -> tuple[str, list[str], list[str]]:
    user, assignments = "root", []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in _WITH_VALUE:
            value = value if equals else rest.pop(0) if rest else ""
            user = value if _WITH_VALUE[name] == "user" else user
        elif name not in _FLAGS and not all(f"-{letter}" in _FLAGS for letter in word[1:]):
            raise Refused(f"sudo: unrecognized option '{word}'")
    rest = rest[1:] if rest[:1] == ["--"] else rest
    while rest and "=" in rest[0] and rest[0].split("=", 1)[0].isidentifier():
        assignments.append(rest.pop(0))
    return user, assignments, rest
