"""When each secret was made: secrets/made.toml, names and dates, no value. What is not in it is older than the file."""

import tomllib
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from inventory.files import write_whole

FILE = "made.toml"
_HEAD = (
    "# When each value was made, by ./aether secrets: names and dates alone. A value that is not named is older than this file.\n"
)


class Ages:
    """The dates of the secrets below ROOT."""

    def __init__(self, root: Path) -> None:
        self._path = root / FILE
        self._made: dict[str, date] = tomllib.loads(self._path.read_text()) if self._path.exists() else {}

    def of(self, file: str, key: str) -> date | None:
        """When KEY of FILE was made; None where that is not known."""
        return self._made.get(f"{file}/{key}")

    def note(self, file: str, keys: Iterable[str], today: date | None = None) -> None:
        """KEYS of FILE were made today."""
        self._made |= {f"{file}/{key}": today or date.today() for key in keys}
        lines = "".join(f'"{name}" = {when.isoformat()}\n' for name, when in sorted(self._made.items()))
        write_whole(self._path, _HEAD + lines)
