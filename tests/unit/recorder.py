"""Pulumi mocks that remember what a program registered."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import pulumi
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime.stack import run_pulumi_func

# Tests run side by side, and a stack writes files of its own below .aether/.
STACK = f"unit-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


@dataclass(frozen=True)
class Registered:
    """One resource as the engine was told about it."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    depends_on: tuple[str, ...]
    provider: str
    protect: bool
    ignore_changes: tuple[str, ...]
    import_id: str
    retained: bool

    @property
    def environment(self) -> dict[str, Any]:
        return dict(self.inputs.get("environment", {}))


@dataclass
class Recording:
    resources: list[Registered] = field(default_factory=list)
    # Resource name -> keys of its environment whose values are secrets.
    secrets: dict[str, set[str]] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Registered]:
        """Resources whose type ends with KIND, by name."""
        return {resource.name: resource for resource in self.resources if resource.type.endswith(kind)}

    def one(self, kind: str, name: str) -> Registered:
        return self.of(kind)[name]

    def children(self, name: str, kind: str = "") -> list[str]:
        """Types of what has the component NAME (of type KIND) as its parent."""
        return [item.type for item in self.resources if item.parent.endswith(f"{kind}::{name}")]


class _Mocks(pulumi_mocks.Mocks):
    """Outputs are the inputs, and what a provider computes."""

    def __init__(self, outputs: Callable[[str, str], dict[str, Any]]) -> None:
        self.outputs = outputs

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return f"{args.name}-id", {**args.inputs, **_computed(args), **self.outputs(args.typ, args.name)}

    def call(self, args: pulumi_mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        return dict(self.outputs(args.token, "")), []


def _computed(args: pulumi_mocks.MockResourceArgs) -> dict[str, Any]:
    match args.typ:
        case "command:local:Command":
            return {"stdout": '{"closure": "/nix/store/x", "generation": 1, "reboot": false}', "stderr": ""}
        case "proxmoxve:index/vmLegacy:VmLegacy":
            devices = [{**device, "macAddress": "BC:24:11:00:00:01"} for device in args.inputs["networkDevices"]]
            return {"networkDevices": devices, "macAddresses": ["00:00:00:00:00:00"]}
        case "proxmoxve:index/containerLegacy:ContainerLegacy":
            interfaces = [{**interface, "macAddress": "BC:24:11:00:00:02"} for interface in args.inputs["networkInterfaces"]]
            return {"networkInterfaces": interfaces}
    return {}


class _Monitor(pulumi_mocks.MockMonitor):
    """The mock monitor, keeping the whole request: parent, dependencies and options are not given to Mocks."""

    def __init__(self, recording: Recording, mocks: _Mocks) -> None:
        super().__init__(mocks)
        self.recording = recording

    def RegisterResource(self, request: Any) -> Any:
        inputs = pulumi.runtime.rpc.deserialize_properties(request.object, keep_unknowns=True)
        sent = pulumi.runtime.rpc.deserialize_properties(request.object, keep_unknowns=True).get("environment")
        if isinstance(sent, dict):
            held = sent.get("value", sent)
            whole = pulumi.runtime.rpc._special_sig_key in sent
            found = {key for key, value in held.items() if whole or _is_secret(value)}
            self.recording.secrets.setdefault(request.name, set()).update(found)
        self.recording.resources.append(
            Registered(
                type=request.type,
                name=request.name,
                inputs=_plain(inputs),
                parent=request.parent,
                depends_on=tuple(request.dependencies),
                provider=request.provider,
                protect=request.protect,
                ignore_changes=tuple(request.ignoreChanges),
                import_id=request.importId,
                retained=request.retainOnDelete,
            )
        )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get(pulumi.runtime.rpc._special_sig_key) == pulumi.runtime.rpc._special_secret_sig


def _plain(value: Any) -> Any:
    """Secrets and unknowns as plain values."""
    if isinstance(value, dict):
        if value.get(pulumi.runtime.rpc._special_sig_key) == pulumi.runtime.rpc._special_secret_sig:
            return _plain(value["value"])
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def record(
    program: Callable[[], Any],
    *,
    preview: bool = False,
    stack: str = "test",
    config: dict[str, str] | None = None,
    outputs: Callable[[str, str], dict[str, Any]] = lambda kind, name: {},
) -> Recording:
    """Run PROGRAM against mocks until everything it registered is settled; what it raises is raised here.

    Args:
        preview: computed values are unknown, as in `pulumi preview` of something new.
    """
    recording = Recording()
    mocks = _Mocks(outputs)
    pulumi.runtime.set_all_config({f"aether:{key}": value for key, value in (config or {}).items()}, [])
    pulumi.runtime.set_mocks(mocks, project="aether", stack=stack, preview=preview, monitor=_Monitor(recording, mocks))

    pulumi.runtime.settings.SETTINGS.rpc_manager.clear()
    pulumi.runtime.settings.SETTINGS.outputs.clear()

    async def everything() -> None:
        async def main() -> None:
            program()

        await run_pulumi_func(main)

    # Hooks are called by the engine, and there is none.
    with mock.patch("pulumi.resource_hooks.register_resource_hook", lambda hook: asyncio.ensure_future(asyncio.sleep(0))):
        asyncio.get_event_loop().run_until_complete(everything())
    return recording
