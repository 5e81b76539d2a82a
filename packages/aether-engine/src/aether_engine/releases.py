"""Released programs, where the network lets them be downloaded: one short probe decides for the whole run."""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import ssl
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from aether_engine import cache
from aether_engine.parts import PULUMI_VERSION, Part, platform_name
from aether_engine.progress import Progress, StepError

#: seconds for the probe, name look-up included
PROBE_LIMIT = 2.0


def archive_url() -> str:
    """The CLI's release archive: it has the language hosts in it. `AETHER_RELEASES` is for mirrors and tests."""
    base = os.environ.get("AETHER_RELEASES", "https://get.pulumi.com/releases/sdk").rstrip("/")
    return f"{base}/pulumi-v{PULUMI_VERSION}-{platform_name()}.tar.gz"


def reachable() -> bool:
    """Whether releases can be downloaded here, found out within two seconds.

    `AETHER_ENGINE=build` and `AETHER_ENGINE=release` decide without a probe.
    """
    chosen = os.environ.get("AETHER_ENGINE", "auto")
    if chosen in ("build", "release"):
        return chosen == "release"
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=1)
    try:
        return pool.submit(_probe).result(timeout=PROBE_LIMIT)
    except concurrent.futures.TimeoutError:
        return False
    finally:
        # A name look-up that hangs must not hold up the run.
        pool.shutdown(wait=False, cancel_futures=True)


def _probe() -> bool:
    request = urllib.request.Request(archive_url(), method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=PROBE_LIMIT) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ssl.SSLError, ValueError):
        return False


def has_release(part: Part) -> bool:
    """Tools are always built: their modules are small, and their releases are in as many places as there are tools."""
    return part.group == "core" or (part.plugin is not None and part.group != "hcloud")


def download(part: Part, work: Path, progress: Progress) -> None:
    """Fills `work/bin` with the released programs of the part.

    Raises:
        StepError: something is missing or cannot be downloaded.
    """
    if part.plugin is not None:
        _plugin(part, work, progress)
    else:
        _from_archive(part, work, progress)
    missing = [name for name in part.outputs if not (work / "bin" / name).is_file()]
    if missing:
        raise StepError(f"{part.name}: the release has no {', '.join(missing)}")


def _plugin(part: Part, work: Path, progress: Progress) -> None:
    """The CLI knows where released plugins are, so it gets them: into a home that is thrown away."""
    assert part.plugin is not None
    home = work / "home"
    command = ["plugin", "install", "resource", part.plugin, part.version]
    if part.server is not None:
        command += ["--server", part.server]
    progress.run(
        f"downloading plugin {part.plugin} {part.version}",
        [str(cache.fleet_entry() / "bin" / "pulumi"), *command],
        cache.log_path(part),
        cwd=work,
        env={**os.environ, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"},
    )
    for program in home.glob(f"plugins/resource-{part.plugin}-v{part.version}/pulumi-resource-{part.plugin}"):
        shutil.copy2(program, work / "bin" / program.name)
    shutil.rmtree(home, ignore_errors=True)


def _from_archive(part: Part, work: Path, progress: Progress) -> None:
    archive = cache.cache_root() / "downloads" / archive_url().rsplit("/", 1)[1]
    if not archive.exists():
        progress.run(
            f"downloading {archive.name}",
            [sys.executable, "-m", "aether_engine.fetch", archive_url(), str(archive)],
            cache.log_path(part),
            cwd=Path(__file__).resolve().parents[1],
        )
    try:
        with tarfile.open(archive) as content:
            for member in content:
                name = Path(member.name).name
                stream = content.extractfile(member) if name in part.outputs and member.isfile() else None
                if stream is not None:
                    with stream, (work / "bin" / name).open("wb") as target:
                        shutil.copyfileobj(stream, target)
    except (OSError, tarfile.TarError, EOFError) as error:
        archive.unlink(missing_ok=True)
        raise StepError(f"{archive.name}: {error}") from error
