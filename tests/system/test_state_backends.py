"""State in a file, in S3 and in PostgreSQL, on real servers: deployed once, shared by two operators, one at a time."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops import locks, secrets_provider
from tests.system.lab import REPOSITORY, Result, kill_group, wait_until
from tests.system.state_servers import Backend, files, postgres, s3

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


@dataclass
class Shared:
    """Two operators of one stack."""

    first: Operator
    second: Operator


KINDS = {"file": files, "postgres": postgres, "s3": s3}


@pytest.fixture(scope="module", params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A stack on one kind of backend, deployed by its first operator."""
    if not (REPOSITORY / ".aether/engine/bin/pulumi").exists():
        pytest.skip("the engine is not there; make it with: ./aether engine ensure")
    folder = tmp_path_factory.mktemp(request.param)
    server: AbstractContextManager[Backend] = KINDS[request.param](folder / "server")
    with server as backend:
        first = Operator.make(folder / "first", backend)
        made = first.pulumi("stack", "init", "test", "--secrets-provider", "passphrase")
        assert made.code == 0, made.text
        secret = first.pulumi("config", "set", "--secret", "word", WORD, "--stack", "test")
        assert secret.code == 0, secret.text
        up = first.up()
        assert up.code == 0, up.text
        second = Operator.make(folder / "second", backend)
        # The stack's settings are in the repository, which both have.
        (second.path / "Pulumi.test.yaml").write_text((first.path / "Pulumi.test.yaml").read_text())
        yield Shared(first, second)


def test_nothing_is_left_to_do_for_either_operator(shared: Shared) -> None:
    for operator in (shared.first, shared.second):
        preview = operator.pulumi("preview", "--stack", "test", "--expect-no-changes")
        assert preview.code == 0, preview.text
        assert preview.changes() == {"unchanged": 4}


def test_a_secret_is_encrypted_wherever_the_state_is(shared: Shared) -> None:
    assert WORD not in json.dumps(shared.second.state())
    shown = shared.second.pulumi("stack", "output", "word", "--show-secrets", "--stack", "test")
    assert shown.text.strip() == WORD
    stranger = Operator(shared.second.path, shared.second.backend, "another")
    refused = stranger.pulumi("stack", "output", "word", "--show-secrets", "--stack", "test")
    assert refused.code
    assert "the passphrase is another one" in secrets_provider.explain("test", refused.text), refused.text


def test_the_second_operator_is_told_who_is_at_work_and_goes_on_afterwards(shared: Shared) -> None:
    process = shared.first.held()
    try:
        refused = shared.second.up()
        assert refused.code, refused.text
        assert locks.refused(refused.text), refused.text
        (lock,) = locks.locks_in(refused.text)
        assert (lock.pid, lock.here, lock.dead) == (process.pid, True, False)
        assert f"process {process.pid}), since" in locks.explain("test", refused.text)
        # A preview changes nothing, and is not kept out.
        assert shared.second.pulumi("preview", "--stack", "test").code == 0
    finally:
        shared.first.release()
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert shared.second.up().code == 0


def test_the_lock_of_an_engine_that_was_killed_is_broken_by_cancel(shared: Shared) -> None:
    process = shared.first.held()
    kill_group(process, signal.SIGKILL)
    shared.first.release()
    refused = shared.second.up()
    (lock,) = locks.locks_in(refused.text)
    assert lock.dead
    assert "no longer there" in locks.explain("test", refused.text)
    cancelled = shared.second.pulumi("cancel", "--yes", "--stack", "test")
    assert cancelled.code == 0, cancelled.text
    up = shared.second.up()
    assert up.code == 0, up.text
    assert len(shared.second.state()["deployment"]["resources"]) == 4


def test_state_moves_to_another_backend(shared: Shared, tmp_path: Path) -> None:
    with files(tmp_path / "elsewhere") as elsewhere:
        moved = Operator(shared.second.path, elsewhere)
        exported = tmp_path / "state.json"
        saved = shared.second.pulumi("stack", "export", "--stack", "test", "--file", str(exported))
        assert saved.code == 0, saved.text
        for command in ("init test --no-select", f"import --stack test --file {exported}"):
            done = moved.pulumi("stack", *command.split())
            assert done.code == 0, done.text
        preview = moved.pulumi("preview", "--stack", "test", "--expect-no-changes")
        assert preview.code == 0, preview.text
