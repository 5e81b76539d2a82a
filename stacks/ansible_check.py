"""What playbooks would change, asked at preview: `ansible-playbook --check --diff` on every host at once."""

import difflib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pulumi

from components.base import Operator
from components.requests import PlaybookRequest
from inventory.files import REPOSITORY
from stacks.settings import Settings

SHOWN = 4000


def checks(settings: Settings, operator: Operator, playbooks: Mapping[str, str]) -> dict[str, str]:
    """Hosts that their playbook would change, with what it would change (at most 4000 characters); it is shown as well.

    Args:
        playbooks: host name to playbook under ansible/.
    """
    with ThreadPoolExecutor(8) as pool:
        outputs = pool.map(lambda host: _check(settings, operator, host, playbooks[host]), playbooks)
        found = {host: differences(text) for host, text in zip(playbooks, outputs, strict=True)}
    for host, text in found.items():
        if text:
            pulumi.log.info(f"{host}: {playbooks[host]} would change:\n{text}")
    return {host: text for host, text in found.items() if text}


def differences(report: str) -> str:
    """The tasks of Ansible's JSON REPORT that change something, with their differences, and those that failed; empty where none
    does. What is no report, because Ansible could not begin, is told as it is.
    """
    try:
        plays = json.loads(report)["plays"]
    except (ValueError, KeyError):
        return report.strip()[-SHOWN:]
    lines: list[str] = []
    for task in (task for play in plays for task in play["tasks"]):
        for result in (each for host in task["hosts"].values() for each in host.get("results", [host])):
            if result.get("changed") or result.get("failed") or result.get("unreachable"):
                title = [] if task["task"]["name"] in lines[-1:] else [task["task"]["name"]]
                lines += [*title, *_difference(result)]
    return "\n".join(lines)[:SHOWN]


def _difference(result: Mapping[str, Any]) -> Iterator[str]:
    """What a task's RESULT makes of each file that it changes, or why it failed."""
    if not result.get("changed"):
        yield f"failed: {result.get('msg', 'without a word')}"
    diff = result.get("diff") or []
    for each in [diff] if isinstance(diff, Mapping) else diff:
        if "prepared" in each:
            yield from str(each["prepared"]).splitlines()
        before, after = (_lines(each.get(side)) for side in ("before", "after"))
        names = (f"before: {each.get('before_header', '')}".rstrip(": "), f"after: {each.get('after_header', '')}".rstrip(": "))
        yield from difflib.unified_diff(before, after, *names, lineterm="")


def _lines(side: object) -> list[str]:
    return (side if isinstance(side, str) else json.dumps(side or {}, indent=1, sort_keys=True)).splitlines()


def _check(settings: Settings, operator: Operator, host: str, playbook: str) -> str:
    request = PlaybookRequest(
        host=host,
        operator=operator,
        playbook=playbook,
        inventory=str(settings.inventory),
        endpoints=settings.endpoints_file,
        mode="check",
    )
    environment = {**os.environ, **request.variables()}
    done = subprocess.run([request.program()], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    return done.stdout or done.stderr
