"""OpenTofu with the same Proxmox provider and the same resources as the stack that is measured."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.measure import BenchError, Timed, timed
from bench.resources import Declared, snake
from bench.stack import BenchStack
from inventory.files import REPOSITORY

PROVIDER_VERSION = "0.111.1"
_SOURCE = "registry.opentofu.org/bpg/proxmox"
# Pulumi names repeated blocks in the plural.
_BLOCKS = {
    "disks": "disk",
    "network_devices": "network_device",
    "network_interfaces": "network_interface",
    "ip_configs": "ip_config",
    "serial_devices": "serial_device",
    "hostpcis": "hostpci",
    "maps": "map",
    "usbs": "usb",
    "mount_points": "mount_point",
    "device_passthroughs": "device_passthrough",
}


class Tofu:
    """A working directory of OpenTofu for the guests of a stack."""

    def __init__(self, stack: BenchStack, resources: Sequence[Declared], *, commands: bool) -> None:
        """COMMANDS: also declare what stands for commands."""
        self.stack = stack
        self.path = stack.path / ".aether/bench/tofu"
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        wanted = [item for item in resources if commands or not item.token.startswith("command:")]
        self.count = len(wanted)
        document = configuration(stack, wanted)
        (self.path / "main.tf.json").write_text(json.dumps({key: value for key, value in document.items() if key != "resource"}))
        self.environment = {
            **stack.base_environment,
            "TF_CLI_CONFIG_FILE": str(self._client_configuration()),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }
        self._run("init", "-input=false")
        schemas = json.loads(self._run("providers", "schema", "-json").text)["provider_schemas"]
        complete(document["resource"], schemas.get(_SOURCE, {}).get("resource_schemas", {}))
        (self.path / "main.tf.json").write_text(json.dumps(document, indent=1))

    def plan(self, *options: str) -> float:
        """Seconds of a plan, proved to be empty."""
        done = self._run("plan", "-input=false", "-lock=false", *options)
        if "No changes." not in done.text:
            raise BenchError(f"tofu plan has changes:\n{done.text[-3000:]}")
        listed = self._run("state", "list").text.split()
        if len(listed) != self.count:
            raise BenchError(f"tofu knows {len(listed)} resources, not {self.count}")
        return done.seconds

    def apply(self, *options: str) -> float:
        """Seconds of an apply, proved to have made every resource."""
        done = self._run("apply", "-input=false", "-auto-approve", *options)
        found = re.search(r"Resources: (\d+) added, 0 changed, 0 destroyed", done.text)
        if not found or int(found[1]) != self.count:
            raise BenchError(f"tofu apply did not add {self.count} resources:\n{done.text[-3000:]}")
        return done.seconds

    def forget(self) -> None:
        """Drop the state: the guests are gone."""
        for path in self.path.glob("terraform.tfstate*"):
            path.unlink()

    def _run(self, *arguments: str) -> Timed:
        return timed(
            [program("tofu"), *arguments, *(["-no-color"] if arguments[0] in ("init", "plan", "apply") else [])],
            cwd=self.path,
            env=self.environment,
        )

    def _client_configuration(self) -> Path:
        """A mirror with the built provider in it, and no other source."""
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        folder = self.path / f"mirror/{_SOURCE}/{PROVIDER_VERSION}/{platform.system().lower()}_{machine}"
        folder.mkdir(parents=True)
        (folder / f"terraform-provider-proxmox_v{PROVIDER_VERSION}").symlink_to(program("terraform-provider-proxmox"))
        config = self.path / "tofu.rc"
        config.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{self.path}/mirror"\n  }}\n}}\n')
        return config


def program(name: str) -> Path:
    """A program of the engine's group "bench".

    Raises:
        BenchError: it was not built.
    """
    found = shutil.which(name, path=os.pathsep.join([str(REPOSITORY / ".aether/engine/bin"), os.environ.get("PATH", "")]))
    if found is None:
        raise BenchError(f"{name} is not there. Fix: ./aether engine ensure --only bench")
    return Path(found).resolve()


def resource_type(token: str) -> str:
    """OpenTofu's type of what Pulumi calls TOKEN: the bridge puts Legacy behind those that the provider calls by its long name.

    A command is ``terraform_data``, which is built in; what the command would be run with is its input, so that a plan compares
    it as a preview does.
    """
    package, place, name = token.split(":")
    if package == "command":
        return "terraform_data"
    folders = [folder for folder in place.split("/")[:-1] if folder != "index"]
    prefix = "proxmox_virtual_environment" if name.endswith("Legacy") else "proxmox"
    return "_".join([prefix, *folders, snake(name.removesuffix("Legacy"))]).lower()


def configuration(stack: BenchStack, resources: Sequence[Declared]) -> dict[str, Any]:
    """The resources in OpenTofu's JSON syntax."""
    settings = stack.settings()["config"]
    known = {item.urn: f"{resource_type(item.token)}.{item.label}" for item in resources}
    blocks: dict[str, dict[str, Any]] = {}
    for item in resources:
        kind = resource_type(item.token)
        body: dict[str, Any] = {"input": escaped(item.inputs)} if kind == "terraform_data" else _block(item.inputs)
        if kind.endswith("_file"):
            source = body["source_file"]
            body["source_file"] = {**source, "path": str(stack.path / source["path"])}
        after = [known[urn] for urn in item.after if urn in known]
        blocks.setdefault(kind, {})[item.label] = {**body, **({"depends_on": after} if after else {})}
    return {
        "terraform": {"required_providers": {"proxmox": {"source": "bpg/proxmox", "version": PROVIDER_VERSION}}},
        "provider": {
            "proxmox": {
                "endpoint": settings["aether:proxmoxEndpoint"],
                "api_token": settings["aether:proxmoxApiToken"],
                "insecure": True,
            }
        },
        "resource": blocks,
    }


def complete(resources: Mapping[str, Mapping[str, dict[str, Any]]], schemas: Mapping[str, Any]) -> None:
    """Give every field of lists of objects a value: where they are attributes (not blocks), OpenTofu wants all of them."""
    for kind, items in resources.items():
        attributes = schemas.get(kind, {}).get("block", {}).get("attributes", {})
        for name, attribute in attributes.items():
            match attribute.get("type"):
                case [_, ["object", fields]]:
                    for body in items.values():
                        if name in body:
                            body[name] = [{**dict.fromkeys(fields), **value} for value in body[name]]


def escaped(value: Any) -> Any:
    """VALUE with OpenTofu's template marks made literal."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    return [escaped(item) for item in value] if isinstance(value, list) else value


def _block(value: Any) -> Any:
    if isinstance(value, dict):
        names = {key: snake(key) for key in value}
        return {_BLOCKS.get(names[key], names[key]): _block(item) for key, item in value.items() if item is not None}
    return [_block(item) for item in value] if isinstance(value, list) else escaped(value)
