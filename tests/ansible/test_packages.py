"""The package module against fake commands that keep their state in files."""

import fcntl
import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import REPO

MODULE = REPO / "ansible/library/aether_packages.py"
# $DB is a folder with a file for each installed package; a package called `unknown` does not exist.
FAKES = {
    "dpkg-query": '[ -e "$DB/${@: -1}" ] && printf installed',
    "apt-get": 'echo "apt-get $*" >> "$DB.log"; [ "$1" = install ] || exit 0\n'
    'for p in "${@:6}"; do\n'
    '[ "$p" = unknown ] && { echo "E: Unable to locate package unknown" >&2; exit 100; }\n'
    'touch "$DB/$p"; done',
    "apk": 'echo "apk $*" >> "$DB.log"; case $1 in info) [ -e "$DB/$3" ];; add) shift 4; for p; do touch "$DB/$p"; done;; esac',
}


@dataclass(frozen=True)
class Machine:
    """A machine with some package manager's commands."""

    path: Path

    def install(self, *names: str, **options: Any) -> dict[str, Any]:
        """Run the module; returns its result."""
        arguments = {"ANSIBLE_MODULE_ARGS": {"name": list(names), "_ansible_remote_tmp": str(self.path), **options}}
        done = subprocess.run(
            [sys.executable, str(MODULE)],
            input=json.dumps(arguments),
            env={"PATH": f"{self.path}/bin:{self.path}/tools", "DB": str(self.path / "db")},
            text=True,
            capture_output=True,
            check=False,
        )
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    def log(self) -> str:
        """Commands that were run."""
        file = self.path / "db.log"
        return file.read_text() if file.exists() else ""


def machine(path: Path, *commands: str) -> Machine:
    """A machine with these of the fakes."""
    for folder in ("bin", "db", "tools"):
        (path / folder).mkdir()
    for tool in ("bash", "touch"):
        (path / "tools" / tool).symlink_to(f"/bin/{tool}")
    for name in commands:
        fake = path / "bin" / name
        fake.write_text(f"#!/bin/bash\n{FAKES[name]}\n")
        fake.chmod(0o755)
    return Machine(path)


def test_installs_what_is_missing_and_then_nothing(tmp_path: Path) -> None:
    debian = machine(tmp_path, "dpkg-query", "apt-get")
    (tmp_path / "db/curl").touch()
    first = debian.install("curl", "samba")
    assert first["changed"] and first["manager"] == "apt"
    assert "install --yes --no-install-recommends -o DPkg::Lock::Timeout=600 samba\n" in debian.log()
    before = debian.log()
    assert debian.install("curl", "samba")["changed"] is False
    assert debian.log() == before, "an installed package needs no refresh either"


def test_check_mode_only_says(tmp_path: Path) -> None:
    alpine = machine(tmp_path, "apk")
    result = alpine.install("samba", _ansible_check_mode=True)
    assert result["changed"] and result["diff"]["after"] == "+ samba\n"
    assert "add" not in alpine.log()


def test_a_failure_carries_the_manager_s_words(tmp_path: Path) -> None:
    debian = machine(tmp_path, "dpkg-query", "apt-get")
    failed = debian.install("unknown")
    assert failed["failed"] and "Unable to locate package unknown" in failed["msg"]
    optional = debian.install("unknown", optional=True)
    assert not optional.get("failed") and optional["missing"] == ["unknown"]
    assert "Unable to locate package unknown" in optional["reason"]


def test_without_a_manager_it_says_what_to_do(tmp_path: Path) -> None:
    failed = machine(tmp_path).install("stow")
    assert failed["failed"] and "on NixOS write the package in the host's configuration" in failed["msg"]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_nothing_to_do(tmp_path: Path, state: str) -> None:
    alpine = machine(tmp_path, "apk")
    if state == "present":
        (tmp_path / "db/samba").touch()
    assert alpine.install("samba", state=state)["changed"] is False


@pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt-get here")
def test_the_real_apt_waits_for_who_holds_its_locks(tmp_path: Path) -> None:
    """A fresh Debian updates itself in its first minutes. Its locks are POSIX', not flock(2)'s."""
    for folder in ("dpkg", "lists/partial"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "dpkg/status").touch()
    places = {"Etc::sourcelist": "/dev/null", "Etc::sourceparts": "/dev/null", "State::lists": tmp_path / "lists"}
    places |= {"State::status": tmp_path / "dpkg/status", "Cache": tmp_path}
    options = [word for name, place in places.items() for word in ("-o", f"Dir::{name}={place}")]
    install = [*_words("APT.install"), *options, "-o", "APT::Sandbox::User="]
    with (tmp_path / "dpkg/lock-frontend").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        waiting = subprocess.Popen(install, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert waiting.stdout and "Waiting for cache lock" in waiting.stdout.readline()
    assert "0 newly installed" in waiting.communicate(timeout=60)[0] and waiting.returncode == 0
    update = [*_words("APT.refresh"), *options, "-o", "APT::Sandbox::User="]
    asked: list[int] = []

    def run(command: list[str]) -> tuple[int, str, str]:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        asked.append(done.returncode)
        # Whoever held it is done.
        fcntl.lockf(lock, fcntl.LOCK_UN)
        return done.returncode, done.stdout, done.stderr

    with (tmp_path / "lists/lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        module().refresh(run, update, pause=0)
    assert asked == [100, 0]


def module() -> Any:
    """The module, as one of Python."""
    spec = importlib.util.spec_from_file_location("aether_packages", MODULE)
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def _words(name: str) -> list[str]:
    """A command of the module, like APT.install."""
    manager, _, command = name.partition(".")
    return list(getattr(getattr(module(), manager), command))
