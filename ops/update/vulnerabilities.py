"""Known vulnerabilities of what hosts run (vulnix, by Nix's derivations) and of Python's and Go's pins (osv-scanner)."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.nixos.tool import nix_command

PINS = ("uv.lock", "packages/aether-engine/go")
"""What osv-scanner reads, of a repository: a lock file, and a folder of go.mod files."""
_VULNIX_CODES = (0, 1, 2)
"""Nothing, what is let pass, something. Others are failures."""
_OSV_CODES = (0, 1)
_NO_PINS = 128
"""osv-scanner found nothing to look at."""


@dataclass(frozen=True, order=True)
class Known:
    """One vulnerability of one package."""

    package: str
    version: str
    id: str
    score: float | None = field(default=None, compare=False)
    """CVSS 3; None where nobody gave one."""
    text: str = field(default="", compare=False)


@dataclass
class Scan:
    """What is known, and what was not looked at, with the reason."""

    known: set[Known] = field(default_factory=set)
    left: list[str] = field(default_factory=list)

    def add(self, other: "Scan") -> None:
        self.known |= other.known
        self.left += [line for line in other.left if line not in self.left]


def program(name: str, nix: str = "nix") -> list[str] | None:
    """How NAME is called: the one on the path, or by Nix; None where there is neither."""
    if found := shutil.which(name):
        return [found]
    return [*nix_command(nix), "run", f"nixpkgs#{name}", "--"] if shutil.which(nix) else None


def of_closures(paths: Sequence[str], mirror: str = "", nix: str = "nix") -> Scan:
    """Of everything that the store paths PATHS need at run time.

    vulnix reads derivations: which patches were applied is in them. Those of the closure are named to it one by one, for its own
    way to them has another name in each version, and its file of derivations is not read at all.

    Args:
        mirror: where the National Vulnerability Database is read from; empty: vulnix' own.
    """
    if not paths:
        return Scan()
    vulnix = program("vulnix", nix)
    if vulnix is None:
        return Scan(left=["systems: vulnix is not installed. Fix: nix profile install nixpkgs#vulnix, or pip install vulnix"])
    derivers, unknown = _derivers(paths, nix)
    if not derivers:
        return Scan(left=[f"systems: Nix knows no derivation of {', '.join(paths)}. Fix: build them here"])
    found = Scan()
    if unknown:
        found.left.append(f"systems: {unknown} of {unknown + len(derivers)} store paths have no derivation here")
    command = [*vulnix, "--json", "--no-requisites", *(["--mirror", mirror] if mirror else []), *derivers]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        listed = json.loads(said.stdout) if said.returncode in _VULNIX_CODES else None
    except ValueError:
        listed = None
    if listed is None:
        found.left.append(f"systems: vulnix could not look ({_last(said.stderr)})")
        return found
    found.known = {
        Known(item["pname"], str(item["version"]), cve, item.get("cvssv3_basescore", {}).get(cve), _text(item, cve))
        for item in listed
        for cve in item["affected_by"]
    }
    return found


def of_pins(repository: Path, scanner: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> Scan:
    """Of the packages that REPOSITORY's Python and Go lock files name."""
    command = list(scanner) if scanner else program("osv-scanner")
    if command is None:
        fix = "nix profile install nixpkgs#osv-scanner, or go install github.com/google/osv-scanner/v2/cmd/osv-scanner@latest"
        return Scan(left=[f"Python and Go: osv-scanner is not installed. Fix: {fix}"])
    lock, folder = (repository / name for name in PINS)
    what = [*(["--lockfile", str(lock)] if lock.exists() else []), *(["--recursive", str(folder)] if folder.exists() else [])]
    said = subprocess.run(
        [*command, "scan", "source", "--format", "json", *what],
        capture_output=True, text=True, check=False, cwd=repository, env={**os.environ, **(environment or {})},
    )  # fmt: skip
    if said.returncode == _NO_PINS:
        return Scan()
    try:
        results = json.loads(said.stdout)["results"] if said.returncode in _OSV_CODES else None
    except (ValueError, KeyError):
        results = None
    if results is None:
        return Scan(left=[f"Python and Go: osv-scanner could not look ({_last(said.stderr)})"])
    return Scan({each for result in results for package in result["packages"] for each in _of_package(package)})


def _of_package(item: Mapping[str, Any]) -> Iterable[Known]:
    """A vulnerability is a group: the same one has an id in each database."""
    summaries = {each["id"]: each.get("summary", "") for each in item.get("vulnerabilities", [])}
    for group in item.get("groups", []):
        ids = group["ids"]
        named = next((name for name in group.get("aliases") or [] if name.startswith("CVE-")), ids[0])
        score = float(group["max_severity"]) if group.get("max_severity") else None
        text = next((summaries[name] for name in ids if summaries.get(name)), "")
        yield Known(item["package"]["name"], item["package"]["version"], named, score, text)


def of_revision(repository: Path, revision: str, **options: Any) -> Scan:
    """As `of_pins`, of the lock files at a git REVISION."""
    with tempfile.TemporaryDirectory(prefix="aether-pins-") as folder:
        archive = subprocess.run(["git", "archive", revision, *PINS], cwd=repository, capture_output=True, check=False)
        if archive.returncode:
            return Scan(left=[f"Python and Go at {revision}: {_last(archive.stderr.decode())}"])
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        return of_pins(Path(folder), **options)


def report(before: Scan | None, after: Scan) -> str:
    """Markdown: what a change mends and what it brings; without BEFORE what there is."""
    old = {(each.package, each.id): each for each in before.known} if before else {}
    new = {(each.package, each.id): each for each in after.known}
    left = [*(before.left if before else []), *(line for line in after.left if not before or line not in before.left)]
    lines = ["## Known vulnerabilities", ""]
    parts = [("still there", [new[key] for key in new if key in old])] if before else []
    parts = [
        *([("fixed", [old[key] for key in old if key not in new])] if before else []),
        ("brought" if before else "known", [new[key] for key in new if key not in old]),
        *parts,
    ]
    if not any(found for _, found in parts):
        lines += ["None is known." if not left else "None is known of what was looked at.", ""]
    for title, found in parts:
        if found:
            lines += [f"**{len(found)} {title}**", "", *_table(found), ""]
    if left:
        lines += ["Not looked at:", "", *(f"- {line}" for line in left), ""]
    return "\n".join(lines)


SHOWN = 30
"""Lines of one table."""


def _table(found: Sequence[Known]) -> list[str]:
    ordered = sorted(found, key=lambda each: (-(each.score or 0), each))
    lines = ["| package | vulnerability | CVSS | |", "|---|---|---|---|"]
    for each in ordered[:SHOWN]:
        score = f"**{each.score:g}**" if each.score and each.score >= 9 else f"{each.score:g}" if each.score else "-"
        where = "https://nvd.nist.gov/vuln/detail/" if each.id.startswith("CVE-") else "https://osv.dev/vulnerability/"
        lines.append(f"| {each.package} {each.version} | [{each.id}]({where}{each.id}) | {score} | {each.text} |")
    rest = len(ordered) - SHOWN
    return [*lines, *([f"| … | and {rest} of a lower score | | |"] if rest > 0 else [])]


def _derivers(paths: Sequence[str], nix: str) -> tuple[list[str], int]:
    """The derivations of the closure of PATHS that are on this machine, and how many are not."""
    said = subprocess.run(
        [*nix_command(nix), "path-info", "--recursive", "--json", *paths], capture_output=True, text=True, check=False
    )
    if said.returncode:
        return [], len(paths)
    told = json.loads(said.stdout)
    # A list before Nix 2.19, an object by path after it.
    infos = list(told.values()) if isinstance(told, dict) else told
    named = {str(info.get("deriver") or "") for info in infos if info}
    there = sorted(name for name in named if name.endswith(".drv") and Path(name).exists())
    return there, len(named) - len(there)


def _text(item: Mapping[str, Any], cve: str) -> str:
    """The beginning of a description, as it fits a table."""
    text = " ".join(str(item.get("description", {}).get(cve, "")).split()).replace("|", "/")
    return text if len(text) <= 120 else text[:119].rstrip() + "…"


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1].strip()
