"""Makes one part: from its release where those can be downloaded, otherwise from its pinned Go modules."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from aether_engine import cache, releases
from aether_engine.parts import Part
from aether_engine.progress import Progress, StepError
from aether_engine.toolchain import environment, find_go


def make(part: Part, progress: Progress, *, released: bool) -> None:
    """Puts the part into the cache, unless it is there.

    Raises:
        StepError: it can be neither downloaded nor built.
    """
    if cache.is_complete(part):
        return
    with cache.locked(part.name, lambda: progress.say(f"waiting: another run is making {part.name}")):
        if cache.is_complete(part):
            return
        work = cache.fresh_workdir(part)
        if released and releases.has_release(part):
            try:
                releases.download(part, work, progress)
                cache.put_in_place(part, work, "released")
                return
            except StepError as error:
                progress.say(f"{part.name}: the release failed, building instead\n{error}")
                work = cache.fresh_workdir(part)
        _build(part, work, progress)
        cache.put_in_place(part, work, "built")


def _build(part: Part, work: Path, progress: Progress) -> None:
    go = find_go(part, progress)
    env = environment(go)
    flags = f"-s -w {part.ldflags}".strip()
    for program, package in part.programs.items():
        progress.run(
            f"building {program} {part.version}",
            [go, "build", "-p", "2", "-ldflags", flags, "-o", str(work / "bin" / program), package],
            cache.log_path(part),
            cwd=part.source,
            env=env,
        )
    for name, module, path in part.files:
        answer = subprocess.run(
            [go, "list", "-m", "-f", "{{.Dir}}", module],
            cwd=part.source, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if answer.returncode != 0:
            raise StepError(f"{name}: {answer.stderr.strip()}")
        shutil.copyfile(Path(answer.stdout.strip()) / path, work / "bin" / name)
