"""The first steps of a fresh clone: without root, and before there is an environment; and the commands' own arguments."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.repository import copied
from ops import setup
from ops.__main__ import COMMANDS, command_of
from ops.stack import OpsError, Stack

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PIPELINES = (Path(".gitlab-ci.yml"), *sorted(Path(".github/workflows").glob("*.yml")))
# Takes what pytest takes.
PASSES_ALL_ON = {"test"}
FAKE = """\
#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
exit 0
"""


def as_nobody(*command: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who is not root; in a namespace of its own, so that it can read what root's checkout holds."""
    if os.geteuid() == 0:
        command = ("unshare", "--user", "--map-user=1000", "--map-group=1000", *command)
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **(env or {})}, text=True, capture_output=True, check=False, timeout=120
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone: what git knows, nothing that was made."""
    copied(tmp_path)
    return tmp_path


def plain_python(folder: Path) -> str:
    """A Python without any package, as a fresh machine has."""
    python = folder / "bare/bin/python3"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "bare"], check=True)
    return str(python)


@pytest.mark.parametrize("module", ["inventory", "ops"])
def test_a_command_before_the_environment_says_what_to_do(
    clone: Path, tmp_path_factory: pytest.TempPathFactory, module: str
) -> None:
    python = plain_python(tmp_path_factory.mktemp("python"))
    result = subprocess.run([python, "-m", module, "check"], cwd=clone, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Fix: make setup, then . ops/env.sh" in result.stderr
    assert "Traceback" not in result.stderr


def test_what_gets_the_engine_needs_no_environment(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("python")
    env = {"PATH": f"{Path(plain_python(folder)).parent}:{os.environ['PATH']}", "AETHER_CACHE": str(folder / "cache")}
    result = as_nobody("./aether", "engine", "doctor", cwd=clone, env=env)
    assert result.returncode == 1, result.stderr
    assert "MISS core: pulumi " in result.stdout and "-> run `./aether engine ensure`" in result.stdout
    assert not (clone / ".venv").exists()
    other = as_nobody("./aether", "sim", "status", cwd=clone, env=env)
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr.startswith("The project's Python environment is not made yet. Fix: make setup, in ")


def test_a_command_goes_on_under_the_projects_python(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    python = plain_python(tmp_path_factory.mktemp("python"))
    (clone / ".venv").symlink_to(sys.prefix)
    result = subprocess.run([python, "-m", "inventory", "check"], cwd=clone, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("OK: ")


def pipeline_steps() -> list[str]:
    """The commands of the pipelines that make an environment and then use it, before any stack."""
    found = set()
    for file in PIPELINES:
        found |= set(re.findall(r"^\s*-? ?(?:run: )?(make setup[^\n]*|\./aether inventory check)$", file.read_text(), re.M))
    assert any(step.startswith("make setup") for step in found)
    return sorted(found, reverse=True)


def test_the_pipelines_own_commands_work_for_a_user_who_is_not_root(clone: Path) -> None:
    """With the environment and the engine there already: what is proved is that nobody is refused."""
    (clone / "packages/aether-engine/src/aether_engine/__main__.py").write_text("")
    (clone / ".venv").symlink_to(sys.prefix)
    (clone / ".aether").mkdir()
    lock = hashlib.sha256((clone / "uv.lock").read_bytes()).hexdigest()
    (clone / ".aether/environment.stamp").write_text(f"{lock} ansible cloud sim")
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for step in pipeline_steps():
        result = as_nobody("sh", "-c", step, cwd=clone, env=env)
        assert result.returncode == 0, f"{step}\n{result.stdout}{result.stderr}"
    refused = as_nobody("make", "up", cwd=clone, env=env)
    assert refused.returncode != 0
    assert "sudo make up" in refused.stderr


def test_a_pipeline_that_tests_has_root() -> None:
    text = Path(".github/workflows/check.yml").read_text()
    assert re.findall(r"run: (.*make test)$", text, re.M) == ["sudo --preserve-env=AETHER_CACHE make test"]


@pytest.mark.parametrize("version", [(3, 12, 1), (3, 13, 0), (3, 14, 2)])
def test_any_python_that_the_project_allows_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]) -> None:
    monkeypatch.setattr("ops.setup.sys.version_info", version)
    assert setup._python() == ["--python", sys.executable, "--no-python-downloads"]
    assert not Path(".python-version").exists()
    wanted = re.search(r'requires-python = "([^"]*)"', Path("pyproject.toml").read_text())
    assert wanted and wanted[1] == ">=3.11,<3.15"


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 15, 0)])
def test_for_another_python_one_is_looked_for(monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]) -> None:
    monkeypatch.setattr("ops.setup.sys.version_info", version)
    assert setup._python() == ["--python", ">=3.11,<3.15"]


def test_the_shells_tools_are_the_projects(clone: Path) -> None:
    command = ["sh", "-c", ". ops/env.sh; command -v python; command -v sops; echo home=$PULUMI_HOME"]
    missing = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert "Fix: make setup" in missing.stderr
    for tool in (".venv/bin/python", ".aether/engine/bin/sops"):
        (clone / tool).parent.mkdir(parents=True)
        (clone / tool).write_text(FAKE)
        (clone / tool).chmod(0o755)
    (clone / ".aether/pulumi-home").mkdir()
    result = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        f"{clone}/.venv/bin/python",
        f"{clone}/.aether/engine/bin/sops",
        f"home={clone}/.aether/pulumi-home",
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_runs_nothing(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("something was run"))
    with pytest.raises(SystemExit) as ended:
        command_of(name)(Stack("sim"), ["--help"])
    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in PASSES_ALL_ON])
def test_unknown_arguments_are_refused(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("something was run"))
    with pytest.raises((SystemExit, OpsError)) as ended:
        command_of(name)(Stack("sim"), ["--no-such-option"])
    assert not isinstance(ended.value, SystemExit) or ended.value.code == 2
    assert isinstance(ended.value, OpsError) or "usage: " in capsys.readouterr().err
