"""The fake for the aws plugin against the released provider: what every argument's change does, and every default."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
STAND_IN: dict[str, Any] = json.loads((ROOT / "packages/aether-engine/schemas/aws.json").read_text())
RELEASED: dict[str, dict[str, str]] = tomllib.loads((Path(__file__).parent / "aws_provider.toml").read_text())
# Pulumi gives these a name where the program gives none.
NAMED = {("aws:route53/zone:Zone", "name"), ("aws:ssm/parameter:Parameter", "name")}


def arguments(token: str) -> dict[str, dict[str, Any]]:
    """Every argument of a resource of the fake, those in objects as `object.argument`."""
    found: dict[str, dict[str, Any]] = {}

    def add(properties: dict[str, Any], required: list[str], outputs: set[str], prefix: str) -> None:
        for name, what in properties.items():
            found[prefix + name] = {**what, "required": name in required}
            reference = what.get("$ref") or what.get("items", {}).get("$ref")
            if reference:
                kind = STAND_IN["types"][reference.removeprefix("#/types/")]
                add(kind["properties"], kind.get("required", []), outputs, f"{prefix}{name}.")

    resource = STAND_IN["resources"][token]
    add(resource["inputProperties"], resource.get("requiredInputs", []), set(), "")
    return found


def plain(name: str) -> str:
    """Lists have a plural in the SDK, and none inside the provider's objects."""
    return ".".join(part.removesuffix("s") for part in name.split("."))


def words(released: dict[str, str], name: str) -> list[str] | None:
    found = next((text for other, text in released.items() if plain(other) == plain(name)), None)
    return None if found is None else found.split(", ")


# What AWS alone knows of an object; a program that gives them is refused by the released plugin.
TOLD = {"deviceName", "volumeId"}


@pytest.mark.parametrize("token", sorted(STAND_IN["resources"]))
def test_every_argument_is_as_in_the_released_provider(token: str) -> None:
    found = []
    for name, stand_in in arguments(token).items():
        released = words(RELEASED[token], name)
        if released is None:
            if name.rpartition(".")[0] and name.rpartition(".")[2] in TOLD:
                continue
            found.append(f"{name} is no argument of the released provider")
            continue
        if stand_in.get("willReplaceOnChanges", False) != ("replaces" in released):
            found.append(f"{name}: the released provider says {', '.join(released)}")
        if stand_in["required"] != ("required" in released) and (token, name) not in NAMED:
            found.append(f"{name}: required is {stand_in['required']}, the released provider says {', '.join(released)}")
        default = next((word.removeprefix("default ") for word in released if word.startswith("default ")), None)
        if default != text(stand_in.get("default")):
            found.append(f"{name}: default is {stand_in.get('default')!r}, the released provider's is {default}")
    assert not found, "\n".join(found)


def text(value: object) -> str | None:
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_the_table_says_where_it_is_from() -> None:
    head = (Path(__file__).parent / "aws_provider.toml").read_text()
    assert "terraform-provider-aws 6.47.1" in head
    assert set(STAND_IN["resources"]) <= set(RELEASED)
