"""What changed facts do to guests that run: in place, at their next controlled reboot, on another node. By the real provider."""

import re
from collections.abc import Iterator

import pytest

from inventory import effects
from inventory.marks import AtGuest
from tests.system.checkout import Checkout
from tests.system.guests import api, boots, settled, steps
from tests.system.small import deployed

INVENTORY = "inventory/homelab.toml"
MORE = 'interfaces = [{ network = "management", address = "192.168.1.77" }]\n'
# Host, node, Proxmox's tool, VMID.
GUESTS = (("web", "pve1", "qm", 110), ("dns", "pve1", "pct", 111), ("log", "pve2", "pct", 112))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    yield from deployed(tmp_path_factory.mktemp("changes"))


def test_cores_memory_and_a_grown_disk_go_in_one_run_and_hold_after_the_controlled_reboot(fleet: Checkout) -> None:
    before = boots(fleet)
    fleet.replace(
        INVENTORY,
        'address = "192.168.10.10"\ncpu = 1\nmemory = 512\ndisks = [{ size = 8 }]',
        'address = "192.168.10.10"\ncpu = 2\nmemory = 768\ndisks = [{ size = 10 }]',
    )
    up = fleet.up()
    assert up.code == 0, up.text
    assert "size=10G" in fleet.ssh("pve1", "qm config 110 --current 1 | grep ^scsi0").text
    assert settled(fleet) and settled(fleet, "--refresh=true")
    assert boots(fleet) == before
    assert fleet.ssh("web", "nproc").text.strip() == "1", "cores wait for a start by Proxmox"
    assert fleet.ssh("web", "systemctl reboot").code in (0, 255)

    rebooted = fleet.ops("reboot", "web")
    assert rebooted.code == 0, rebooted.text
    assert "guest 110: gets cores: 2" in rebooted.text, rebooted.text
    assert "came back on it, healthy" in rebooted.text
    assert fleet.ssh("web", "nproc").text.strip() == "2"
    assert not re.search("^(new|del)", fleet.ssh("pve1", "qm pending 110").text, re.MULTILINE)
    after = boots(fleet)
    assert [host for host in before if before[host] != after[host]] == ["web"]
    assert settled(fleet)


def test_a_containers_memory_cores_and_network_are_changed_while_it_runs(fleet: Checkout) -> None:
    before = boots(fleet)
    card = re.search("hwaddr=[^,]*", fleet.ssh("pve2", "pct config 112 | grep ^net0").text)
    assert card is not None
    fleet.replace(
        INVENTORY,
        'address = "192.168.10.12"\ncpu = 1\nmemory = 512\n',
        f'address = "192.168.10.12"\ncpu = 2\nmemory = 768\n{MORE}start_order = 3\n',
    )
    fleet.replace(INVENTORY, 'gateway = "192.168.10.1"\n', 'gateway = "192.168.10.254"\nmtu = 1400\n')
    preview = fleet.preview()
    assert "memory 768" in preview.text and "gw=192.168.10.254" in preview.text, preview.text
    up = fleet.up()
    assert up.code == 0, up.text
    config = fleet.ssh("pve2", "pct config 112 --current 1").text
    assert "memory: 768" in config and "cores: 2" in config and "order=3" in config, config
    net0 = next(line for line in config.splitlines() if line.startswith("net0"))
    assert card[0] in net0 and "gw=192.168.10.254" in net0 and "mtu=1400" in net0 and "ip=192.168.10.12/24" in net0, net0
    assert re.search("net1: .*ip=192.168.1.77", config)
    assert boots(fleet) == before, "neither by the provider nor by Proxmox"
    assert settled(fleet) and settled(fleet, "--refresh=true")
    fleet.replace(INVENTORY, MORE, "")
    assert fleet.up().code == 0
    assert "net1" not in fleet.ssh("pve2", "pct config 112 --current 1").text
    assert boots(fleet) == before


# Field of the tables in inventory/effects.py -> the resource that a change of it changes, and where.
_VM = {
    "description": ("VmLegacy::web", "description"),
    "tags": ("VmLegacy::web", "tags"),
    "cpu": ("VmLegacy::web", "cpu.cores"),
    "cpu_type": ("VmLegacy::web", "cpu.type"),
    "numa": ("VmLegacy::web", "cpu.numa"),
    "memory": ("VmLegacy::web", "memory.dedicated"),
    "balloon": ("VmLegacy::web", "memory.floating"),
    "start_order": ("VmLegacy::web", "startup"),
    "firewall": ("VmLegacy::web", "networkDevices[0].firewall"),
    "interfaces": ("VmLegacy::web", "networkDevices[1]"),
    "address6": ("VmLegacy::web", "initialization.ipConfigs[0].ipv6"),
    "mtu": ("VmLegacy::web", "networkDevices[0].mtu"),
    "gateway": ("VmLegacy::web", "initialization.ipConfigs[0].ipv4.gateway"),
    "data disk is added": ("VmLegacy::web", "disks[1]"),
    "first disk grows": ("Command::web-disks", "environment.AETHER_DISKS"),
}
_CONTAINER = {
    "description": ("ContainerLegacy::dns", "description"),
    "tags": ("ContainerLegacy::dns", "tags"),
    "cpu": ("ContainerLegacy::dns", "cpu.cores"),
    "start_order": ("ContainerLegacy::dns", "startup"),
    "memory": ("Command::dns-settings", "environment.AETHER_SETTINGS"),
    "interfaces": ("Command::dns-settings", "environment.AETHER_SETTINGS"),
    "firewall": ("Command::dns-settings", "environment.AETHER_SETTINGS"),
    "address6": ("Command::dns-settings", "environment.AETHER_SETTINGS"),
    "mtu": ("Command::dns-settings", "environment.AETHER_SETTINGS"),
    "gateway": ("Command::dns-settings", "environment.AETHER_SETTINGS"),
    "data disk is added": ("Command::dns-disks", "environment.AETHER_DISKS"),
    "fuse": ("Command::dns-options", ""),
    "nesting": ("Command::log-settings", "environment.AETHER_SETTINGS"),
}
_PENDING_OF_VM = {"cpu": "cores", "cpu_type": "cpu", "numa": "numa", "memory": "memory", "balloon": "balloon"}


def test_every_field_that_is_changed_in_place_is_and_what_waits_holds_after_one_reboot_each(fleet: Checkout) -> None:
    text = (fleet.path / INVENTORY).read_text()
    both = 'description = "{} for all"\ntags = ["more"]\nstart_order = 2\nfirewall = true\naddress6 = "auto"\n'
    more = 'interfaces = [{{ network = "management", address = "192.168.1.{}" }}]\n'
    for name, last, added in (
        ("web", 10, 'cpu = 3\nmemory = 1024\nballoon = 512\nnuma = true\ncpu_type = "x86-64-v3"\n'),
        ("dns", 11, "cpu = 3\nmemory = 1024\nfuse = true\n"),
    ):
        where = text.index(f"[hosts.{name}]")
        end = text.index("host_key", where)
        entry = re.sub(r"^(description|cpu|memory|disks) = .*\n", "", text[where:end], flags=re.MULTILINE)
        disks = 'disks = [{ size = 12 }, { size = 4, mount = "/srv/data" }]\n'
        text = text[:where] + entry + both.format(name) + more.format(70 + last) + added + disks + text[end:]
    text = text.replace("[hosts.log]\n", "[hosts.log]\nnesting = false\n")
    (fleet.path / INVENTORY).write_text(
        re.sub(r'gateway = "192.168.10.*"\n(mtu = .*\n)?', 'gateway = "192.168.10.2"\nmtu = 1300\n', text)
    )
    # The simulated cluster's token gets the rights of the inventory that is there when it starts.
    assert fleet.sim("restart", "--stack", "sim").code == 0
    before = boots(fleet)

    planned = steps(fleet)
    for field, (resource, path) in [*_VM.items(), *_CONTAINER.items()]:
        operation, changed = planned[resource]
        assert operation == ("update" if path else "create"), (field, operation)
        assert not path or any(at.startswith(path) for at in changed), (field, changed)
        assert not any("replace" in kind for kind in changed.values()), (field, changed)
    # What the table says of them.
    tables = {**effects.GUEST, **effects.DISKS, **effects.NETWORK}
    for index, fields in enumerate((_VM, _CONTAINER)):
        assert {tables[field][index] for field in fields} == {AtGuest.UPDATE, AtGuest.PENDING}

    up = fleet.up()
    assert up.code == 0, up.text
    assert boots(fleet) == before
    assert settled(fleet)
    waiting = {host: fleet.ssh(node, f"{tool} pending {vmid}").text for host, node, tool, vmid in GUESTS}
    for field, option in _PENDING_OF_VM.items():
        assert tables[field][0] == AtGuest.PENDING
        assert re.search(f"^new {option}:", waiting["web"], re.MULTILINE), (field, waiting["web"])
    assert not re.search(r"^new (net|scsi|description|tags|startup)", waiting["web"], re.MULTILINE), waiting["web"]
    # Beside the grown root disk the provider sends its options, which Proxmox takes at the next start.
    assert re.findall("^(?:new|del) (.*?):", waiting["dns"], re.MULTILINE) == ["features", "rootfs"], waiting["dns"]
    assert re.findall("^(?:new|del) (.*?):", waiting["log"], re.MULTILINE) == ["features"], waiting["log"]
    for host, node, tool, vmid in GUESTS:
        rebooted = fleet.ops("reboot", host)
        assert rebooted.code == 0, rebooted.text
        assert not re.search("^(new|del)", fleet.ssh(node, f"{tool} pending {vmid}").text, re.MULTILINE)
        after = boots(fleet)
        assert [name for name in before if before[name] != after[name]] == [host]
        before = after
    assert fleet.ssh("web", "nproc").text.strip() == "3"
    assert settled(fleet)


def test_what_cannot_be_changed_is_refused_before_anything_runs(fleet: Checkout) -> None:
    text = (fleet.path / INVENTORY).read_text()
    before = boots(fleet)
    changed = text.replace("vmid = 112\n", "vmid = 113\n").replace("[{ size = 12 }", '[{ size = 12, datastore = "local-lvm" }', 1)
    (fleet.path / INVENTORY).write_text(changed.replace("size = 12 }, { size = 4", "size = 4 }, { size = 4"))
    refused = fleet.preview()
    assert refused.code != 0
    assert "hosts.log.vmid: its guest has VMID 112, which cannot be changed" in refused.text, refused.text
    assert "hosts.web.disks[0]: the disk is on local-zfs and local-lvm is wanted" in refused.text, refused.text
    assert "qm disk move 110 scsi0 local-lvm --delete 1" in refused.text
    assert "hosts.dns.disks: the first disk has 12 GiB and 4 are wanted" in refused.text, refused.text
    assert fleet.up().code != 0

    # Of a container these need another one; it is protected on a real stack, and deleted before the new one is made.
    (fleet.path / INVENTORY).write_text(text.replace("[hosts.log]\n", "[hosts.log]\nunprivileged = false\n"))
    operation, kinds = steps(fleet)["ContainerLegacy::log"]
    assert operation in ("replace", "create-replacement", "delete-replaced")
    assert any("replace" in kind for kind in kinds.values()) or operation == "delete-replaced"
    assert effects.GUEST["unprivileged"][1] == AtGuest.REPLACE
    (fleet.path / INVENTORY).write_text(text)
    assert boots(fleet) == before


def test_another_node_migrates_a_machine_and_a_container_waits_for_the_word(fleet: Checkout) -> None:
    born = fleet.ssh("pve1", "qm config 110 | grep ^net0").text
    before = boots(fleet)
    for vmid in (110, 111):
        fleet.replace(INVENTORY, f'node = "pve1"\nvmid = {vmid}\n', f'node = "pve2"\nvmid = {vmid}\n')
    up = fleet.up()
    assert up.code == 0, up.text
    assert fleet.ssh("pve2", "qm config 110 | grep ^net0").text == born
    assert "./aether --stack sim move dns" in up.text + fleet.preview().text
    assert fleet.ssh("pve1", "pct status 111").code == 0
    assert boots(fleet) == before, "live, with its local disks"
    moved = fleet.ops("move", "dns")
    assert moved.code == 0, moved.text
    assert fleet.ssh("pve2", "pct status 111").code == 0
    again = fleet.up()
    assert again.code == 0, again.text
    assert settled(fleet)
    rebooted = fleet.ops("reboot", "web")
    assert rebooted.code == 0, rebooted.text


def test_a_deployment_has_a_snapshot_until_it_is_committed(fleet: Checkout) -> None:
    text = (fleet.path / INVENTORY).read_text()
    (fleet.path / INVENTORY).write_text(text.replace('tags = ["more"]', 'tags = ["snapped"]'))
    up = fleet.up("--config", "aether:snapshots=true")
    assert up.code == 0, up.text
    assert "guest 110: has snapshot aether until the deployment is committed" in up.text, up.text
    assert "way back: pct rollback 111 aether" in up.text, up.text
    for tool, vmid in (("qm", 110), ("pct", 111)):
        assert "aether" not in fleet.ssh("pve2", f"{tool} listsnapshot {vmid}").text, "committed"


def test_a_replaced_guest_keeps_backup_jobs_and_detached_disks(fleet: Checkout) -> None:
    cluster = api(fleet)
    cluster.cluster.backup.post(id="by-hand", vmid="110,112", schedule="02:30", storage="local")
    cluster.nodes("pve2").storage("local-zfs").content.post(vmid=110, filename="vm-110-disk-9", size="1G")
    text = (fleet.path / INVENTORY).read_text()
    start = text.index("[hosts.web]")
    web = text[start : text.index("[hosts.dns]")]
    alone = web.replace(', { size = 4, mount = "/srv/data" }', "")
    assert alone != web
    fleet.replace(INVENTORY, web, alone)
    up = fleet.up()
    assert up.code == 0, up.text
    assert re.search("unused0: local-zfs:vm-110-disk", fleet.ssh("pve2", "qm config 110").text), "detached, and kept"

    # Another VMID is another guest.
    fleet.replace(INVENTORY, "vmid = 110\n", "vmid = 115\nreplace = true\n")
    refused = fleet.up()
    assert refused.code != 0
    assert (
        "hosts.web.replace: its guest 110 would take disks along that were kept: unused0 (local-zfs:vm-110-disk" in refused.text
    )
    assert fleet.ssh("pve2", "qm status 110").code == 0
    assert fleet.ssh("pve2", "qm set 110 --delete unused0").code == 0
    up = fleet.up()
    assert up.code == 0, up.text
    assert fleet.ssh("pve2", "qm status 110").code != 0 and fleet.ssh("pve2", "qm status 115").code == 0
    assert cluster.cluster.backup("by-hand").get()["vmid"] == "110,112"
    volumes = {item["volid"] for item in cluster.nodes("pve2").storage("local-zfs").content.get()}
    assert "local-zfs:vm-110-disk-9" in volumes, "nobody's configuration names it, and it stays"


def test_a_review_says_who_waits_for_whom_from_now_on(fleet: Checkout) -> None:
    text = (fleet.path / INVENTORY).read_text()
    (fleet.path / INVENTORY).write_text(text.replace("[hosts.log]\n", '[hosts.log]\ndepends_on = ["dns"]\n'))
    review = fleet.ops("review")
    assert review.code == 0 and "- `log` waits for `dns` from now on\n" in review.text, review.text
    (fleet.path / INVENTORY).write_text(text)
    assert "Who waits for whom" not in fleet.ops("review").text
