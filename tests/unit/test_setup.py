"""ops/setup.py: what it refuses before anything is made."""

import os
import re
import sys
from pathlib import Path

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


@pytest.mark.parametrize(
    ("anything", "groups", "done"), [(True, ["ansible"], ["compiled"]), (False, ["ansible"], []), (True, ["test"], [])]
)
def test_a_new_environments_ansible_is_compiled_once(
    anything: bool, groups: list[str], done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    monkeypatch.setattr(setup, "machine_packages", lambda missing: None)
    monkeypatch.setattr(setup, "environment", lambda groups: anything)
    monkeypatch.setattr(setup, "compiled", lambda: taken.append("compiled"))
    monkeypatch.setattr(sys, "argv", ["setup.py", "--only", "environment", *(f"--group={group}" for group in groups)])
    assert setup.main() == 0
    assert taken == done


@pytest.mark.parametrize(
    ("stack", "tests", "groups", "cloud"),
    [
        ("sim", False, [], False),
        ("sim-staging", False, [], False),
        ("homelab", False, [], False),
        ("sim", True, ["cloud"], True),
        ("sim-cloud", False, ["cloud"], True),
        ("", False, ["cloud"], True),
        ("of-an-owner", False, ["cloud"], True),
        ("sim-hetzner", False, ["hcloud"], False),
    ],
)
def test_a_stack_gets_the_sdks_and_the_parts_that_it_uses(stack: str, tests: bool, groups: list[str], cloud: bool) -> None:
    got, parts = setup.needs(stack, tests)
    assert got == groups
    assert {"core", "plugins", "tools"} <= set(parts) and ("cloud" in parts) == cloud


def test_a_homelab_with_an_image_repository_needs_githubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Pulumi.own.yaml").write_text("config:\n  aether:composition: homelab\n  aether:inventory: own.toml\n")
    monkeypatch.setattr(setup, "REPOSITORY", tmp_path)
    assert setup.needs("own", False)[0] == []
    (tmp_path / "own.toml").write_text("[site]\n[image]\n")
    assert setup.needs("own", False)[0] == ["cloud"]


def test_another_apt_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fresh machine updates itself in its first minutes. What fails otherwise is told at once."""
    script = tmp_path / "apt-get"
    script.write_text(
        '#!/bin/sh\necho "$*" >> $0.log\n'
        '[ "$1" = update ] && [ ! -e $0.2 ] && { touch $0.2; echo "E: Could not get lock lists/lock." >&2; exit 100; }\n'
        "exit 0\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("ops.setup.time.sleep", lambda _: None)
    monkeypatch.setattr(setup, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(setup, "REPOSITORY", tmp_path)
    setup.machine_packages(["make"])
    update, again, install = (tmp_path / "apt-get.log").read_text().splitlines()
    assert update == again == "update -q" and "DPkg::Lock::Timeout=600" in install
    assert "another apt is at work" in capsys.readouterr().out
    script.write_text("#!/bin/sh\necho 'E: no network' >&2; exit 100\n")
    with pytest.raises(setup.StepFailed, match="no network"):
        setup.machine_packages(["make"])


@pytest.mark.parametrize(("there", "installed"), [(True, []), (False, ["openssh-sftp-server"])])
def test_the_simulator_says_whether_the_machine_has_a_server_of_sftp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, installed: list[str]
) -> None:
    """Where that lies stands in one place."""
    source = (setup.SIMULATOR / "aether_sim/sftp.py").read_text()
    places = f'PLACES = ("/nonsense", "{sys.executable if there else "/nonsense"}")'
    (tmp_path / "aether_sim").mkdir()
    (tmp_path / "aether_sim/sftp.py").write_text(re.sub(r"(?m)^PLACES = .*$", places, source))
    monkeypatch.setattr(setup, "SIMULATOR", tmp_path)
    asked: list[str] = []
    monkeypatch.setattr(setup, "machine_packages", asked.extend)
    setup.sftp_server()
    assert asked == installed
