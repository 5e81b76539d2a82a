"""Two operators at once: who holds a stack's lock, since when, and how it is broken safely.

Every backend of Pulumi's own kind (file, S3, PostgreSQL, …) keeps a lock file for each engine at work on a stack and names
its holder in the refusal; that is what is read here, so that no backend needs a client of its own. Pulumi Cloud has other words.
"""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

# pkg/backend/diy/lock.go, checkForLock.
_HOLDER = re.compile(r"^\s*(\S+): created by (.*)@(\S+) \(pid (\d+)\) at (\S+)\s*$", re.MULTILINE)
# pkg/backend/httpstate: Pulumi Cloud's answer 409.
_CLOUD = "Another update is currently in progress"
POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Lock:
    """An engine that is at work on a stack, or died there."""

    place: str
    user: str
    host: str
    pid: int
    since: datetime

    @property
    def here(self) -> bool:
        """Whether it was taken on this machine."""
        return self.host == socket.gethostname()

    @property
    def dead(self) -> bool:
        """Whether its engine is known to be gone: only on this machine can that be told."""
        if not self.here:
            return False
        try:
            return b"pulumi" not in Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return Path("/proc").exists()


def refused(text: str) -> bool:
    """Whether TEXT, an engine's output, says that another one has the stack."""
    return "the stack is currently locked by" in text or _CLOUD in text


def locks_in(text: str) -> list[Lock]:
    """The holders that an engine's refusal names."""
    return [
        Lock(place, user, host, int(pid), datetime.fromisoformat(since.replace("Z", "+00:00")))
        for place, user, host, pid, since in _HOLDER.findall(text)
    ]


def explain(stack: str, text: str, now: datetime | None = None) -> str:
    """What a refusal means, for the one who was refused: who, since when, what to do."""
    locks = locks_in(text)
    wait = f"Wait for it: make up STACK={stack} ARGS='--wait 30' (minutes)."
    broken = (
        f"Break the lock only when that engine is gone for good: pulumi cancel -s {stack} --yes, then make refresh STACK={stack},"
        " because what it had begun is not in the state (docs/state.md)."
    )
    if not locks:
        return f"Another operator is at work on stack {stack}. {wait}\n{broken}"
    lines = [f"Stack {stack} is locked: {_who(lock, now or datetime.now(UTC))}." for lock in locks]
    if all(lock.dead for lock in locks):
        return "\n".join([*lines, f"That engine is no longer there. {broken}"])
    return "\n".join([*lines, f"Nothing was changed. {wait}", broken])


def patiently(
    run: Callable[[], str], minutes: float, say: Callable[[str], None], sleep: Callable[[float], None], clock: Callable[[], float]
) -> str:
    """Call RUN, which returns an engine's refusal or "", until it is not refused or MINUTES are over; the last refusal.

    SAY is told once for each holder.
    """
    told: list[Lock] | None = None
    end = clock() + 60 * minutes
    while True:
        text = run()
        locks = locks_in(text)
        if not refused(text) or clock() >= end or (locks and all(lock.dead for lock in locks)):
            return text
        if locks != told:
            told = locks
            holders = "; ".join(_who(lock, datetime.now(UTC)) for lock in locks) or "another operator is at work"
            say(f"Waiting, {minutes:g} min at most: {holders}.")
        sleep(min(POLL_SECONDS, max(0.0, end - clock())))


def _who(lock: Lock, now: datetime) -> str:
    minutes = max(0, round((now - lock.since).total_seconds() / 60))
    ago = "less than a minute" if not minutes else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    gone = ", which is no longer there" if lock.dead else ""
    since = lock.since.astimezone(UTC)
    return f"{lock.user} is at work from {lock.host} (process {lock.pid}{gone}), since {since:%Y-%m-%d %H:%M} UTC, {ago}"
