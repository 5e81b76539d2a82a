"""Why a resource failed, in a sentence: what scripts, providers and the program say, and what it means."""

import re
from collections.abc import Mapping

# What the program says where something else failed: the SDK's words, and stacks/sdk.py's.
_UNHANDLED = "Program failed with an unhandled exception"
_FOLLOWS = ("what waits for a resource that failed", "program exited with non-zero")
_NOISE = ("error: 1 error occurred", "1 error occurred:", 'running "components/')

# The engine's last word, whatever failed.
_ENGINE = re.compile(r"(update|preview|refresh|destroy) failed")

# What the engine says of a script that failed.
_ENDED = re.compile(r"exit status (\d+): running")

# Kinds of locks that Proxmox writes into a guest's configuration.
_LOCKS = {
    "backup": "a backup (vzdump)",
    "snapshot": "a snapshot",
    "migrate": "a migration",
    "clone": "a clone",
    "disk": "a disk move",
}

# What a provider says, and what it means. {node} is the resource's node, when that is known; other names are the pattern's.
_CAUSES = (
    (
        r"Permission check failed \((?P<path>/[^ ,]*), (?P<right>[A-Z][\w.|]+)\)",
        "the Proxmox token lacks {right} on {path}; give it what `./aether proxmox role` prints",
    ),
    (
        r"only root(?:@pam)? can|only allowed for root@pam|Only root can pass",
        "Proxmox lets only its login root@pam do this, and no token; docs/proxmox.md says what is done instead",
    ),
    (
        r"Permission check failed\s*$|Permission check failed(?! \()",
        "the Proxmox token lacks a right that Proxmox does not name; for a new guest that is VM.Allocate on /vms: "
        "compare it with what `./aether proxmox role` prints",
    ),
    (
        r"error reading from server: EOF|transport is closing|plugin exited unexpectedly",
        "a part of the engine was ended in mid-work: by hand, or for want of memory (dmesg says so). What was done before is in "
        "the state. Fix: run the same command again",
    ),
    (
        r"exceeded maximum number of attempts, (?P<times>\d+), https response error StatusCode: 5\d\d",
        "AWS reported an error of its own, {times} times on end; see https://health.aws.amazon.com, and run it again",
    ),
    (
        r"x509: certificate|tls: failed to verify",
        "the certificate of the Proxmox API is not signed by the authority in aether:proxmoxCa, or is not for this address; "
        "compare it with /etc/pve/pve-root-ca.pem of a node, and find out who answers before you trust another",
    ),
    (
        r"timeout while waiting for .* configuration to become unlocked",
        "it is locked on its Proxmox node{node} and the lock was not given back in time, or the node did not answer; "
        "see the node's task list",
    ),
    (
        r"is locked \((?P<by>[\w-]+)\)|configuration to become unlocked",
        "it is locked{by} on its Proxmox node{node}, and the lock was not given back in time; see the node's task list",
    ),
    (r"can't lock file|got timeout", "another task holds its lock on its Proxmox node{node}; see the node's task list"),
    (r"HTTP 429|Too Many Requests", "the API refuses so many requests at once; run it again, with ARGS='--parallel 4'"),
    (r"HTTP 503", "the API has more requests than it takes, or is starting; run it again, with ARGS='--parallel 4'"),
    (r"HTTP 595|No route to host", "its Proxmox node{node} is offline, or the API cannot reach it"),
    (r"no quorum|cluster not ready", "the Proxmox cluster has lost its quorum; bring a majority of the nodes back"),
    (r"No space left|out of space|not enough space", "the storage on its Proxmox node{node} is full"),
    (
        r"\b401 |HTTP 401|\(401|authentication failure|invalid credentials",
        "Proxmox refused the user, password or token; set aether:proxmoxPassword or aether:proxmoxApiToken",
    ),
    (r"deadline exceeded|Client\.Timeout|timed? ?out|i/o timeout", "the Proxmox API{node} did not answer in time"),
    (r"connection refused", "nothing answers at the address of the Proxmox API; see aether:proxmoxEndpoint"),
    (r"HTTP 5\d\d", "the Proxmox API{node} reported an error of its own"),
)


def code_of(text: str) -> int | None:
    """The exit code of the script that failed, where TEXT is about one."""
    found = _ENDED.search(text)
    return int(found[1]) if found else None


def refusals(text: str) -> list[str]:
    """What the engine's TEXT for people says before it does anything: a setting is missing, the state cannot be read."""
    return [line.removeprefix("error: ") for line in text.splitlines() if line.startswith("error: ")]


def cause(name: str, text: str, nodes: Mapping[str, str]) -> str:
    """One sentence of what TEXT, which was said of the resource NAME, means, with its evidence; NODES is each guest's."""
    text = "\n".join(line for line in text.splitlines() if not any(noise in line for noise in _NOISE))
    # A script of ours has said it in a sentence, with its evidence above.
    if found := re.search(r"(?:\S+: )?(?:FAILED|REFUSED): (.*)", text):
        return "\n".join([found[1], *(line for line in text.splitlines() if line.startswith("    "))])
    # "nixos-vm-oracle" is the image for node oracle; a guest's node is the inventory's.
    node = nodes.get(name) or next((node for node in set(nodes.values()) if name.endswith(f"-{node}")), "")
    for pattern, meaning in _CAUSES:
        if found := re.search(pattern, text, re.IGNORECASE | re.MULTILINE):
            names = {**found.groupdict(), "node": f" {node}" if node else ""}
            if "by" in names:
                names["by"] = f" by {_LOCKS.get(names['by'], names['by'])}" if names["by"] else ""
            said = next((line.strip(" *\t") for line in text.splitlines() if re.search(pattern, line, re.IGNORECASE)), "")
            return f"{meaning.format(**names)} ({said})"
    return text.strip()


def without_consequences(said: list[str]) -> list[str]:
    """What was SAID of the program, without the Python stacks of a resource that failed: what failed is said by that resource
    itself.

    The stack of any other exception stays: it is a defect of the program's, and says where. That the program failed is said where
    nothing else is.
    """
    kept = [text for text in (_without_stacks(each) for each in said) if text and not _ENGINE.fullmatch(text)]
    alone = [text for text in kept if not any(follows in text for follows in _FOLLOWS)]
    return alone or (kept if len(said) == 1 else [])


def _without_stacks(text: str) -> str:
    kept: list[str] = []
    stack: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith(("Traceback (most recent call last):", "The above exception was", "During handling of")):
            stack = stack or [""]
        if stack:
            stack.append(line)
            # The exception's own line stands as far left as the stack's head.
            if re.match(r"\s*[\w.]+(Error|Exception|Failed)\b", line):
                if "ResourceRegistrationFailed" not in line:
                    kept += stack[1:]
                stack = []
            continue
        if line.strip() and _UNHANDLED not in line:
            kept.append(line)
    return "\n".join(kept + stack[1:])
