"""A Proxmox node that copies of guests are made on: one restore test at a time, by the kernel's lock on the node."""

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inventory.files import REPOSITORY
from ops import hosts
from ops.stack import OpsError, Stack

_SCRIPT = REPOSITORY / "components/proxmox/scripts/scratch-guest.sh"
_LOCK = "/run/lock/aether-scratch"
# Says who holds it, and holds it until the operator's end of the connection is gone, however that went.
_HOLD = (
    f'exec 9>>{_LOCK}; flock -n 9 || {{ cat {_LOCK}.holder; exit 1; }}; printf %s "$0" >{_LOCK}.holder; echo held; cat >/dev/null'
)
EVERY = 15
"""Seconds between two words about what takes long."""


@dataclass(frozen=True)
class Backup:
    """A vzdump archive: its volume id, the node that has it, when it was made (seconds since 1970) and its size in bytes."""

    volid: str
    node: str
    made: int
    size: int

    @property
    def tool(self) -> str:
        """What handles its kind of guest."""
        return "qm" if "vzdump-qemu-" in self.volid or ":backup/vm/" in self.volid else "pct"


@dataclass
class Node:
    """The connection to one node, by its pinned key."""

    stack: Stack
    name: str
    say: Callable[[str], None]
    _lock: "subprocess.Popen[str] | None" = None

    def answers(self) -> bool:
        """Whether it can be asked."""
        return self._ssh("true", timeout=20).returncode == 0

    def run(self, *words: str, stdin: str = "", what: str = "", timeout: float | None = None) -> str:
        """What the node's script prints for WORDS. What takes long is told as WHAT.

        Raises:
            OpsError: it could not be done; with the last lines of what it said.
        """
        done = self._ssh(_command(*words), stdin=stdin, what=what, timeout=timeout)
        if done.returncode:
            said = "; ".join((done.stderr.strip() or done.stdout.strip() or "no answer").splitlines()[-3:])
            raise OpsError(f"{self.name} could not {words[0]}: {said}")
        return done.stdout

    def ask(self, tool: str, copy: int, text: str, *arguments: str) -> str | None:
        """What the script TEXT prints in a copy; None where that cannot be asked yet."""
        done = self._ssh(_command("ask", tool, str(copy), *arguments), stdin=text, timeout=180)
        if done.returncode:
            return None
        if tool == "pct":
            return done.stdout
        try:
            answer = json.loads(done.stdout)
        except json.JSONDecodeError:
            return None
        return str(answer.get("out-data", "")) if answer.get("exitcode") == 0 else None

    def backups(self, vmid: int) -> list[Backup]:
        """Archives of a guest that this node has, on whichever storage."""
        found = []
        for line in self.run("backups", self.name, str(vmid)).splitlines():
            for item in json.loads(line):
                size = int(item.get("size") or 0)
                found.append(Backup(str(item["volid"]), self.name, int(item.get("ctime") or 0), size))
        return found

    def hold(self, who: str) -> None:
        """Take the node's lock for as long as this process lives.

        Raises:
            OpsError: another restore test is at work there.
        """
        line = [*self._line(), f"bash -c {shlex.quote(_HOLD)} {shlex.quote(who)}"]
        self._lock = subprocess.Popen(
            line, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._lock.stdout is not None
        answer = self._lock.stdout.readline().strip()
        if answer != "held":
            self.release()
            who = answer or "no answer"
            raise OpsError(f"another restore test is at work on {self.name} ({who}). Fix: try again when it is done")

    def release(self) -> None:
        """Let the lock go."""
        if self._lock is not None:
            assert self._lock.stdin is not None
            self._lock.stdin.close()
            try:
                self._lock.wait(10)
            except subprocess.TimeoutExpired:
                self._lock.kill()
            self._lock = None

    def _line(self) -> list[str]:
        return ["ssh", "-F", str(hosts.ssh_config(self.stack.name)), "-o", "ConnectTimeout=10", self.name]

    def _ssh(
        self, command: str, *, stdin: str = "", what: str = "", timeout: float | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """In a session of its own: Ctrl-C is this process's to handle, and the copy's removal is not cut short by it."""
        begun, told = time.monotonic(), 1
        process = subprocess.Popen(
            [*self._line(), command], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip
        try:
            given: str | None = stdin
            while True:
                try:
                    out, err = process.communicate(given, timeout=EVERY)
                    return subprocess.CompletedProcess([], process.returncode, out, err)
                except subprocess.TimeoutExpired:
                    given = None
                    seconds = time.monotonic() - begun
                    if timeout is not None and seconds > timeout:
                        process.kill()
                        return subprocess.CompletedProcess([], 255, "", f"no answer within {timeout:.0f} s")
                    if what and seconds >= EVERY * told:
                        told += 1
                        self.say(f"  … {what}, {seconds:.0f} s")
        except BaseException:
            process.kill()
            raise


def newest(nodes: Mapping[str, Node], vmid: int, near: str) -> Backup | None:
    """The last backup of a guest on any of NODES, for it may have been moved since; NEAR has it where several see the same."""
    found = [backup for node in nodes.values() for backup in node.backups(vmid)]
    return max(found, key=lambda backup: (backup.made, backup.node == near), default=None)


def _command(*words: str) -> str:
    return f"bash -c {shlex.quote(_SCRIPT.read_text())} aether {shlex.join(words)}"


def good(node: Node, host: str, facts: Mapping[str, Any]) -> None:
    """Note on the node that HOST was restored and well: `aether status` asks the nodes for it."""
    node.run("good", host, json.dumps({"restored": host, **facts}))
