"""Commands that ask hosts, before any preview has written how they are reached."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ops import hosts
from ops.drift import drift
from ops.restore.command import restore
from ops.stack import OpsError, Stack
from ops.status.command import status


@pytest.mark.parametrize(("command", "words"), [(status, []), (drift, []), (restore, ["--all"])])
def test_nobody_is_called_silent_who_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: Callable[[Stack, list[str]], int], words: list[str]
) -> None:
    monkeypatch.setattr(hosts, "REPOSITORY", tmp_path)
    with pytest.raises(OpsError, match=r"is not written yet\. Fix: make preview STACK=homelab"):
        command(Stack("homelab"), words)
