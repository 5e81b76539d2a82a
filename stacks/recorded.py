"""What this stack's state holds, as its last deployment left it."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pulumi

from components.proxmox.guest import births
from components.requests import instance_of
from inventory.models import Guest
from stacks.sdk import begin_invoke

_KINDS = {"proxmoxve:index/vmLegacy:VmLegacy": "qemu", "proxmoxve:index/containerLegacy:ContainerLegacy": "lxc"}
# Seconds that a state may take to be read whole while the engine writes it.
PATIENCE = 10
EXPORT = "guests"
"""Output of the stack: what a later run has to know of a guest, also when the inventory no longer has it."""


@dataclass(frozen=True)
class RecordedGuest:
    kind: str
    vmid: int
    node: str
    """Where the state has it."""
    wanted: str = ""
    """The node that the inventory named at the last deployment; empty when that is not known."""
    disposable: bool = False
    disks: int = 0
    datastores: Mapping[str, str] = field(default_factory=dict)
    """Of each of a virtual machine's disks, by what Proxmox calls it."""


def begin() -> Callable[[], Mapping[str, Any]]:
    """Start reading the state; what is returned waits for it, as `resources` does."""
    ask = partial(begin_invoke, "pulumi:pulumi:readStackResourceOutputs", {"stackName": pulumi.get_stack()})
    asked = ask()
    deadline = time.monotonic() + PATIENCE

    def answer() -> Mapping[str, Any]:
        nonlocal asked
        while True:
            try:
                return (asked() or {}).get("outputs") or {}
            except Exception as error:
                # The engine writes meanwhile: without metadata=skip not all in one step (docs/state.md). The exception has no
                # type of its own.
                if "failed to load checkpoint" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
                asked = ask()

    return answer


def resources() -> Mapping[str, Any]:
    """Type and outputs of the state's resources, by URN: what `guests_of` and `births_of` take."""
    return begin()()


def outputs_of(resources: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the stack exported at its last update; nothing before the first."""
    return next((item["outputs"] for item in resources.values() if item["type"] == "pulumi:pulumi:Stack"), None) or {}


def guests_of(resources: Mapping[str, Any]) -> dict[str, RecordedGuest]:
    """The guests among RESOURCES, by the name of their host."""
    exported = outputs_of(resources).get(EXPORT) or {}
    found = {}
    for urn, item in resources.items():
        outputs = item["outputs"] or {}
        if item["type"] not in _KINDS or not outputs.get("vmId"):
            continue
        name = urn.rsplit("::", 1)[1]
        said = exported.get(name) or {}
        found[name] = RecordedGuest(
            kind=_KINDS[item["type"]],
            vmid=int(outputs["vmId"]),
            node=str(outputs.get("nodeName", "")),
            wanted=str(said.get("node", "")),
            disposable=bool(said.get("disposable")),
            disks=len(outputs.get("disks") or ()),
            datastores={str(disk.get("interface", "")): str(disk.get("datastoreId", "")) for disk in outputs.get("disks") or ()},
        )
    return found


def births_of(resources: Mapping[str, Any]) -> dict[str, int]:
    """How many guests each host had, as its first contact recorded it among RESOURCES; it stays when the guest is gone."""
    found = {}
    for urn, item in resources.items():
        *_, types, name = urn.split("::")
        if re.search(r"aether:proxmox:Nixos(Vm|Lxc)\$command:local:Command$", types):
            found[name] = births(instance_of(item["outputs"]))
    return found


def elastic_ips_of(resources: Mapping[str, Any]) -> dict[str, str]:
    """Allocation id of each machine's Elastic IP among RESOURCES, by the name of its host."""
    return {name: str(outputs.get("allocationId") or "") for name, outputs in _of_type(resources, "aws:ec2/eip:Eip")}


def zones_of(resources: Mapping[str, Any]) -> list[str]:
    """Ids of the Route 53 zones among RESOURCES."""
    return [str(outputs.get("zoneId") or "") for _, outputs in _of_type(resources, "aws:route53/zone:Zone")]


def records_of(resources: Mapping[str, Any]) -> set[str]:
    """Names of the DNS records' resources among RESOURCES."""
    return {name for name, _ in _of_type(resources, "aws:route53/record:Record")}


def pools_of(resources: Mapping[str, Any]) -> set[str]:
    """Names of the resource pools among RESOURCES."""
    return {str(outputs.get("poolId") or "") for _, outputs in _of_type(resources, "proxmoxve:index/poolLegacy:PoolLegacy")}


def members_of(resources: Mapping[str, Any]) -> dict[str, str]:
    """Resource pool of each host that the program put into one."""
    members = _of_type(resources, "proxmoxve:pool/membership:Membership")
    return {name: str(outputs.get("poolId") or "") for name, outputs in members}


def _of_type(resources: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and outputs of those of a KIND."""
    for urn, item in resources.items():
        if item["type"] == kind:
            yield urn.rsplit("::", 1)[1], item["outputs"] or {}


@dataclass(frozen=True)
class RecordedFile:
    name: str
    imported: bool
    """It was on the node before the state had it."""


def files_of(resources: Mapping[str, Any]) -> dict[str, RecordedFile]:
    """The files on nodes among RESOURCES, by the name of their resource."""
    return {
        name: RecordedFile(str(outputs.get("fileName") or ""), not outputs.get("sourceFile"))
        for name, outputs in _of_type(resources, "proxmoxve:index/fileLegacy:FileLegacy")
    }


def export(guests: Mapping[str, Guest]) -> None:
    """Leave GUESTS to the next run."""
    pulumi.export(EXPORT, {name: {"node": facts.node, "disposable": facts.disposable} for name, facts in guests.items()})
