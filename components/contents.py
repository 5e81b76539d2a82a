"""What a host is told to become, one fact a line: a command's standard input, which Pulumi compares and a person reviews.

Of a text of many lines `pulumi preview --diff` shows those that change, with two around them; of a JSON document it shows all.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

DIGITS = 12
"""Hexadecimal digits of a short digest: one chance in 10^14 that a change is not seen."""


def short_digest(value: Any) -> str:
    """Of VALUE as JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:DIGITS]


def grouped(digests: Mapping[str, str], group: Callable[[str], str]) -> dict[str, str]:
    """A short digest for each group of files. DIGESTS has one by path; GROUP names the group of a path: itself, or a folder."""
    groups: dict[str, dict[str, str]] = {}
    for path, digest in digests.items():
        groups.setdefault(group(path), {})[path] = digest
    return {name: held[name][:DIGITS] if list(held) == [name] else short_digest(held) for name, held in sorted(groups.items())}


def as_lines(document: Mapping[str, Any]) -> str:
    """DOCUMENT (JSON: tables in tables) as lines of ``names: value``, in the order of their names.

    At least one line has two names: a text that is YAML, too, would be compared as that.
    """
    return "".join(f"{': '.join(names)}: {value}\n" for names, value in _facts(document))


def from_lines(text: str) -> dict[str, str]:
    """What ``as_lines`` wrote: value by names."""
    pairs = (line.rpartition(": ")[::2] for line in text.splitlines())
    return {names: value for names, value in pairs if names}


def _facts(document: Mapping[str, Any], *names: str) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, value in sorted(document.items()):
        if isinstance(value, Mapping):
            yield from _facts(value, *names, name)
        elif isinstance(value, list | tuple) and not any(isinstance(item, Mapping) for item in value):
            yield (*names, name), " ".join(map(str, value))
        else:
            yield (*names, name), value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
