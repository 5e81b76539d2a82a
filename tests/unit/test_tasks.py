"""What holds a guest is waited for, and named."""

from pathlib import Path
from typing import Any

import pytest

from inventory.load import load
from ops import tasks
from ops.stack import OpsError, Stack

INVENTORY = load(Path("inventory/homelab.toml"))
NAME, FACTS = next(iter(INVENTORY.guests().items()))
BACKUP = {"type": "vzdump", "id": "", "node": FACTS.node, "starttime": 1_700_000_000}


def cluster(rounds: int, listed: list[dict[str, Any]]) -> Any:
    """The API of a cluster that shows the lock for so many ROUNDS."""
    left = [rounds]

    def get(path: str) -> Any:
        if path.startswith("/cluster/resources"):
            left[0] -= 1
            other = {"vmid": 99999, "node": "x", "lock": "backup"}
            return [other, {"vmid": FACTS.vmid, "node": FACTS.node, **({"lock": "backup"} if left[0] >= 0 else {})}]
        return listed

    return get


def wait(api: Any, **more: Any) -> list[str]:
    said: list[str] = []
    tasks.wait(Stack("homelab"), INVENTORY, said.append, pause=0, api=api, **more)
    return said


def test_a_free_guest_is_not_spoken_of() -> None:
    assert wait(cluster(0, [])) == []


def test_a_backup_is_named_once() -> None:
    said = wait(cluster(3, [{**BACKUP, "endtime": 1}, BACKUP]))
    assert len(said) == 1
    assert said[0].startswith(f"{NAME} is locked by task vzdump on {FACTS.node} since ")


def test_a_lock_whose_task_nobody_shows_has_its_kind() -> None:
    assert wait(cluster(1, [{**BACKUP, "id": "1"}])) == [f"{NAME} is locked by a task of kind 'backup': waits for it."]


def test_one_that_stays_is_given_up() -> None:
    with pytest.raises(OpsError, match=r"Nothing was changed: .*Fix: .*qm unlock"):
        wait(cluster(10**9, []), seconds=0)


def test_an_api_that_does_not_answer_is_left_to_the_engine() -> None:
    def refused(path: str) -> Any:
        raise OpsError("no")

    assert wait(refused) == []


def test_warnings_of_this_run_are_shown() -> None:
    task = {
        "type": "vzstart",
        "id": str(FACTS.vmid),
        "node": FACTS.node,
        "upid": "UPID:x",
        "starttime": 100,
        "status": "WARNINGS: 1",
    }
    found = [task, {**task, "starttime": 9}, {**task, "status": "OK"}, {**task, "id": "99999"}]
    answers = {"/nodes": [{"node": FACTS.node, "status": "online"}, {"node": "away", "status": "offline"}]}
    api = lambda path: answers.get(path, found)  # noqa: E731
    shown = tasks.warnings(Stack("homelab"), INVENTORY, 50, api=api)
    assert shown == [f"{NAME}: task vzstart ended with warnings; on {FACTS.node}: pvenode task log UPID:x"]
