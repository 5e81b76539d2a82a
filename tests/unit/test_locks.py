"""What an operator is told when another one is at work."""

import os
import socket
from datetime import UTC, datetime

from ops import locks

REFUSAL = """\
Updating (homelab):
error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock file with \
`pulumi cancel`.
  s3://state/.pulumi/locks/organization/aether/homelab/2f0c.json: created by ada@desk (pid 4711) at 2026-11-28T10:00:00Z
"""
NOW = datetime(2026, 11, 28, 10, 12, tzinfo=UTC)


def test_the_refused_one_is_told_who_since_when_and_what_to_do() -> None:
    told = locks.explain("homelab", REFUSAL, NOW)
    assert "ada is at work from desk (process 4711), since 2026-11-28 10:00 UTC, 12 min." in told
    assert "make up STACK=homelab ARGS='--wait 30'" in told
    assert "only when that engine is gone for good: pulumi cancel -s homelab --yes, then make refresh STACK=homelab" in told


def test_an_engine_of_this_machine_that_is_gone_is_known() -> None:
    dead = REFUSAL.replace("desk", socket.gethostname()).replace("4711", "4194304")
    assert locks.locks_in(dead)[0].dead
    told = locks.explain("homelab", dead, NOW)
    assert "no longer there" in told
    assert "Wait" not in told
    # A process of that number which is no engine is not the one that took the lock.
    assert locks.locks_in(dead.replace("4194304", str(os.getpid())))[0].dead


def test_other_errors_and_pulumi_clouds_words() -> None:
    assert not locks.refused("error: update failed")
    conflict = "error: [409] Conflict: Another update is currently in progress."
    assert locks.refused(conflict)
    assert "Another operator is at work" in locks.explain("homelab", conflict)


def test_waiting_ends_when_the_other_one_does() -> None:
    answers, slept, told = [REFUSAL, REFUSAL, ""], list[float](), list[str]()
    assert locks.patiently(lambda: answers.pop(0), 30, told.append, slept.append, lambda: sum(slept)) == ""
    assert (len(slept), len(told)) == (2, 1)
    assert "Waiting, 30 min at most: ada is at work from desk" in told[0]


def test_waiting_has_an_end() -> None:
    slept = list[float]()
    text = locks.patiently(lambda: REFUSAL, 0.5, lambda _: None, slept.append, lambda: sum(slept))
    assert locks.refused(text)
    assert sum(slept) == 30
    # Without --wait it is asked once.
    assert locks.patiently(lambda: REFUSAL, 0, lambda _: None, slept.append, lambda: 0.0) == REFUSAL
