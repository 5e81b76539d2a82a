"""A boot that never was healthy is left again; a generation that was good once stays up."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path("nix/modules/health-units.sh").resolve()
SYSTEMCTL = '#!/bin/sh\n[ "$1" = is-active ] && exec test "$3" = good.service -o -e "${UP:-/nowhere}"\necho "$*" >>"$CALLS"\n'


def boot(folder: Path, blessed: str, *units: str, **more: str) -> tuple[int, str, str]:
    """What the script makes of a boot: exit code, words, and what it asked of systemd. MORE is of its environment."""
    for name, text in {"systemctl": SYSTEMCTL, "bless": f"#!/bin/sh\necho {blessed}\n"}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    calls = folder / "calls"
    calls.touch()
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "CALLS": str(calls), "BLESS": str(folder / "bless"), "HEALTH_SECONDS": "1"}
    done = subprocess.run(
        ["bash", SCRIPT, *units], env={**environment, **more}, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stderr, calls.read_text()


def test_a_healthy_boot_is_good(tmp_path: Path) -> None:
    assert boot(tmp_path, "indeterminate", "good.service") == (0, "", "")


def test_a_boot_that_is_still_counted_is_tried_again(tmp_path: Path) -> None:
    code, said, asked = boot(tmp_path, "indeterminate", "good.service", "web.service")
    assert code == 1
    assert "not active: web.service" in said and "never healthy" in said
    assert asked == "--no-block reboot\n"


@pytest.mark.parametrize("blessed", ["clean", "good", "bad"])
def test_a_generation_that_was_good_once_stays_up(tmp_path: Path, blessed: str) -> None:
    code, said, asked = boot(tmp_path, blessed, "web.service")
    assert (code, asked) == (1, "")
    assert "not active: web.service" in said


def test_a_clock_that_is_set_ends_no_waiting(tmp_path: Path) -> None:
    """A time server sets the clock in a boot's first minutes: a day forward, and the unit is up a moment later."""
    up, clock = tmp_path / "up", tmp_path / "set-clock"
    clock.write_text('sleep() { SECONDS=$((SECONDS + 86400)); [ ! -e "$UP.soon" ] || touch "$UP"; touch "$UP.soon"; }\n')
    more = {"BASH_ENV": str(clock), "UP": str(up), "HEALTH_SECONDS": "60"}
    assert boot(tmp_path, "indeterminate", "late.service", **more) == (0, "", "")
