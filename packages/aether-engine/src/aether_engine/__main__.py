"""`./aether engine ensure` gets what is missing; `./aether engine doctor` says what that is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from aether_engine import build, cache, checkout, releases, schemas
from aether_engine.doctor import examine, report
from aether_engine.parts import DEFAULT_GROUPS, GROUPS, Group, Part, select
from aether_engine.progress import Progress, Remaining, StepError, Stopped

INTERRUPTED = 130
AT_ONCE = 2


def ensure(groups: tuple[Group, ...], progress: Progress) -> None:
    """Makes the parts of these groups, links them into `.aether/engine` and installs the plugins among them.

    Raises:
        StepError: a part can be neither downloaded nor built; what was made before stays.
    """
    # The plugins are installed by the engine, so it comes with them.
    plugins = any(part.plugin for part in select(groups))
    wanted = tuple(dict.fromkeys(("core", *groups))) if plugins else groups
    parts = select(wanted)
    missing = any(releases.has_release(part) and not cache.is_complete(part) for part in parts)
    released = missing and releases.reachable()
    # A released plugin is downloaded by the engine; a built one needs nothing of it.
    core = [part for part in parts if part.group == "core"]
    for some in (core, parts) if released else (parts,):
        _make(some, progress, released)
        for part in some:
            # The engine takes a plugin on PATH before the installed one, and warns about it at each run.
            if part.plugin is None:
                cache.link_into_fleet(part)
    checkout.point_to_engine()
    for part in parts:
        if part.plugin is not None:
            checkout.install_plugin(part, progress)


def _make(parts: Sequence[Part], progress: Progress, released: bool) -> None:
    """Two at a time: one downloads or links while the other one compiles. What takes longest goes first."""
    missing = sorted((part for part in parts if not cache.is_complete(part)), key=lambda part: -part.cost)
    left = Remaining({part.name: part.cost for part in missing})
    with ThreadPoolExecutor(AT_ONCE) as pool:
        making = {pool.submit(build.make, part, progress, released=released): part for part in missing}
        try:
            for done in as_completed(making):
                done.result()
                if said := left.after(making[done].name):
                    progress.say(said)
        except BaseException as error:
            progress.stop()
            for one in making:
                one.cancel()
            if not isinstance(error, StepError):
                raise
    failed = [cause for one in making if not one.cancelled() and (cause := one.exception())]
    # Not what was stopped for another's sake.
    for cause in sorted(failed, key=lambda cause: isinstance(cause, Stopped)):
        raise cause


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 all there, 1 something missing or failed, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="aether engine", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    get = actions.add_parser("ensure", help="get, build and install what is missing")
    get.add_argument("--only", action="append", choices=GROUPS, help="these parts only; may be repeated")
    get.add_argument("--quiet", action="store_true", help="say nothing unless something fails")
    actions.add_parser("doctor", help="what is there, what is missing, what to do")
    actions.add_parser("schemas", help="write the plugins' schemas into the repository, after a change under go/")
    options = parser.parse_args(arguments)
    if options.action == "doctor":
        findings = examine()
        print(report(findings))
        return int(any(finding.remedy and finding.needed for finding in findings))
    progress = Progress(quiet=getattr(options, "quiet", False))
    try:
        if options.action == "schemas":
            schemas.store_all(progress)
        else:
            ensure(tuple(options.only or DEFAULT_GROUPS), progress)
    except StepError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nengine: stopped; run it again and it goes on where it was", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
