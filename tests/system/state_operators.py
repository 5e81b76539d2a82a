"""People who share the state of one stack."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inventory.files import REPOSITORY
from tests.system.checkout import Result, wait_until
from tests.system.state_servers import Backend

# `up` stops in the program, with the stack locked, while the file that AETHER_HOLD names is there.
PROGRAM = """\
import os, pathlib, time
import pulumi

hold = os.environ.get("AETHER_HOLD")
if hold and pathlib.Path(hold).exists():
    pathlib.Path(hold + ".reached").touch()
    while pathlib.Path(hold).exists():
        time.sleep(0.05)


class Thing(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("test:index:Thing", name)
        self.register_outputs({"name": name})


for number in range(3):
    Thing(f"thing-{number}")
pulumi.export("word", pulumi.Config().require_secret("word"))
"""
WORD = "what nobody may read"


@dataclass
class Operator:
    """One person: a checkout and a PULUMI_HOME of their own, the backend of both."""

    path: Path
    backend: Backend
    passphrase: str = "of both"

    @classmethod
    def make(cls, path: Path, backend: Backend) -> "Operator":
        path.mkdir()
        (path / "Pulumi.yaml").write_text("name: state\nruntime: python\n")
        (path / "__main__.py").write_text(PROGRAM)
        return cls(path, backend)

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "AWS_"))}
        engine = f"{REPOSITORY}/.aether/engine/bin:{REPOSITORY}/.venv/bin"
        return {
            **kept,
            **self.backend.environment,
            "PATH": f"{engine}:{kept['PATH']}",
            "PULUMI_HOME": str(self.path / "home"),
            "PULUMI_BACKEND_URL": self.backend.url,
            "PULUMI_CONFIG_PASSPHRASE": self.passphrase,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "AETHER_HOLD": str(self.path / "hold"),
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive"], cwd=self.path, env=self.environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def pulumi(self, *arguments: str) -> Result:
        process = self.start(*arguments)
        text, _ = process.communicate(timeout=240)
        return Result(process.returncode, text)

    def up(self) -> Result:
        return self.pulumi("up", "--yes", "--skip-preview", "--stack", "test")

    def held(self) -> "subprocess.Popen[str]":
        """An `up` that has the stack, and keeps it until the file `hold` is removed."""
        (self.path / "hold").touch()
        process = self.start("up", "--yes", "--skip-preview", "--stack", "test")
        reached = self.path / "hold.reached"
        wait_until("the engine has the stack", lambda: reached.exists() or process.poll() is not None, 120)
        assert reached.exists(), process.communicate()[0]
        reached.unlink()
        return process

    def release(self) -> None:
        (self.path / "hold").unlink()

    def state(self) -> dict[str, Any]:
        exported = self.pulumi("stack", "export", "--stack", "test")
        assert exported.code == 0, exported.text
        return dict(json.loads(exported.text))
