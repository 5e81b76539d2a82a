"""The resources of resources.json, declared as plainly as the SDKs allow: no components, no models, no outputs between them."""

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pulumi_command
import pulumi_proxmoxve

PACKAGES = {"command": pulumi_command, "proxmoxve": pulumi_proxmoxve}


def class_of(token: str) -> Any:
    package, module, name = token.split(":")
    place: Any = PACKAGES[package]
    for folder in module.split("/")[:-1] or [module]:
        place = place if folder == "index" else getattr(place, folder)
    return getattr(place, name)


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


content = json.loads(Path("resources.json").read_text())
providers = {
    urn: pulumi_proxmoxve.Provider(name, **{snake(key): value for key, value in inputs.items()})
    for urn, (name, inputs) in content["providers"].items()
}
made: dict[str, Any] = {}
for item in content["resources"]:
    arguments = {
        snake(key): pulumi.Output.secret(value) if key in item["secrets"] else value for key, value in item["inputs"].items()
    }
    made[item["urn"]] = class_of(item["token"])(
        item["label"],
        **arguments,
        opts=pulumi.ResourceOptions(
            provider=providers.get(item["provider"]),
            depends_on=[made[urn] for urn in item["after"] if urn in made],
            ignore_changes=item["ignored"],
        ),
    )
