"""Lookup of one secret in the owner's KeePassXC database: the password of entry ``aether/HOST/NAME``.

``AETHER_KEEPASS`` names the database; without it there is none, and nothing is looked for. It is opened by
``AETHER_KEEPASS_PASSWORD``, by the key file ``AETHER_KEEPASS_KEY``, or by both. ``aether_secret`` asks here last.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: aether_keepass
short_description: A secret of a host from a KeePassXC database
description:
  - Reads the password of the entry aether/HOST/NAME of the database that AETHER_KEEPASS names.
  - Returns an empty string where there is none.
options:
  _terms:
    description: Names of secrets, as titles of entries.
    required: true
  host:
    description: Whose group; default is the host that the task runs for.
    type: str
"""

GROUP = "aether"
# Opening one is slow on purpose (Argon2): once a file and process.
_OPEN: dict[tuple[str, int], Any] = {}


class LookupModule(LookupBase):  # type: ignore[misc]
    """Returns a list with one string for each name."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Raises AnsibleError with what to do where the database is not there or cannot be opened."""
        self.set_options(var_options=variables, direct=kwargs)
        host = self.get_option("host") or (variables or {}).get("inventory_hostname", "localhost")
        place = os.environ.get("AETHER_KEEPASS")
        if not place:
            return ["" for _ in terms]
        database = _database(Path(place).expanduser())
        return [_password(database, [GROUP, host, name]) for name in terms]


def _password(database: Any, path: list[str]) -> str:
    entry = database.find_entries(path=path)
    return str(entry.password or "") if entry else ""


def _database(file: Path) -> Any:
    if not file.exists():
        raise AnsibleError(f"AETHER_KEEPASS: {file} is not there; name a KeePassXC database, or unset it")
    key = (str(file), file.stat().st_mtime_ns)
    if key not in _OPEN:
        try:
            # Only an owner who asks for it needs the library.
            library = importlib.import_module("pykeepass")
        except ImportError as error:
            raise AnsibleError("AETHER_KEEPASS is set, and pykeepass is not installed: `make setup`") from error
        password, keyfile = os.environ.get("AETHER_KEEPASS_PASSWORD"), os.environ.get("AETHER_KEEPASS_KEY")
        try:
            _OPEN[key] = library.PyKeePass(str(file), password=password or None, keyfile=keyfile or None)
        except (library.exceptions.CredentialsError, FileNotFoundError) as error:
            raise AnsibleError(
                f"{file} cannot be opened: set AETHER_KEEPASS_PASSWORD, AETHER_KEEPASS_KEY (the key file), or both, "
                "to what KeePassXC asks for"
            ) from error
    return _OPEN[key]
