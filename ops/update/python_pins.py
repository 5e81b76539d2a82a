"""Python packages: uv looks for newer ones within the ranges of pyproject.toml."""

import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

from inventory.files import write_whole
from ops.setup import UV_ENVIRONMENT
from ops.stack import AETHER
from ops.update.pins import Found, Newer

LOCK = "uv.lock"


def uv() -> str | None:
    """The machine's uv, or the one that `make setup` got; None where there is neither."""
    own = AETHER / "uv/bin/uv"
    return shutil.which("uv") or (str(own) if own.exists() else None)


def python_pins(repository: Path, program: str | None, environment: dict[str, str], *, write: bool) -> Found:
    """The newest version of each package that REPOSITORY's lock file names, as far as the ranges allow."""
    if program is None:
        return Found(left=[f"`{LOCK}`: uv is not here. Fix: make setup"])
    files = [repository / "pyproject.toml", repository / LOCK, *sorted(repository.glob("packages/*/pyproject.toml"))]
    with tempfile.TemporaryDirectory(prefix="aether-lock-") as folder:
        for file in files:
            place = Path(folder, file.relative_to(repository))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
        done = subprocess.run(
            [program, "lock", "--upgrade"], cwd=folder, env={**environment, **UV_ENVIRONMENT}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no reason given"])[-1].strip()
            return Found(left=[f"`{LOCK}`: uv could not look for newer packages ({why})"])
        text = Path(folder, LOCK).read_text()
    before, after = _versions((repository / LOCK).read_text()), _versions(text)
    changed = sorted({name for name in {*before, *after} if before.get(name) != after.get(name)})
    found = Found([Newer(name, before.get(name, "none"), after.get(name, "none"), LOCK) for name in changed])
    if write and found.newer:
        write_whole(repository / LOCK, text)
    return found


def _versions(lock: str) -> dict[str, str]:
    """Version by package; two of one, for two Pythons, in one text."""
    found: dict[str, list[str]] = {}
    for package in tomllib.loads(lock).get("package", []):
        if "version" in package:
            found.setdefault(package["name"], []).append(package["version"])
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}
