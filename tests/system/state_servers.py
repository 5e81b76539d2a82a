"""Real servers that keep Pulumi's state, each in a folder of its own on the loopback interface."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inventory.files import REPOSITORY
from tests.ports import free_port
from tests.system.checkout import wait_until

# S3 keys of the test's own server.
ACCESS, SECRET = "operator", "not-a-secret-of-anybody"


@dataclass(frozen=True)
class Backend:
    """Where state goes, and what an engine needs to reach it."""

    url: str
    environment: dict[str, str] = field(default_factory=dict)


def answers(port: int) -> bool:
    """Whether somebody listens on PORT."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(command: list[str], port: int, environment: dict[str, str], user: str | None = None) -> Iterator[None]:
    """COMMAND, until the block ends; it listens on PORT."""
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, user=user
    )
    try:
        wait_until(f"{command[0]} listens", lambda: answers(port) or process.poll() is not None, 60)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def files(folder: Path) -> Iterator[Backend]:
    """A directory."""
    folder.mkdir()
    yield Backend(f"file://{folder}")


@contextmanager
def postgres(folder: Path) -> Iterator[Backend]:
    """PostgreSQL, Debian's, as an unprivileged user: it refuses root."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    user = next(name for name in ("postgres", "nobody") if _exists(name))
    # The folders above pytest's are its own alone.
    data, port = Path("/tmp") / f"aether-state-{os.getpid()}", free_port()
    data.mkdir(mode=0o700)
    shutil.chown(data, user)
    try:
        made = [str(programs[-1] / "initdb"), "--auth=trust", "--username=pulumi", "--no-sync", "-D", str(data)]
        subprocess.run(made, check=True, capture_output=True, user=user, cwd=data)
        server = [str(programs[-1] / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(data)]
        with running([*server, "-c", "fsync=off"], port, {}, user):
            # The port is open a little before it lets anybody in.
            yield Backend(f"postgres://pulumi@127.0.0.1:{port}/postgres?sslmode=disable&connect_timeout=30")
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def s3(folder: Path) -> Iterator[Backend]:
    """S3, by the Versity gateway on a directory: signatures are checked, conditional writes hold."""
    program = REPOSITORY / ".aether/engine/bin/versitygw"
    if not program.exists():
        pytest.skip("the S3 server is not built: ./aether engine ensure --only servers")
    folder.mkdir()
    (folder / "state").mkdir()
    port = free_port()
    command = [str(program), "--access", ACCESS, "--secret", SECRET, "--port", f"127.0.0.1:{port}", "posix", str(folder)]
    with running([*command, "--nometa"], port, {}):
        yield Backend(
            f"s3://state?endpoint=127.0.0.1:{port}&disableSSL=true&s3ForcePathStyle=true&region=us-east-1",
            {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"},
        )


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
