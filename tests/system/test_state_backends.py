"""State in a file, in S3 and in PostgreSQL, on real servers: deployed once, shared by two operators, one at a time."""

import json
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from inventory.files import REPOSITORY
from ops import locks, secrets_provider
from tests.system.checkout import kill_group
from tests.system.state_operators import WORD, Operator
from tests.system.state_servers import Backend, files, postgres, s3

pytestmark = pytest.mark.in_order("one stack, which each test changes further, and which moves last")


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
