"""Real `ansible-playbook` runs, with the repository's configuration and dynamic inventory."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sys.executable).parent
PLAYBOOKS = sorted(path.name for path in (REPO / "ansible").glob("*.yml"))
# Nothing listens there, so that a download fails at once instead of depending on the network.
NOWHERE = "http://127.0.0.1:9/nothing"


@dataclass(frozen=True)
class Result:
    """What a run printed and ended with."""

    code: int
    output: str

    def count(self, host: str, what: str) -> int:
        """A number of the recap, like ok, changed or failed."""
        recap = re.search(rf"^{re.escape(host)}\s+:.*\b{what}=(\d+)", self.output, re.MULTILINE)
        assert recap, self.output[-3000:]
        return int(recap[1])

    def changed(self) -> list[str]:
        """Names of the tasks that changed something."""
        return re.findall(r"TASK \[([^\]]*)\] \*+\n(?:.*\n)*?changed: ", self.output)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of a run: nothing of the developer's own Ansible."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AETHER_SECRET"))}
    return kept | {
        "PATH": os.pathsep.join([str(REPO / ".aether/engine/bin"), str(SCRIPTS), os.environ["PATH"]]),
        "ANSIBLE_CONFIG": str(REPO / "ansible/ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        **(extra or {}),
    }


def ansible(*arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path = REPO, timeout: float = 500) -> Result:
    """Run one of Ansible's programs in the repository."""
    done = subprocess.run(
        [str(SCRIPTS / str(arguments[0])), *map(str, arguments[1:])],
        cwd=cwd,
        env=environment(env),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
    )
    return Result(done.returncode, done.stdout)


def variables(**values: object) -> list[str]:
    """Extra variables as an argument."""
    return ["--extra-vars", json.dumps(values)]
