"""What Nix says of a copy of the flake that a test has changed: asked where that is possible, otherwise as changes.json has it.

    NIXTREES=DIR AETHER_RECORD=1 pytest tests/nix -k 'negative or refused or …'    record what the tests ask

``changes.json`` holds, by test, each question in its order: ``ask``, ``apply``, ``sources`` (a hash of what the host is evaluated
from, after the change) and the ``value``, or the ``error`` where Nix refused.
"""

import json
import os
import shutil
import subprocess
import warnings
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from components.nixos.source_closure import source_hash
from nix.tools import evaluate

from . import golden

FILE = Path(__file__).with_name("changes.json")
# What the flake is made of.
PARTS = ("flake.nix", "flake.lock", "nix", "components/health/scripts", "components/nixos/scripts", "inventory", "secrets")
Answer = dict[str, Any]

_asked: Counter[str] = Counter()
_unchanged: dict[Path, dict[str, str]] = {}


def copied(target: Path) -> Path:
    """Copies what the flake is made of to TARGET, to be changed there."""
    command = ["git", "ls-files", "-z", *PARTS]
    tracked = subprocess.run(command, capture_output=True, text=True, check=True, cwd=evaluate.ROOT).stdout.split("\0")
    for name in filter(None, tracked):
        if (evaluate.ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(evaluate.ROOT / name, target / name)
    _unchanged[target] = _contents(target)
    return target


def evaluated(copy: Path, attribute: str, *, apply: str | None = None) -> Any:
    """Value of an attribute of the flake in COPY.

    Raises:
        evaluate.NixError: Nix refuses it; the text is Nix's own.
        golden.NotRecorded: nobody can ask Nix here, and the answer was not recorded.
    """
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    number = _asked[test]
    _asked[test] += 1
    kept = _recorded().get(test, [])[number : number + 1]
    now = {"ask": attribute, "apply": apply, "sources": _sources(copy, attribute)}
    if golden.available():
        answer = now | _ask(copy, attribute, apply)
        if os.environ.get("AETHER_RECORD"):
            _record(test, number, answer)
        elif kept and kept[0]["sources"] == now["sources"]:
            # Hashes of store paths are those of the place where the store is.
            assert golden.normalised(kept[0]) == golden.normalised(answer), f"{FILE.name} says something else: record it again"
    elif not kept or (kept[0]["ask"], kept[0]["apply"]) != (attribute, apply):
        raise golden.NotRecorded(f"{attribute} of this change is not in {FILE.name}: tests/nix/changes.py says how to record it")
    else:
        answer = kept[0]
        if answer["sources"] != now["sources"]:
            # A comment changes the sources and no answer; only an evaluation tells.
            warnings.warn(f"{FILE.name} is older than the sources of {attribute}", stacklevel=2)
    if "error" in answer:
        raise evaluate.NixError(answer["error"])
    return answer["value"]


def _ask(copy: Path, attribute: str, apply: str | None) -> Answer:
    try:
        found = evaluate.evaluate(attribute, apply=apply, flake=f"path:{copy}").value
    except evaluate.NixError as error:
        return {"error": golden.normalised(str(error).replace(str(copy), "COPY"))}
    return {"value": golden.of_no_machine(found)}


def _sources(copy: Path, attribute: str) -> str:
    """Hash of what the host of an attribute is evaluated from, and of every file that was changed."""
    files = [file.relative_to(copy) for file in sorted((copy / "inventory").glob("*.toml"))]
    host = golden.place(attribute)[0]
    changed = _contents(copy).items() ^ _unchanged[copy].items()
    return sha256(json.dumps([source_hash(copy, files, host), sorted(changed)]).encode()).hexdigest()


def _contents(folder: Path) -> dict[str, str]:
    """Each file below FOLDER, and a hash of what it holds."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): sha256(file.read_bytes()).hexdigest() for file in files}


@cache
def _recorded() -> dict[str, list[Answer]]:
    return dict(json.loads(FILE.read_text())) if FILE.exists() else {}


def _record(test: str, number: int, answer: Answer) -> None:
    found = _recorded()
    found[test] = [*found.get(test, [])[:number], answer]
    FILE.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
