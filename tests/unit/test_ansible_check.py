"""What a check of playbooks makes of Ansible's report."""

import json
from typing import Any

import pytest

from stacks.ansible_check import SHOWN, differences


def report(**tasks: dict[str, Any]) -> str:
    """By task, its result on the host, as the callback ansible.posix.json has it."""
    return json.dumps(
        {"plays": [{"tasks": [{"task": {"name": name}, "hosts": {"files": result}} for name, result in tasks.items()]}]}
    )


MOTD = {"before": "old\n", "after": "new\n", "before_header": "/etc/motd", "after_header": "/etc/motd"}


def test_nothing_to_change_is_nothing() -> None:
    assert differences(report(Same={"changed": False}, Skipped={"skipped": True})) == ""


def test_the_difference_of_what_changes_is_told_by_its_task_and_nothing_else() -> None:
    text = differences(report(Same={"changed": False, "diff": []}, Motd={"changed": True, "diff": [MOTD]}))
    assert text.splitlines() == ["Motd", "--- before: /etc/motd", "+++ after: /etc/motd", "@@ -1 +1 @@", "-old", "+new"]


@pytest.mark.parametrize(
    ("diff", "shown"),
    [
        ({"before": {"mode": "0644"}, "after": {"mode": "0600"}}, '+ "mode": "0600"'),
        ([{"prepared": "Package samba is installed"}], "Package samba is installed"),
        ([{"before": "", "after": "a\nb\n", "after_header": "/new"}], "+b"),
    ],
)
def test_each_modules_way_of_telling_is_shown(diff: Any, shown: str) -> None:
    assert shown in differences(report(Task={"changed": True, "diff": diff})).splitlines()


def test_of_a_loop_what_changes_is_told_under_one_title() -> None:
    results = [{"changed": False}, {"changed": True}, {"changed": True}]
    assert differences(report(Loop={"changed": True, "results": results})) == "Loop"


def test_a_task_that_fails_in_the_check_is_told_with_its_reason() -> None:
    assert differences(report(Dies={"failed": True, "changed": False, "msg": "no such thing"})) == "Dies\nfailed: no such thing"


def test_a_host_that_cannot_be_asked_is_not_taken_for_unchanged() -> None:
    assert "does not answer" in differences("files: FAILED: files does not answer on SSH")
    assert differences("files: FAILED: nobody is there\n" * SHOWN)
