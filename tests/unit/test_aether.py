"""The one command: what it lists, what it hands on, and that asking for help runs nothing."""

import os
import subprocess
from pathlib import Path

import pytest

from ops.__main__ import COMMANDS, MODULES, PACKAGES, main

REPOSITORY = Path(__file__).resolve().parents[2]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in (*COMMANDS, *MODULES, *PACKAGES))


@pytest.mark.parametrize("command", [*COMMANDS, *MODULES])
def test_each_command_says_how_it_is_called(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: aether {command}" in capsys.readouterr().out


def test_a_slip_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["upp"])
    assert ended.value.code == 2
    assert "'up'" in capsys.readouterr().err


def test_it_works_from_anywhere_and_completes(tmp_path: Path) -> None:
    line = "aether rollback gate"
    environment = os.environ | {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "words"),
    }  # fmt: skip
    subprocess.run([REPOSITORY / "aether"], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "words").read_text().split() == ["gateway"]
    checked = subprocess.run(
        [REPOSITORY / "aether", "inventory", "check"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert checked.stdout.startswith("OK: ")


def test_a_slip_in_a_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["inti", "../homelab"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "aether: 'inti' is no command, did you mean 'init'? Fix: ./aether --help lists them\n"
