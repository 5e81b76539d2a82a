"""`python -m pip list --format json` in 30 ms where pip takes 500 to 700: it imports what draws tables and asks indexes first.

Pulumi's language host asks it before each preview and `up`, and nothing else can be done until it has the answer. The folder
above is on the engine's PYTHONPATH (ops/stack.py). Whatever else is asked, and any kind of package that is not a folder
NAME-VERSION.dist-info, is the real pip's.
"""

import json
import runpy
import sys
from pathlib import Path

ASKED = (["list", "-v", "--format", "json"], ["list", "--format", "json"])


def listed(folders: list[str]) -> list[dict[str, str]] | None:
    """The packages in FOLDERS as pip lists them, by name; None where only pip can say."""
    found: dict[str, dict[str, str]] = {}
    for folder in dict.fromkeys(folders):
        for path in Path(folder).iterdir() if folder and Path(folder).is_dir() else ():
            if path.suffix in (".egg-info", ".egg-link", ".egg") or (path / "direct_url.json").exists():
                return None
            if path.suffix != ".dist-info":
                continue
            facts = {"name": "", "version": "", "location": folder, "installer": ""}
            with (path / "METADATA").open(errors="replace") as lines:
                for line in lines:
                    key, _, value = line.partition(":")
                    if key in ("Name", "Version"):
                        facts[key.lower()] = value.strip()
                    if not line.strip() or (facts["name"] and facts["version"]):
                        break
            if (path / "INSTALLER").exists():
                facts["installer"] = (path / "INSTALLER").read_text().strip()
            found.setdefault(facts["name"].lower().replace("_", "-").replace(".", "-"), facts)
    return [found[name] for name in sorted(found)]


def stands_before_pip(folder: Path) -> bool:
    """Whether FOLDER is one like this, of whichever checkout."""
    return (folder / "pip/__main__.py").exists() and not (folder / "pip/_internal").exists()


def main() -> None:
    """Answer, or be pip."""
    sys.path[:] = [folder for folder in sys.path if not stands_before_pip(Path(folder))]
    arguments = sys.argv[1:]
    try:
        packages = listed(sys.path) if arguments in ASKED else None
    except OSError:
        packages = None
    if packages is None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "pip"]:
            del sys.modules[name]
        runpy.run_module("pip", run_name="__main__", alter_sys=True)
    else:
        kept = ("name", "version", "location", "installer") if "-v" in arguments else ("name", "version")
        print(json.dumps([{key: package[key] for key in kept} for package in packages]))


if __name__ == "__main__":
    main()
