"""The resources of a stack's state as plain inputs, for programs that declare the same ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_SECRET = "4dabf18193072939515e22adb298388d"
_SECRET_KIND = "1b47061264138c4ac30d75fd1eb44270"


@dataclass(frozen=True)
class Declared:
    """One resource that a provider made, as a program would declare it."""

    urn: str
    token: str
    name: str
    inputs: Mapping[str, Any]
    secrets: frozenset[str]
    after: tuple[str, ...]
    ignored: tuple[str, ...]
    provider: str

    @property
    def label(self) -> str:
        """A name that no other resource of the stack has, whatever its type."""
        return re.sub(r"\W", "-", f"{self.name}-{_owner(self.urn)}").lower()


def declared(state: Iterable[Mapping[str, Any]]) -> list[Declared]:
    """Every custom resource but providers, in the state's order: what each needs comes before it."""
    return [
        Declared(
            urn=item["urn"],
            token=item["type"],
            name=item["urn"].rsplit("::", 1)[1],
            inputs={key: without_defaults(plain(value)) for key, value in _own(item["inputs"]).items()},
            secrets=frozenset(key for key, value in item["inputs"].items() if _is_secret(value)),
            after=tuple(item.get("dependencies") or ()),
            ignored=tuple(item.get("ignoreChanges") or ()),
            provider=item["provider"].rsplit("::", 1)[0],
        )
        for item in state
        if item.get("custom") and not item["type"].startswith("pulumi:")
    ]


def plain(value: Any) -> Any:
    """VALUE without the wrapping of secrets."""
    if _is_secret(value):
        return json.loads(value["plaintext"])
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def without_defaults(value: Any) -> Any:
    """VALUE without what the provider filled in, at any depth."""
    if isinstance(value, dict):
        return {key: without_defaults(item) for key, item in _own(value).items()}
    return [without_defaults(item) for item in value] if isinstance(value, list) else value


def snake(name: str) -> str:
    """fooBar -> foo_bar."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _own(inputs: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {"__defaults", *inputs.get("__defaults", ())}
    return {key: value for key, value in inputs.items() if key not in defaults}


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get(_SECRET) == _SECRET_KIND


def _owner(urn: str) -> str:
    """The type that tells resources of one name apart: the component's, or the resource's own."""
    chain = urn.split("::")[2].split("$")
    return "-".join(token.rsplit(":", 1)[1] for token in chain[-2:])
