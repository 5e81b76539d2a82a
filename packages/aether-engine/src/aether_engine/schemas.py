"""The stored schemas of the plugins: what the components may use, known without building anything."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from aether_engine import cache
from aether_engine.parts import ENGINE_DIR, PARTS, Part
from aether_engine.progress import Progress, StepError
from aether_engine.toolchain import environment, find_go

PLUGINS: tuple[Part, ...] = tuple(part for part in PARTS if part.plugin is not None)


def is_bridge(part: Part) -> bool:
    """Bridges have a generator, and their schema inside the plugin; the fakes tell theirs when asked."""
    return (part.source / "gen").is_dir()


def stored(part: Part) -> Path:
    """The schema in the repository."""
    return part.source / "bridge" / "schema.json" if is_bridge(part) else ENGINE_DIR / "schemas" / f"{part.name}.json"


def load(part: Part) -> dict[str, Any]:
    """The stored schema."""
    schema: dict[str, Any] = json.loads(stored(part).read_text())
    return schema


def generate(part: Part, target: Path, progress: Progress) -> list[Path]:
    """Writes the schema that the part has now (and a bridge's metadata) into the folder.

    Raises:
        StepError: the generator or the plugin fails.
    """
    if is_bridge(part):
        go = find_go(part, progress)
        progress.run(
            f"generating the schema of {part.name}",
            [go, "run", "./gen", "schema", "--out", str(target), "--skip-docs", "--skip-examples"],
            cache.cache_root() / "logs" / f"schema-{part.name}.log",
            cwd=part.source,
            env=environment(go),
        )
        return [target / "schema.json", target / "bridge-metadata.json"]
    plugin = cache.part_entry(part) / "bin" / f"pulumi-resource-{part.plugin}"
    answer = subprocess.run(
        [str(cache.fleet_entry() / "bin" / "pulumi"), "package", "get-schema", str(plugin)],
        capture_output=True,
        text=True,
        check=False,
        cwd=target,
    )
    if answer.returncode != 0:
        raise StepError(f"{part.name}: no schema: {answer.stderr.strip()}")
    written = target / f"{part.name}.json"
    written.write_text(json.dumps(json.loads(answer.stdout), indent=2, sort_keys=True) + "\n")
    return [written]


def store_all(progress: Progress) -> None:
    """Brings the stored schemas up to date; a bridge has to be built again afterwards."""
    for part in PLUGINS:
        with tempfile.TemporaryDirectory() as folder:
            for path in generate(part, Path(folder), progress):
                shutil.copyfile(path, stored(part).parent / path.name)
