"""The checkout's side: `.aether/engine`, and the plugins in the project's own PULUMI_HOME."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from aether_engine import cache
from aether_engine.parts import ENGINE_DIR, Part
from aether_engine.progress import Progress

CHECKOUT = ENGINE_DIR.parents[1]
STATE = CHECKOUT / ".aether"
ENGINE_LINK = STATE / "engine"
PULUMI_HOME = STATE / "pulumi-home"


def point_to_engine() -> None:
    """`.aether/engine` -> the cache entry of this checkout's content, swapped in one step."""
    STATE.mkdir(exist_ok=True)
    target = cache.fleet_entry()
    if ENGINE_LINK.is_symlink() and ENGINE_LINK.readlink() == target:
        return
    beside = STATE / f".engine.{os.getpid()}"
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(ENGINE_LINK)


def points_to_engine() -> bool:
    """Whether `.aether/engine` is that of this checkout's content."""
    return ENGINE_LINK.is_symlink() and ENGINE_LINK.readlink() == cache.fleet_entry()


def plugin_installed(part: Part) -> bool:
    """Whether PULUMI_HOME has the plugin of exactly this content."""
    return _stamp(part).is_file() and _stamp(part).read_text() == part.digest() and _program(part).is_file()


def install_plugin(part: Part, progress: Progress) -> None:
    """Installs the cached plugin with the engine's own command; a half-installed one is replaced.

    Raises:
        StepError: the engine refuses it.
    """
    if plugin_installed(part):
        return
    assert part.plugin is not None
    _stamp(part).unlink(missing_ok=True)
    # What a killed installation leaves: the engine takes the folder for a plugin that is there.
    shutil.rmtree(_folder(part), ignore_errors=True)
    pulumi = str(cache.fleet_entry() / "bin" / "pulumi")
    program = cache.part_entry(part) / "bin" / f"pulumi-resource-{part.plugin}"
    progress.run(
        f"installing plugin {part.plugin} {part.version}",
        [pulumi, "plugin", "install", "resource", part.plugin, part.version, "--file", str(program)],
        STATE / "logs" / f"plugin-{part.plugin}.log",
        cwd=CHECKOUT,
        env={**os.environ, "PULUMI_HOME": str(PULUMI_HOME), "PULUMI_SKIP_UPDATE_CHECK": "true"},
    )
    _stamp(part).write_text(part.digest())


def _folder(part: Part) -> Path:
    return PULUMI_HOME / "plugins" / f"resource-{part.plugin}-v{part.version}"


def _program(part: Part) -> Path:
    return _folder(part) / f"pulumi-resource-{part.plugin}"


def _stamp(part: Part) -> Path:
    name = hashlib.sha256(f"{part.plugin}-{part.version}".encode()).hexdigest()[:8]
    return PULUMI_HOME / "plugins" / f".aether-{part.plugin}-{name}"
