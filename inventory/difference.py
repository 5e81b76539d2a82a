"""What an environment has otherwise than its base, fact by fact."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inventory.overlay import base_of, document, inherited, overlays


@dataclass(frozen=True)
class Difference:
    """One fact; None where one of the two has none."""

    place: str
    field: str
    base: Any
    here: Any

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.place}.{self.field}: {_shown(self.base)} -> {_shown(self.here)}"


def overlay_named(name: str, folder: Path = Path("inventory")) -> Path:
    """The overlay file called NAME: a path, a file of FOLDER, or its site's name.

    Raises:
        ValueError: there is none; says which there are.
    """
    there = overlays(folder)
    for path in (Path(name), folder / f"{name}.toml"):
        if path.is_file():
            if base_of(path) is None:
                raise ValueError(f"{path} has no base, so there is nothing to compare it with. Fix: name an overlay")
            return path
    for path in there:
        if document(path)["site"].get("name") == name:
            return path
    known = ", ".join(path.stem for path in there) or "none"
    raise ValueError(f"'{name}' is no environment (there is {known}). Fix: name one, or write {folder / name}.toml")


def differences(path: Path) -> Iterator[Difference]:
    """Of every table of the overlay PATH that is not the base's own: what is written or derived otherwise."""
    base_path = base_of(path)
    assert base_path is not None
    base, here = document(base_path), document(path)
    same = inherited(base, here)
    for table in ("site", "rollout", "cloud"):
        yield from _fields(table, base.get(table, {}), here.get(table, {}))
    for table in ("networks", "nodes", "hosts", "services"):
        for name, facts in here.get(table, {}).items():
            place = f"{table}.{name}"
            if place not in same:
                yield from _fields(place, base.get(table, {}).get(facts.get("stands_for", name), {}), facts)


def summary(path: Path) -> str:
    """One line: whose hosts, how many, and what is used of the base."""
    base_path = base_of(path)
    assert base_path is not None
    base, here = document(base_path), document(path)
    standing = [facts["stands_for"] for facts in here["hosts"].values() if "stands_for" in facts]
    used = [name for name in here["hosts"] if name in base["hosts"]]
    rest = len(base["hosts"]) - len(standing) - len(used)
    return (
        f"{here['site']['name']} ({path}) over {base_path}: has {', '.join(standing) or 'no host'} of its own; "
        f"uses {', '.join(used) or 'none'}; {rest} of {len(base['hosts'])} hosts are not in it"
    )


def _fields(place: str, base: dict[str, Any], here: dict[str, Any]) -> Iterator[Difference]:
    for field in [*here, *(field for field in base if field not in here)]:
        if field not in ("stands_for", "shared") and base.get(field) != here.get(field):
            yield Difference(place, field, base.get(field), here.get(field))


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)
