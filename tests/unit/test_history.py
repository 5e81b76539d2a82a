"""The state's history says who deployed."""

import getpass
import socket
from typing import Any

import pytest

from ops import agreement, commands, tasks
from ops.stack import Stack


def test_an_up_is_noted_with_who_ran_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    nothing: Any = lambda *_, **__: []  # noqa: E731
    for module, name in (
        (commands, "_prepare"), (commands, "followed"), (commands, "_read_back"), (tasks, "wait"), (tasks, "warnings"),
        (agreement, "agree_to_up"), (commands, "status"), (commands, "_progress_printer"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, nothing)
    monkeypatch.setattr(commands, "_leave_out", lambda *_: None)
    monkeypatch.setattr("ops.runs.note", nothing)
    monkeypatch.setattr("ops.notify.tell", nothing)
    monkeypatch.setattr(Stack, "run_with_progress", lambda self, printer, *words, wait: asked.extend(words))
    assert commands.up(Stack("homelab"), []) == 0
    assert asked[asked.index("--message") + 1] == f"up by {getpass.getuser()}@{socket.gethostname()}"
