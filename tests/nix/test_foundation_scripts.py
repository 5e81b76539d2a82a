"""Shell scripts of the foundation hosts, against fakes for the programs they call."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from nix.tools.evaluate import ROOT

HOSTS = ROOT / "nix" / "hosts" / "oracle"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Directory in front of PATH; each program in it writes down how it was called."""
    directory = tmp_path / "bin"
    directory.mkdir()
    return directory


def program(directory: Path, name: str, body: str) -> None:
    file = directory / name
    file.write_text(f'#!/usr/bin/env bash\necho "{name} $*" >>"{directory}/calls"\n{body}\n')
    file.chmod(0o755)


def run(directory: Path, script: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{directory}:{os.environ['PATH']}"
    command = ["bash", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PATH": path} | environment)


def calls(directory: Path) -> list[str]:
    file = directory / "calls"
    return file.read_text().splitlines() if file.exists() else []


class TestWakeOidc:
    def wake(self, programs: Path, state: str, keycloak: bool) -> subprocess.CompletedProcess[str]:
        listed = json.dumps({"provisioners": [{"name": "acme"}, {"name": "keycloak", **({"state": state} if state else {})}]})
        program(
            programs,
            "curl",
            f"case $* in *provisioners*) echo '{listed}';; *) exit {0 if keycloak else 7};; esac",
        )
        program(programs, "systemctl", "")
        environment = {"CA_URL": "https://ca", "CA_ROOT": "/x", "DISCOVERY": "https://auth/.well-known"}
        return run(programs, HOSTS / "step-ca/wake-oidc.sh", **environment)

    def test_leaves_a_working_authority_alone(self, programs: Path) -> None:
        assert self.wake(programs, "", True).returncode == 0
        assert not [call for call in calls(programs) if call.startswith("systemctl")]

    def test_waits_for_keycloak(self, programs: Path) -> None:
        done = self.wake(programs, "Uninitialized", False)
        assert done.returncode == 0 and "waiting for https://auth/.well-known" in done.stdout
        assert not [call for call in calls(programs) if call.startswith("systemctl")]

    def test_reloads_when_keycloak_is_there(self, programs: Path) -> None:
        assert self.wake(programs, "Uninitialized", True).returncode == 0
        assert calls(programs)[-1] == "systemctl reload step-ca.service"


class TestCopyDatabase:
    def copy(self, programs: Path, tmp_path: Path, active: bool, source: str = "db") -> subprocess.CompletedProcess[str]:
        (tmp_path / "db").mkdir()
        (tmp_path / "db" / "000001.vlog").write_text("new")
        (tmp_path / "backup").mkdir()
        (tmp_path / "backup" / "stale").write_text("old")
        program(programs, "systemctl", f'[ "$1" = is-active ] && exit {0 if active else 3}; exit 0')
        return run(programs, HOSTS / "step-ca/copy-database.sh", "step-ca.service", tmp_path / source, tmp_path / "backup")

    def test_copies_while_the_unit_rests(self, programs: Path, tmp_path: Path) -> None:
        assert self.copy(programs, tmp_path, active=True).returncode == 0
        assert [file.name for file in (tmp_path / "backup").iterdir()] == ["000001.vlog"]
        assert [call.split()[1] for call in calls(programs)] == ["is-active", "stop", "start"]

    def test_starts_again_after_a_failure_and_keeps_the_old_copy(self, programs: Path, tmp_path: Path) -> None:
        assert self.copy(programs, tmp_path, active=True, source="nowhere").returncode != 0
        assert calls(programs)[-1] == "systemctl start step-ca.service"
        assert (tmp_path / "backup" / "stale").exists()

    def test_does_not_start_what_was_stopped(self, programs: Path, tmp_path: Path) -> None:
        assert self.copy(programs, tmp_path, active=False).returncode == 0
        assert [call.split()[1] for call in calls(programs)] == ["is-active"]


class TestDumpDatabase:
    def dump(self, programs: Path, tmp_path: Path, body: str) -> subprocess.CompletedProcess[str]:
        program(programs, "pg_dump", body)
        program(programs, "runuser", 'shift 2; exec "$@"')
        (tmp_path / "keycloak.dump").write_text("old")
        script = HOSTS / "keycloak/dump-database.sh"
        return run(
            programs, script, programs / "pg_dump", "keycloak", tmp_path / "keycloak.dump", RUNUSER=str(programs / "runuser")
        )

    def test_replaces_the_dump(self, programs: Path, tmp_path: Path) -> None:
        assert self.dump(programs, tmp_path, "echo new").returncode == 0
        assert (tmp_path / "keycloak.dump").read_text() == "new\n"
        assert (tmp_path / "keycloak.dump").stat().st_mode & 0o777 == 0o600

    def test_keeps_the_old_dump_when_it_fails(self, programs: Path, tmp_path: Path) -> None:
        assert self.dump(programs, tmp_path, "echo half; exit 1").returncode != 0
        assert (tmp_path / "keycloak.dump").read_text() == "old"
        assert not (tmp_path / "keycloak.dump.new").exists()
