"""ops/setup.py: what it refuses before anything is made."""

import os
import sys

import pytest

from ops import setup


@pytest.fixture
def nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the steps that would have been taken."""
    taken: list[str] = []
    monkeypatch.setattr(setup, "machine_packages", lambda missing: taken.append("packages"))
    monkeypatch.setattr(setup, "environment", lambda groups: taken.append("environment"))
    monkeypatch.setattr("ops.setup.subprocess.run", lambda *_, **__: pytest.fail("the engine was begun"))
    return taken


def test_a_simulated_stack_without_root_is_refused_at_once(
    nothing_is_made: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["setup.py", "--stack", "sim-cloud"])
    assert setup.main() == 1
    assert nothing_is_made == []
    assert "Fix: sudo make up" in capsys.readouterr().err


@pytest.mark.parametrize(("stack", "user"), [("homelab", 1000), ("sim", 0), ("", 1000)])
def test_others_go_on(nothing_is_made: list[str], monkeypatch: pytest.MonkeyPatch, stack: str, user: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(sys, "argv", ["setup.py", "--stack", stack, "--only", "environment"])
    assert setup.main() == 0
    assert nothing_is_made == ["packages", "environment"]
