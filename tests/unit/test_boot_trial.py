"""A boot for a trial that nobody confirms is left again; its window begins when SSH answers, not when the kernel starts."""

import fcntl
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path("nix/modules/boot-trial.sh").resolve()


@dataclass
class Boot:
    """A boot of /nix/store/tried, as the script sees it: `file` is the trial's, `calls` what was asked of systemd."""

    folder: Path
    port: int = 1

    def start(self, *, window: int, limit: int, booted: str = "tried") -> "subprocess.Popen[str]":
        (self.folder / "systemctl").write_text('#!/bin/sh\necho "$*" >>"$CALLS"\n')
        (self.folder / "systemctl").chmod(0o755)
        for name in ("tried", "other"):
            (self.folder / name).touch()
        (self.folder / "booted").symlink_to(self.folder / booted)
        self.file.write_text(f"id\n{self.folder / 'tried'}\n/nix/store/before\n7\n{window}\n{limit}\n")
        environment = {
            "PATH": f"{self.folder}:/usr/bin:/bin",
            "CALLS": str(self.folder / "calls"),
            "BOOTED": str(self.folder / "booted"),
            "LOCK": str(self.lock),
        }
        # As systemd runs a NixOS unit's script.
        command = ["bash", "-e", str(SCRIPT), str(self.file), str(self.port)]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    @property
    def file(self) -> Path:
        return self.folder / "boot-trial"

    @property
    def lock(self) -> Path:
        return self.folder / "run/lock"

    def left(self) -> bool:
        """Whether it was asked to reboot."""
        return (self.folder / "calls").exists()


@pytest.fixture
def boot(tmp_path: Path) -> Boot:
    return Boot(tmp_path)


@contextmanager
def ssh_server(after: float = 0) -> Iterator[int]:
    """The port of something that says what an SSH server says first, AFTER so many seconds; before that it says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ready = time.monotonic() + after

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    if time.monotonic() >= ready:
                        connection.sendall(b"SSH-2.0-test\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def said(process: "subprocess.Popen[str]") -> str:
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    return errors


def test_nobody_confirms_and_it_is_left(boot: Boot) -> None:
    with ssh_server() as boot.port:
        words = said(boot.start(window=1, limit=20))
    assert "nobody confirmed this boot within 1 s after SSH answered: boots back into /nix/store/before" in words
    assert boot.left() and not boot.file.exists()


def test_the_window_begins_when_ssh_answers(boot: Boot) -> None:
    begun = time.monotonic()
    with ssh_server(after=4) as boot.port:
        said(boot.start(window=2, limit=20))
    assert boot.left()
    # Two whole seconds by a clock of whole seconds: one passes at least.
    assert time.monotonic() - begun >= 5


def test_a_boot_whose_ssh_never_answers_is_left(boot: Boot) -> None:
    words = said(boot.start(window=60, limit=2))
    assert "SSH did not answer within 2 s of this boot: boots back into /nix/store/before" in words
    assert boot.left()


def test_a_confirmation_ends_it(boot: Boot) -> None:
    with ssh_server() as boot.port:
        process = boot.start(window=60, limit=20)
        assert process.stderr
        assert "SSH answers" in process.stderr.readline()
        boot.file.unlink()
        assert said(process) == ""
    assert not boot.left()


def test_a_confirmation_that_is_at_work_is_heard_out(boot: Boot) -> None:
    boot.lock.parent.mkdir()
    with boot.lock.open("w") as lock, ssh_server() as boot.port:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = boot.start(window=1, limit=20)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(4)
        boot.file.unlink()
        fcntl.flock(lock, fcntl.LOCK_UN)
        said(process)
    assert not boot.left()


def test_the_system_before_forgets_the_trial(boot: Boot) -> None:
    words = said(boot.start(window=60, limit=20, booted="other"))
    assert "is over: this is another system" in words
    assert not boot.left() and not boot.file.exists()
