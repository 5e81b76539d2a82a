"""What the language host asks pip is answered as pip does, and everything else by pip itself."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.stack import LANGUAGE_HOST, Stack

ASKED = (("list", "-v", "--format", "json"), ("list", "--format", "json"))


def pip(*arguments: str, first: str, more: str = "") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [first, more]))
    return subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("arguments", ASKED)
def test_it_lists_what_pip_lists(arguments: tuple[str, ...]) -> None:
    ours, real = pip(*arguments, first=str(LANGUAGE_HOST)), pip(*arguments, first="")
    assert ours.returncode == real.returncode == 0, ours.stderr + real.stderr
    assert json.loads(ours.stdout) == json.loads(real.stdout)
    assert "pulumi" in {package["name"] for package in json.loads(ours.stdout)}


def test_a_package_that_is_installed_from_a_folder_is_pips_to_list(tmp_path: Path) -> None:
    (tmp_path / "odd-1.0.egg-info").mkdir()
    (tmp_path / "odd-1.0.egg-info/PKG-INFO").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    ours = pip(*ASKED[0], first=str(LANGUAGE_HOST), more=str(tmp_path))
    assert {"odd", "pulumi"} <= {package["name"] for package in json.loads(ours.stdout)}, ours.stderr
    assert ours.stdout == pip(*ASKED[0], first="", more=str(tmp_path)).stdout


def test_the_one_of_another_checkout_is_passed_over(tmp_path: Path) -> None:
    shutil.copytree(LANGUAGE_HOST, tmp_path / "ops/language_host")
    for arguments in (*ASKED, ("--version",)):
        ours = pip(*arguments, first=str(LANGUAGE_HOST), more=str(tmp_path / "ops/language_host"))
        assert (ours.returncode, ours.stdout) == (0, pip(*arguments, first="").stdout), ours.stderr


@pytest.mark.parametrize("arguments", [("--version",), ("list", "--outdated=no"), ("show", "no-such-package")])
def test_the_rest_is_pip(arguments: tuple[str, ...]) -> None:
    ours, real = pip(*arguments, first=str(LANGUAGE_HOST)), pip(*arguments, first="")
    assert (ours.returncode, ours.stdout, ours.stderr) == (real.returncode, real.stdout, real.stderr)


def test_who_imports_pip_gets_pip() -> None:
    command = [sys.executable, "-c", "import pip, pip._internal.cli.main; print(pip.__version__)"]
    found = [
        subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path})
        for path in (str(LANGUAGE_HOST), "")
    ]
    assert found[0].stdout == found[1].stdout


def test_the_engine_has_it_before_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/given", str(LANGUAGE_HOST), "/more"]))
    assert Stack("sim").environment()["PYTHONPATH"].split(os.pathsep) == [str(LANGUAGE_HOST), "/given", "/more"]
