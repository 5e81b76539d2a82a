"""The packages beside the program: who imports whom, and that each is started by `aether` alone."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.__main__ import PACKAGES

REPOSITORY = Path(__file__).resolve().parents[2]
MEMBERS = sorted(path.parent for path in REPOSITORY.glob("packages/*/pyproject.toml"))
# What each may import of the checkout: the simulator stands for the inventory's hosts, and knows a system by its sources.
KNOWN = {"aether_engine": set(), "aether_sim": {"inventory", "components"}}
HOUSE = {"inventory", "components", "stacks", "ops", "nix", "bench", "tests"} | set(KNOWN)


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Each file of FOLDER, with the top of every module that it imports."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                yield file.relative_to(REPOSITORY).as_posix(), name.partition(".")[0]


@pytest.mark.parametrize("folder", ["inventory", "components", "stacks", "ops", "nix"])
def test_the_program_knows_no_package(folder: str) -> None:
    found = list(imported(REPOSITORY / folder))
    assert found
    assert not [(file, name) for file, name in found if name in KNOWN]


@pytest.mark.parametrize("name", KNOWN)
def test_a_package_knows_of_the_checkout_what_it_has_to(name: str) -> None:
    (source,) = REPOSITORY.glob(f"packages/*/src/{name}")
    found = {(file, top) for file, top in imported(source) if top in HOUSE - {name}}
    assert {top for _, top in found} == KNOWN[name], sorted(found)


def test_the_engine_is_got_with_the_standard_library_alone() -> None:
    found = {top for _, top in imported(REPOSITORY / "packages/aether-engine/src")}
    assert found - sys.stdlib_module_names == {"aether_engine"}


def test_every_package_is_whole() -> None:
    root = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert [path.name for path in MEMBERS] == [f"aether-{name}" for name in sorted(PACKAGES)]
    for path in MEMBERS:
        project = tomllib.loads((path / "pyproject.toml").read_text())["project"]
        assert project["name"] == path.name
        assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
        assert project["requires-python"] == root["project"]["requires-python"]
        assert (path / project["readme"]).read_text().startswith(f"# {path.name}\n")
        assert (path / "src" / path.name.replace("-", "_") / "__init__.py").exists()
        assert list(path.glob("tests/unit/test_*.py")) and list(path.glob("tests/system/test_*.py"))
        assert path.relative_to(REPOSITORY).as_posix() + "/src" in root["tool"]["pytest"]["ini_options"]["pythonpath"]
        assert path.relative_to(REPOSITORY).as_posix() + "/src" in root["tool"]["mypy"]["mypy_path"]


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("before", [[], ["--stack", "sim"]], ids=["alone", "after an option"])
def test_a_package_is_started_from_anywhere(tmp_path: Path, name: str, before: list[str]) -> None:
    command = [str(REPOSITORY / "aether"), *before, name, "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: aether {name} ")


def test_a_checkout_has_a_simulator_of_its_own_whoever_made_the_environment(tmp_path: Path) -> None:
    """Tests and benchmarks share one environment: each copy runs what it holds."""
    for name in ("aether", "packages/aether-sim/src/aether_sim/__main__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "aether").write_text((REPOSITORY / "aether").read_text())
    (tmp_path / "aether").chmod(0o755)
    (tmp_path / "packages/aether-sim/src/aether_sim/__main__.py").write_text("import sys; print(__file__, sys.argv[1:])\n")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run([tmp_path / "aether", "sim", "a b"], env=environment, capture_output=True, text=True, check=True).stdout
    assert said == f"{tmp_path}/packages/aether-sim/src/aether_sim/__main__.py ['a b']\n"


def test_a_fleet_takes_the_packages_without_their_tests() -> None:
    named = [line for line in (REPOSITORY / "ops/init/not-taken").read_text().splitlines() if not line.startswith("#")]

    def listed(*specs: str) -> set[str]:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *specs]
        return set(subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, check=True).stdout.split("\0")) - {""}

    left = listed(*named) & {*listed("packages"), "conftest.py"}
    assert left == {file for file in listed("packages", "conftest.py") if "/tests/" in file or file == "conftest.py"}
