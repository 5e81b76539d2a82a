"""`sudo`, where a distribution lets its first user become root without a password (Amazon Linux: ec2-user).

Imitates what sudo-1.9 does with -n -H -S -E -i -s -u USER -p PROMPT, --, and assignments before the command; refuses the rest.
"""

from __future__ import annotations

from sim.hosts import process as proc
from sim.hosts.agent import Call, Refused
from sim.standins.served.proxmox import inside

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
    if not command:
        command = [account.shell or "/bin/sh"]
    return await inside(call, call.host, ["env", *assignments, *command] if assignments else command, user=account)


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
