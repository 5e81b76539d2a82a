"""The homelab's composition with mocks: which resources, whose children, waiting for whom."""

from pathlib import Path

import pytest

from inventory.load import Inventory, load
from inventory.models import AtomicHost, NixosHost, NixosLxc, NixosVm, Rollout
from stacks import homelab
from stacks.errors import SettingsError
from tests.unit.homelab_settings import HOMELAB, settings
from tests.unit.recorder import STACK, Recording, record


def compose(*, preview: bool = False, **changes: object) -> Recording:
    return record(lambda: homelab.compose(settings(**changes), load(HOMELAB)), preview=preview)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return compose()


def test_every_guest_is_made_and_configured(recording: Recording) -> None:
    inventory = load(HOMELAB)
    assert set(recording.of("VmLegacy")) == set(inventory.of(NixosVm))
    assert set(recording.of("ContainerLegacy")) == set(inventory.of(NixosLxc))
    assert set(recording.of("aether:nixos:NixosSystem")) == set(inventory.of(NixosHost))
    assert set(recording.of("aether:nixos:NixosSystem")) > set(inventory.guests())


def test_a_vm_has_what_the_inventory_says(recording: Recording) -> None:
    facts = load(HOMELAB).of(NixosVm)["iot"]
    vm = recording.one("VmLegacy", "iot").inputs
    assert vm["nodeName"] == facts.node
    assert vm["vmId"] == facts.vmid
    assert vm["memory"]["dedicated"] == facts.memory
    assert [disk["size"] for disk in vm["disks"]] == [disk.size for disk in facts.disks]
    assert vm["bios"] == "ovmf"
    assert vm["agent"]["enabled"] is True
    assert vm["initialization"]["ipConfigs"][0]["ipv4"] == {"address": "192.168.10.21/24", "gateway": "192.168.10.1"}
    assert [usb["mapping"] for usb in vm["usbs"]] == [f"niobe-usb-{name}" for name in facts.usb]


def test_a_vm_takes_nothing_along_when_it_goes_and_is_never_booted_by_the_way(recording: Recording) -> None:
    vm = recording.one("VmLegacy", "iot").inputs
    said = {key: vm[key] for key in ("purgeOnDestroy", "deleteUnreferencedDisksOnDestroy", "rebootAfterUpdate", "migrate")}
    assert said == {
        "purgeOnDestroy": False,
        "deleteUnreferencedDisksOnDestroy": False,
        "rebootAfterUpdate": False,
        "migrate": True,
    }


def test_a_container_is_unprivileged_with_nesting(recording: Recording) -> None:
    container = recording.one("ContainerLegacy", "keycloak").inputs
    assert container["unprivileged"] is True
    assert container["features"]["nesting"] is True
    assert container["description"].endswith("\n")


def test_children_have_their_component_as_parent(recording: Recording) -> None:
    assert recording.one("VmLegacy", "gateway").parent.endswith("aether:proxmox:NixosVm::gateway")
    assert sorted(recording.children("gateway", "NixosVm")) == [
        "command:local:Command",
        "command:local:Command",
        "proxmoxve:index/vmLegacy:VmLegacy",
    ]
    assert recording.children("gateway", "NixosSystem") == ["command:local:Command"]


def test_a_system_waits_for_its_guest_and_for_what_the_host_depends_on(recording: Recording) -> None:
    gateway = next(
        item for item in recording.resources if item.name == "gateway" and "NixosSystem" in item.parent and "Command" in item.type
    )
    waits = " ".join(gateway.depends_on)
    for other in ("step-ca", "adguard", "keycloak"):
        assert f"NixosSystem$command:local:Command::{other}" in waits
    assert "NixosVm$proxmoxve:index/vmLegacy:VmLegacy::gateway" in waits
    cockpit = next(item for item in recording.resources if item.name == "cockpit" and "NixosSystem" in item.parent)
    assert "gateway" not in " ".join(cockpit.depends_on)


def test_images_go_once_to_each_node_that_needs_them(recording: Recording) -> None:
    assert sorted(recording.of("FileLegacy")) == ["nixos-lxc-oracle", "nixos-vm-niobe", "nixos-vm-oracle", "nixos-vm-trinity"]


def test_nodes_are_set_up_one_after_the_other_and_guests_wait_for_theirs(recording: Recording) -> None:
    nodes = list(load(HOMELAB).nodes)
    runs = {item.name: item for item in recording.resources if "AETHER_PLAYBOOK" in item.environment and item.name in nodes}
    for before, node in zip([None, *nodes], nodes, strict=False):
        waits = [urn.rsplit("::", 1)[1] for urn in runs[node].depends_on]
        assert waits == ([before] if before else [])
    for kind, name, node in (
        ("FileLegacy", "nixos-vm-niobe", "niobe"),
        ("VmLegacy", "gateway", "oracle"),
        ("ContainerLegacy", "keycloak", "oracle"),
    ):
        urns = recording.one(kind, name).depends_on
        assert any(urn.endswith(f"Playbook$command:local:Command::{node}") for urn in urns), urns


def test_every_kind_of_host_has_its_canary() -> None:
    homelab_file = load(HOMELAB)
    # By the digest that the inventory pins, no registry is asked.
    hosts = {
        name: host.model_copy(update={"digest": f"sha256:{'0' * 64}"}) if isinstance(host, AtomicHost) else host
        for name, host in homelab_file.hosts.items()
    }
    rollout = Rollout.model_validate({"strategy": "canary", "canary": ("cockpit", "gaming", "gpu", "wsl")})
    content = homelab_file.content.model_copy(update={"hosts": hosts, "rollout": rollout})
    recorded = record(lambda: homelab.compose(settings(), Inventory(HOMELAB, content)))
    waits = {
        (item.name, item.parent.rsplit("$", 1)[-1].split("::")[0]): {urn.rsplit("::", 1)[1] for urn in item.depends_on}
        for item in recorded.resources
        if "Command" in item.type
    }
    system, image, playbook = "aether:nixos:NixosSystem", "aether:atomic:AtomicHost", "aether:ansible:Playbook"
    assert "cockpit" in waits["adguard", system] and waits["cockpit", system] == {"cockpit", "cockpit-disks"}
    assert "gaming" in waits["workstation", image] and "gaming" not in waits["gaming", image]
    assert {"gpu"} <= waits["router", playbook] and {"gpu"} <= waits["smith-files", playbook] and not waits["gpu", playbook]
    assert waits["laptop-home", playbook] == {"laptop", "wsl-home"} and not waits["wsl-home", playbook]


def test_no_resource_is_given_a_secret_in_its_command(recording: Recording) -> None:
    commands = [item for item in recording.resources if item.type == "command:local:Command"]
    assert commands
    for item in commands:
        # A machine that is made has its disks: nothing is to be done about them before the first change.
        run = item.inputs["update"] if item.inputs["create"] == ":" else item.inputs["create"]
        assert Path(run).is_file(), "commands are files of the repository, nothing is put together"
        assert "PRIVATE KEY" not in str(item.inputs)


def test_the_host_key_is_pinned_before_the_first_connection(recording: Recording) -> None:
    contact = next(item for item in recording.resources if item.name == "media" and "first-contact" in str(item.inputs))
    assert contact.environment["AETHER_HOST_KEY"] == " ".join(load(HOMELAB).guests()["media"].host_key.split()[:2])
    known = Path(f".aether/ssh/{STACK}/known_hosts").read_text()
    assert f"media {contact.environment['AETHER_HOST_KEY']}\n" in known
    assert "StrictHostKeyChecking yes" in Path(f".aether/ssh/{STACK}/config").read_text()


def test_a_guest_is_told_from_its_successor_by_the_mac_of_its_device(recording: Recording) -> None:
    for host, mac in (("media", "BC:24:11:00:00:01"), ("keycloak", "BC:24:11:00:00:02")):
        commands = [item for item in recording.resources if item.name == host and item.type == "command:local:Command"]
        assert [item.environment["AETHER_INSTANCE"] for item in commands] == [mac, mac]


def test_guests_that_hold_data_are_protected(recording: Recording) -> None:
    protected = {item.name for item in recording.resources if item.protect}
    inventory = load(HOMELAB)
    assert protected == {name for name, facts in inventory.guests().items() if not facts.disposable}
    assert not [item for item in compose(protect=False).resources if item.protect]


def test_a_phase_leaves_later_hosts_alone() -> None:
    systems = compose(phase=3).of("aether:nixos:NixosSystem")
    assert set(systems) == {name for name, facts in load(HOMELAB).of(NixosHost).items() if facts.phase <= 3}
    assert "gateway" in systems
    assert "keycloak" not in systems


def test_a_preview_of_nothing_yet_knows_the_desired_closures() -> None:
    recording = compose(preview=True)
    system = next(item for item in recording.resources if item.name == "dev" and "NixosSystem" in item.parent)
    assert system.environment["AETHER_DESIRED"].startswith("source:")


def test_each_ignored_change_is_one_property(recording: Recording) -> None:
    for item in recording.resources:
        for path in item.ignore_changes:
            assert path in {
                "create",
                "disks[0].importFrom",
                "disks[0].speed",
                "disks[1].speed",
                "mountPoints",
                "operatingSystem.templateFileId",
                "sourceFile.changed",
                "initialization.userAccount",
                "initialization.dns",
                "initialization.datastoreId",
                "efiDisk.datastoreId",
                "disks[0].size",
                "disks[1].size",
                "memory",
                "features",
                "networkInterfaces",
                "initialization",
                "environment.AETHER_DRIFT",
                "environment.AETHER_CHECK",
            }


def test_without_credentials_the_error_says_what_to_set() -> None:
    with pytest.raises(SettingsError, match=r"config set --secret aether:proxmoxApiToken"):
        compose(proxmox_api_token=None)


def test_what_an_image_changes_runs_no_home_but_its_hosts_own(recording: Recording) -> None:
    inventory = load(HOMELAB)
    pinned = inventory.hosts["workstation"].model_copy(update={"digest": "sha256:" + "a" * 64})
    content = inventory.content.model_copy(update={"hosts": inventory.hosts | {"workstation": pinned}})
    other = record(lambda: homelab.compose(settings(), Inventory(HOMELAB, content)), preview=False)

    def versions(of: Recording) -> dict[str, str]:
        commands = (item for item in of.of("command:local:Command").values() if "AETHER_PLAYBOOK" in item.inputs["environment"])
        return {item.name: item.inputs["stdin"] for item in commands}

    before, after = versions(recording), versions(other)
    homes = {name for name in before if name.endswith("-home")}
    assert len(homes) > 3
    assert {name for name in homes if before[name] != after[name]} == {"workstation-home"}
