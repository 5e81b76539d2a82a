"""Pulumi's output as a person wants to read it: one line for each thing done, and the causes of failures at the end."""

import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TextIO

from inventory.problems import some

# " +  command:local:Command gateway creating (0s) gateway: builds"
_LINE = re.compile(
    r"^ (?P<sign>[-+~= <>]{1,2}) +(?P<type>[\w:/$-]+) (?P<name>\S+) (?P<state>\*{0,2}[a-z]+(?: failed)?\*{0,2})"
    r"(?: \((?P<took>[\d.hms]+)\))? ?(?P<rest>.*)$"
)
_RUNNING = ("creating", "updating", "deleting", "replacing", "refreshing", "reading", "running")
_NOISE = ("using pulumi-resource-", "update failed", "error: 1 error occurred", 'running "components/', "exit status")

# What the engine says of a script that failed.
_ENDED = re.compile(r"exit status (\d+): running")

# What the program says where something else failed: the SDK's words, and stacks/sdk.py's.
_FOLLOWS = ("Program failed with an unhandled exception", "what waits for a resource that failed", "program exited with non-zero")

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


@dataclass
class ProgressPrinter:
    """Is given the output line by line; prints as it goes. As a context manager it also says when it is still at work."""

    nodes: dict[str, str] = field(default_factory=dict)
    out: TextIO = field(default_factory=lambda: sys.stdout)
    planned: Mapping[str, int] = field(default_factory=dict)
    """How many resources of each name were to change, where that is known."""
    _said: set[str] = field(default_factory=set)
    _diagnostics: dict[str, list[str]] = field(default_factory=dict)
    _section: str = ""
    _resource: str = ""
    _warning: bool = False
    _started: float = field(default_factory=time.monotonic)
    _last: float = field(default_factory=time.monotonic)
    _at_work: dict[str, float] = field(default_factory=dict)
    _done: Counter[str] = field(default_factory=Counter)
    _codes: dict[str, int] = field(default_factory=dict)
    _broken: dict[str, None] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "ProgressPrinter":
        threading.Thread(target=self._remind, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()

    def feed(self, line: str) -> None:
        line = line.rstrip("\n")
        if line in ("Diagnostics:", "Resources:", "Outputs:"):
            self._section = line.rstrip(":")
            if line == "Resources:":
                self._say("")
        if self._section == "Diagnostics":
            self._diagnose(line)
        elif self._section == "Resources":
            self._say(line)
        elif found := _LINE.match(line):
            self._progress(**{key: value or "" for key, value in found.groupdict().items()})
        elif line.startswith(("error:", "warning:")):
            self._say(line)

    def failures(self) -> list[str]:
        """One sentence for each resource that failed: which, and why. By name: which one failed first is chance."""
        told = {name: without_consequences(lines) for name, lines in sorted(self._diagnostics.items())}
        return [f"{name}: {self._cause(name, lines)}" for name, lines in told.items() if self._failed(lines)]

    def codes(self) -> list[int]:
        """The exit codes of scripts that failed, each once, in the order of the resources' names."""
        return list(dict.fromkeys(code for _, code in sorted(self._codes.items())))

    def reached(self) -> str:
        """What was done and what was not, by name, once it is over."""
        open_ = [*dict.fromkeys([*self._broken, *self._at_work])]
        done = [name for name in self._done if name not in open_]
        partly = [name for name in done if self._done[name] < self.planned.get(name, 0)]
        lines = [f"Done: {_listed([name for name in done if name not in partly])}."]
        lines += [f"Done in part, the rest waits for what failed: {_listed(partly)}."] if partly else []
        if waiting := sorted(name for name in self.planned if name not in done and name not in open_):
            lines.append(f"Not begun: {_listed(waiting)}.")
        after = "" if self.planned or not open_ else ", and what depends on it"
        return "\n".join([*lines, f"Not done: {_listed(open_)}{after}."])

    def _progress(self, sign: str, type: str, name: str, state: str, took: str, rest: str) -> None:
        kind = type.rsplit(":", 1)[-1]
        rest = re.sub(r"^\[diff: [^\]]*\](; )?", "", rest)
        if kind == "Stack" or type.startswith(("aether:", "pulumi:")):
            return
        if state in _RUNNING:
            self._at_work.setdefault(name, time.monotonic())
            # What a command says while it is at work, once.
            if rest and not rest.startswith(("error", "warning")):
                self._once(f"    {rest}")
            return
        self._at_work.pop(name, None)
        if "failed" in state:
            self._broken[name] = None
            self._once(f"  ! {name}: {kind} {state.strip('*')}")
            return
        if rest and not rest.startswith("warning"):
            self._once(f"    {rest}")
        duration = f" ({took})" if took else ""
        self._done[name] += 1
        self._once(f"  {sign.strip() or ' '} {kind} {name} {state}{duration}")

    def _diagnose(self, line: str) -> None:
        if found := re.match(r"^  ([\w:/-]+) \((.+)\):$", line):
            self._warning = False
            self._resource = found[2] if not found[1].startswith("pulumi:pulumi:Stack") else "the program"
            self._diagnostics.setdefault(self._resource, [])
        elif self._resource and (ended := _ENDED.search(line)):
            self._codes[self._resource] = int(ended[1])
        elif self._resource and line.startswith("    ") and not any(noise in line for noise in _NOISE):
            # A warning goes on until something else begins.
            if line[4:].startswith(("warning:", "error:")):
                self._warning = line[4:].startswith("warning:")
            if not self._warning:
                self._diagnostics[self._resource].append(line[4:])
            elif self._resource == "the program" and line[4:].startswith("warning:"):
                # The program's own say what it left as it is, and what to do.
                self._once(line[4:])

    @staticmethod
    def _failed(lines: list[str]) -> bool:
        return any(line.strip() for line in lines)

    def _cause(self, name: str, lines: list[str]) -> str:
        text = "\n".join(lines)
        # A script of ours has said it in a sentence, with its evidence above.
        if found := re.search(r"(?:\S+: )?(?:FAILED|REFUSED): (.*)", text):
            evidence = [line for line in text.splitlines() if line.startswith("    ")]
            return "\n".join([found[1], *evidence])
        # "nixos-vm-oracle" is the image for node oracle; a guest's node is the inventory's.
        node = self.nodes.get(name) or next((node for node in set(self.nodes.values()) if name.endswith(f"-{node}")), "")
        for pattern, meaning in _CAUSES:
            if found := re.search(pattern, text, re.IGNORECASE | re.MULTILINE):
                names = {**found.groupdict(), "node": f" {node}" if node else ""}
                if "by" in names:
                    names["by"] = f" by {_LOCKS.get(names['by'], names['by'])}" if names["by"] else ""
                said = next((line.strip(" *\t") for line in text.splitlines() if re.search(pattern, line, re.IGNORECASE)), "")
                return f"{meaning.format(**names)} ({said})"
        return text.strip()

    def _once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def _remind(self, every: float = 5) -> None:
        """A line whenever nothing was said for EVERY seconds: what is at work, and for how long."""
        while not self._over.wait(0.5):
            now = time.monotonic()
            if now - self._last >= every:
                names = sorted(self._at_work)
                shown = some(names, 6)
                self._say(f"    … {now - self._started:.0f} s{f', at work on {shown}' if shown else ''}")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        print(text, file=self.out, flush=True)


def without_consequences(lines: Sequence[str]) -> list[str]:
    """LINES without the Python stacks of a resource that failed: what failed is said by that resource itself.

    The stack of any other exception stays: it is a defect of the program's, and says where. That the program failed is said where
    nothing else is.
    """
    kept: list[str] = []
    stack: list[str] = []
    for line in lines:
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
        if not any(said in line for said in _FOLLOWS) or len(lines) == 1:
            kept.append(line)
    return kept + stack[1:]


def _listed(names: list[str], most: int = 20) -> str:
    """NAMES in a line; "nothing" where there are none."""
    return some(names, most) or "nothing"
