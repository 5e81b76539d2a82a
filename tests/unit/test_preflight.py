"""Cluster, state and inventory held against each other before anything is registered."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inventory.load import Inventory, InventoryError, load
from stacks.cluster import ClusterGuest
from stacks.preflight import GIB, Preflight
from stacks.recorded import RecordedGuest, births_of, guests_of, resources

HOMELAB = load("inventory/homelab.toml")
KIND = {"nixos-vm": "qemu", "nixos-lxc": "lxc"}


def there(host: str = "step-ca", **changes: object) -> ClusterGuest:
    """The guest of HOST on the cluster, changed."""
    facts = HOMELAB.guests()[host]
    values: dict[str, object] = {
        "vmid": facts.vmid,
        "kind": KIND[facts.kind],  # type: ignore[attr-defined]
        "name": host,
        "node": facts.node,
        "tags": frozenset({"aether"}),
        "disk": facts.disks[0].size * GIB,
    }
    return ClusterGuest(**{**values, **changes})  # type: ignore[arg-type]


def recorded(name: str = "step-ca", **changes: object) -> dict[str, RecordedGuest]:
    facts = HOMELAB.guests()[name]
    values = {"kind": KIND[facts.kind], "vmid": facts.vmid, "node": facts.node, "wanted": facts.node}  # type: ignore[attr-defined]
    return {name: RecordedGuest(**{**values, **changes})}  # type: ignore[arg-type]


def preflight(
    *found: ClusterGuest, state: dict[str, RecordedGuest] | None = None, protect: bool = True, **facts: object
) -> Preflight:
    """With step-ca's entry changed by FACTS."""
    changed = HOMELAB.guests()["step-ca"].model_copy(update=facts)
    content = HOMELAB.content.model_copy(update={"hosts": HOMELAB.hosts | {"step-ca": changed}})
    inventory = Inventory(Path("inventory/homelab.toml"), content)
    cluster = {guest.vmid: guest for guest in found}
    return Preflight(inventory, inventory.guests(), cluster, state or {}, "homelab", protect)


def refused(subject: Preflight) -> list[str]:
    with pytest.raises(InventoryError) as caught:
        subject.check()
    return str(caught.value).splitlines()


def test_an_empty_cluster_and_the_own_guests_are_no_problem() -> None:
    preflight().check()
    preflight(there(), state=recorded()).check()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"name": "db", "tags": frozenset()}, "taken by a container on oracle that is called 'db' and was not made by Aether"),
        ({"tags": frozenset()}, "was not made by Aether; it stays as it is. Fix: write a free one, vmid = 115"),
        ({"kind": "qemu"}, "112 is a virtual machine on oracle that is called 'step-ca', and the inventory makes it a container"),
        ({"name": "adguard"}, "is host 'adguard' of this inventory on the cluster"),
        ({"name": "ca"}, 'Fix: write was = "ca"; or, for a guest of its own, write a free one'),
        ({"disk": 9 * GIB}, "the first disk has 9 GiB and 8 are wanted: a disk cannot be shrunk. Fix: write size = 9 for it"),
        ({"tags": frozenset({"aether", "retired"})}, "retire step-ca --delete"),
    ],
)
def test_what_has_the_vmid_is_not_taken_over(found: dict[str, object], says: str) -> None:
    (line,) = refused(preflight(there(**found)))  # type: ignore[arg-type]
    assert says in line
    assert line.startswith("inventory/homelab.toml:"), "file and line"


def test_a_guest_that_could_not_be_made_again_is_not_replaced() -> None:
    subject = dataclasses.replace(preflight(there(), state=recorded(), replace=True), lacking=["VM.Allocate on /vms"])
    (line,) = refused(subject)
    assert "would be destroyed, and could not be made again: the token lacks VM.Allocate on /vms" in line
    assert line.endswith("Fix: ./aether --stack homelab proxmox role --update")
    # Who replaces nothing is not held up: what a right is wanted for says so itself.
    dataclasses.replace(preflight(there(), state=recorded()), lacking=["VM.Allocate on /vms"]).check()


def test_all_problems_come_at_once() -> None:
    assert len(refused(preflight(there(tags=frozenset()), there("media", name="films"), there("gateway", name="gate")))) == 3


def test_a_rename_that_is_said_is_one() -> None:
    preflight(there(name="ca"), state={"ca": recorded()["step-ca"]}, was="ca").check()


def test_a_changed_vmid_or_kind_is_refused_unless_the_entry_says_replace() -> None:
    other = there(vmid=212)
    assert (
        "write vmid = 212, or, to have it destroyed and created again, replace = true"
        in refused(preflight(other, state=recorded(vmid=212)))[0]
    )
    preflight(other, state=recorded(vmid=212), replace=True).check()


def test_a_host_that_is_missing_is_not_destroyed_by_the_way() -> None:
    gone = {"old": RecordedGuest("lxc", 150, "oracle")}
    assert "hosts.old: is no longer in the inventory, and its guest 150 would be destroyed" in refused(preflight(state=gone))[0]
    assert "./aether --stack homelab retire old" in refused(preflight(state=gone))[0]
    preflight(state=gone, protect=False).check()
    preflight(state={"old": RecordedGuest("lxc", 150, "oracle", disposable=True)}).check()


def test_a_moved_container_stays_where_it_is_and_an_edited_node_moves_a_vm_only() -> None:
    moved = preflight(there(node="niobe"), state=recorded(node="niobe"))
    assert moved.node_of("step-ca") == "niobe"
    edited = preflight(there(), state=recorded(wanted="oracle"), node="niobe")
    assert edited.node_of("step-ca") == "oracle", "a container waits for `move`"
    media = HOMELAB.guests()["media"]
    vm = preflight(there("media", node="oracle"), state=recorded("media", node="oracle", wanted="oracle"))
    assert vm.node_of("media") == media.node, "the provider migrates it"
    by_ha = preflight(there("media", node="oracle", ha=True), state=recorded("media", node="oracle", wanted="oracle"))
    assert by_ha.node_of("media") == "oracle"


def test_the_states_guests_are_read_with_what_was_exported() -> None:
    resources = {
        "urn:pulumi:s::aether::pulumi:pulumi:Stack::s": {
            "type": "pulumi:pulumi:Stack",
            "outputs": {"guests": {"web": {"node": "pve1", "disposable": True}}},
        },
        "urn:pulumi:s::aether::aether:proxmox:NixosVm$proxmoxve:index/vmLegacy:VmLegacy::web": {
            "type": "proxmoxve:index/vmLegacy:VmLegacy",
            "outputs": {"vmId": 110.0, "nodeName": "pve2"},
        },
    }
    assert guests_of(resources) == {"web": RecordedGuest("qemu", 110, "pve2", "pve1", True)}


def test_a_state_that_is_being_written_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | None] = [Exception("invoke failed: failed to load checkpoint: EOF"), None]

    def begin(*_: object) -> Callable[[], object]:
        def answer() -> object:
            if (error := answers.pop(0)) is not None:
                raise error
            return {"outputs": {}}

        return answer

    monkeypatch.setattr("stacks.recorded.begin_invoke", begin)
    monkeypatch.setattr("pulumi.get_stack", lambda: "homelab")
    assert resources() == {}
    assert not answers
    answers.append(Exception("no such stack"))
    with pytest.raises(Exception, match="no such stack"):
        resources()


def test_a_machines_disk_that_is_elsewhere_is_not_moved_by_the_way() -> None:
    facts = HOMELAB.guests()["gateway"]
    usual = HOMELAB.nodes[facts.node].disk_datastore
    inventory = Inventory(Path("inventory/homelab.toml"), HOMELAB.content)
    for has, problems in ((usual, 0), ("ceph", 1)):
        state = recorded("gateway", disks=1, datastores={"scsi0": has})
        subject = Preflight(inventory, inventory.guests(), {facts.vmid: there("gateway")}, state, "homelab", True)
        if not problems:
            subject.check()
            continue
        (line,) = refused(subject)
        assert f"hosts.gateway.disks[0]: the disk is on ceph and {usual} is wanted" in line
        assert f"qm disk move {facts.vmid} scsi0 {usual} --delete 1" in line


def test_a_guest_with_detached_disks_is_not_replaced() -> None:
    facts = HOMELAB.guests()["step-ca"].model_copy(update={"replace": True})
    content = HOMELAB.content.model_copy(update={"hosts": HOMELAB.hosts | {"step-ca": facts}})
    inventory = Inventory(Path("inventory/homelab.toml"), content)
    detached = {facts.vmid: ["unused0 (local-zfs:subvol-112-disk-1)"]}
    cluster = {facts.vmid: there()}
    subject = Preflight(inventory, inventory.guests(), cluster, recorded(), "homelab", True, [], detached)
    assert "would take disks along that were kept: unused0 (local-zfs:subvol-112-disk-1)" in refused(subject)[0]
    assert "pct move-volume" in refused(subject)[0]


def test_a_guest_that_the_ha_manager_has_is_not_replaced() -> None:
    assert "is an HA resource" in refused(preflight(there(ha=True), state=recorded(), replace=True))[0]


def test_a_guest_with_a_pinned_card_is_another_one_each_time_it_is_made() -> None:
    """Its MAC is the same, and first contact has to run again."""
    urn = "urn:pulumi:homelab::aether::aether:proxmox:NixosLxc$command:local:Command::step-ca"
    other = "urn:pulumi:homelab::aether::aether:nixos:NixosSystem$command:local:Command::step-ca"
    command: dict[str, Any] = {
        "type": "command:local:Command",
        "outputs": {"environment": {"AETHER_INSTANCE": "02:00:c0:a8:0a:0c 2"}},
    }
    system = {"type": "command:local:Command", "outputs": {"environment": {"AETHER_INSTANCE": "02:00:c0:a8:0a:0c 9"}}}
    greeted = births_of({urn: command, other: system})
    assert greeted == {"step-ca": 2}
    assert preflight(there(), state=recorded()).births(greeted)["step-ca"] == 2
    assert preflight(state={}).births(greeted)["step-ca"] == 3, "the state lost it: it is made again"
    assert preflight(there(), state=recorded(), replace=True).births(greeted)["step-ca"] == 3
    renamed = preflight(there(name="ca"), state={"ca": recorded()["step-ca"]}, was="ca")
    assert renamed.births({"ca": 2})["step-ca"] == 2
    assert preflight().births({})["step-ca"] == 1
    command["outputs"]["environment"]["AETHER_INSTANCE"] = "BC:24:11:00:00:01"
    assert births_of({urn: command}) == {"step-ca": 0}
