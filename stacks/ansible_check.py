"""What playbooks would change, asked at preview: `ansible-playbook --check --diff` on every host at once."""

import os
import re
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pulumi

from components.base import REPOSITORY, Operator
from components.requests import PlaybookRequest
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


def differences(output: str) -> str:
    """The part of Ansible's OUTPUT that says what changes; empty when nothing does."""
    recap = re.findall(r"changed=(\d+).*?failed=(\d+)", output)
    if recap and all(changed == "0" and failed == "0" for changed, failed in recap):
        return ""
    kept: list[str] = []
    for block in re.split(r"\n(?=TASK \[|PLAY |RUNNING HANDLER)", output):
        if re.search(r"^(changed|fatal|failed): |^--- before", block, re.MULTILINE):
            kept.append(re.sub(r" \*{3,}", "", block).strip())
    return "\n".join(kept)[:SHOWN] or output.strip()[-SHOWN:]


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
    return done.stdout if done.returncode == 0 else f"failed=1\n{done.stderr.strip()}"
