"""Guests that the inventory lacks: found, listed, and written into it without touching them."""

from pathlib import Path
from typing import Any

import pytest

from inventory import agekey
from inventory.load import load
from inventory.models import AnsibleHost, Disk, External, Interface, NixosLxc, NixosVm
from ops import adopted, hosts
from ops.adopt import append, listing, unknown, wanted_kinds
from ops.adopted import Found, Given, Inside, entry
from ops.stack import OpsError, Stack
from stacks.cluster import ClusterGuest
from tests.unit.inventory_example import GOOD, KEYS

RESOURCES = [
    {"vmid": 110, "type": "qemu", "name": "web", "node": "metal", "tags": "aether", "status": "running"},
    {"vmid": 900, "type": "qemu", "name": "Old-DB.lan", "node": "metal", "status": "running", "tags": "prod;db"},
    {"vmid": 901, "type": "lxc", "name": "cache", "node": "metal", "status": "stopped"},
    {"vmid": 902, "type": "qemu", "name": "base", "node": "metal", "template": 1, "status": "stopped"},
    {"vmid": 903, "type": "qemu", "name": "4th", "node": "metal", "status": "stopped"},
    {"vmid": 904, "type": "qemu", "name": "gone", "node": "metal", "tags": "aether;retired", "status": "stopped"},
    {"vmid": 905, "type": "lxc", "name": "talos-on-pve", "node": "metal", "status": "running"},
    {"vmid": 906, "type": "lxc", "name": "notes", "node": "metal", "status": "running", "tags": "aether-not"},
    {"vmid": 907, "type": "lxc", "name": "mail", "node": "metal", "status": "running"},
]
CONFIG: dict[int, dict[str, Any]] = {
    900: {
        "name": "Old-DB.lan",
        "ostype": "l26",
        "description": 'The database.\n\nAsk Ada before you "touch" it.\n',
        "cores": 2,
        "sockets": 2,
        "memory": "2048",
        "boot": "order=virtio0;net0",
        "virtio0": "local-zfs:vm-900-disk-1,size=33280M",
        "scsi1": "tank:vm-900-disk-2,size=100G,iothread=1",
        "scsi3": "tank:vm-900-disk-3,size=7G",
        "ide2": "local:iso/nixos.iso,media=cdrom,size=1G",
        "ide0": "local-zfs:vm-900-cloudinit,media=cdrom,size=4M",
        "efidisk0": "local-zfs:vm-900-disk-0,efitype=4m,size=1M",
        "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
        "ipconfig0": "ip=dhcp",
        "ipconfig1": "ip=192.168.20.77/24",
        "startup": "order=3,up=30",
    },
    901: {"net0": "name=eth0,bridge=vmbr0,ip=192.168.10.61/24,gw=192.168.10.1", "ostype": "debian"},
    905: {"net0": "name=eth0,bridge=vmbr0,ip=192.168.10.30/24"},
    906: {
        "ostype": "nixos",
        "hostname": "notes",
        "memory": 256,
        "rootfs": "local-zfs:subvol-906-disk-0,size=8G",
        "mp0": "tank:subvol-906-disk-1,mp=/srv/notes,size=20G",
        "mp1": "/tank/shared,mp=/srv/shared",
        "net0": "name=eth0,bridge=vmbr0,ip=dhcp",
        "features": "nesting=1,fuse=1",
        "dev0": "path=/dev/net/tun",
        "startup": "up=5",
    },
    907: {"net0": "name=eth0,bridge=vmbr0,ip=192.168.10.64/24", "ostype": "debian", "hostname": "mail"},
}
CARDS = [
    {"ip-addresses": [{"ip-address": "127.0.0.1", "ip-address-type": "ipv4"}]},
    {
        "ip-addresses": [
            {"ip-address": "fe80::1", "ip-address-type": "ipv6"},
            {"ip-address": "192.168.10.60", "ip-address-type": "ipv4"},
        ]
    },
]
FILESYSTEMS = [
    {"mountpoint": "/", "disk": [{"serial": ""}]},
    {"mountpoint": "/srv/db/backup", "disk": [{"serial": "0QEMU_QEMU_HARDDISK_drive-scsi1"}]},
    {"mountpoint": "/srv/db", "disk": [{"serial": "0QEMU_QEMU_HARDDISK_drive-scsi1"}]},
]
AGENT = {
    "agent/network-get-interfaces": {"result": CARDS},
    "agent/get-osinfo": {"result": {"id": "nixos"}},
    "agent/get-fsinfo": {"result": FILESYSTEMS},
}


def api(path: str) -> Any:
    if path.startswith("/cluster/resources"):
        return RESOURCES
    _, _, _, _, vmid, what = path.split("/", 5)
    if what == "config":
        return CONFIG.get(int(vmid), {})
    if vmid == "900":
        return AGENT[what]
    if (vmid, what) == ("906", "interfaces"):
        return [{"name": "lo", "inet": "127.0.0.1/8"}, {"name": "eth0", "inet": "192.168.10.63/24"}]
    raise OpsError("no agent")


def asked(guest: ClusterGuest) -> Inside:
    return Inside({900: "olddb"}.get(guest.vmid, guest.name), KEYS[5])


def never(guest: ClusterGuest) -> Inside:
    raise AssertionError(guest)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "lab.toml").write_text(GOOD)
    return tmp_path / "lab.toml"


@pytest.fixture
def found(path: Path) -> dict[int, Found]:
    return {item.guest.vmid: item for item in unknown(load(path), api)}


def test_own_and_retired_guests_and_known_addresses_are_not_strangers(path: Path, found: dict[int, Found]) -> None:
    assert [(item.guest.vmid, item.address, item.system, item.kind) for item in found.values()] == [
        (900, "192.168.10.60", "nixos", "nixos-vm"),
        (901, "192.168.10.61", "debian", "external"),
        (902, "", "", "external"),
        (903, "", "", "external"),
        (906, "192.168.10.63", "nixos", "nixos-lxc"),
        (907, "192.168.10.64", "debian", "external"),
    ]
    shown = listing(list(found.values()), path, "homelab")
    assert "900  virtual machine  Old-DB.lan" in shown
    assert "902  template" in shown
    assert [line.split()[-1] for line in shown.splitlines()[1:7]] == [
        "nixos-vm",
        "external",
        "-",
        "external",
        "nixos-lxc",
        "external",
    ]
    assert listing([], path, "homelab") == f"Every guest of the cluster is in {path}."


def test_what_is_written_is_external_and_the_rest_of_the_file_stays(path: Path, found: dict[int, Found]) -> None:
    inventory = load(path)
    append(path, "\n".join(entry(found[vmid], inventory, "external", Given(), never) for vmid in (900, 901)))
    assert path.read_text().startswith(GOOD.rstrip())
    host = load(path).hosts["old-db-lan"]
    assert isinstance(host, External)
    assert (host.address, host.network, host.os) == ("192.168.10.60", "servers", "nixos")
    assert [item.guest.vmid for item in unknown(load(path), api)] == [902, 903, 906, 907]


def test_a_nixos_machine_has_every_fact_of_the_cluster_in_its_entry(path: Path, found: dict[int, Found]) -> None:
    append(path, entry(found[900], load(path), "nixos-vm", Given(), asked))
    host = load(path).hosts["olddb"]
    assert isinstance(host, NixosVm)
    assert (host.adopted, host.was, host.node, host.vmid) == (True, "Old-DB.lan", "metal", 900)
    assert (host.cpu, host.memory, host.start_order) == (4, 2048, 3)
    assert host.description == 'The database.\n\nAsk Ada before you "touch" it.'
    assert host.tags == ("db", "prod")
    assert (host.host_key, host.age_recipient) == (KEYS[5], agekey.recipient(KEYS[5]))
    assert host.disks == (
        Disk(size=32, interface="virtio0"),
        # Its agent says where it is mounted.
        Disk(size=100, datastore="tank", mount="/srv/db"),
    )
    assert host.interfaces == (Interface(network="clients", address="192.168.20.77"),)
    assert "# scsi3 (tank:vm-900-disk-3) stays as it is" in path.read_text()


def test_a_nixos_container_has_its_mount_points_and_features(path: Path, found: dict[int, Found]) -> None:
    append(path, entry(found[906], load(path), "nixos-lxc", Given(), asked))
    host = load(path).hosts["notes"]
    assert isinstance(host, NixosLxc)
    assert (host.adopted, host.was, host.start_order) == (True, None, None)
    # Without a limit of its own it has all of its node's.
    assert (host.cpu, host.memory) == (4, 256)
    assert host.disks == (Disk(size=8), Disk(size=20, datastore="tank", mount="/srv/notes"))
    assert (host.unprivileged, host.nesting, host.keyctl, host.fuse) == (False, True, False, True)
    assert host.devices == ("/dev/net/tun",)
    assert "# mp1 (/tank/shared) stays as it is" in path.read_text()


def test_a_key_that_is_given_is_not_asked_for(path: Path, found: dict[int, Found]) -> None:
    text = entry(found[900], load(path), "nixos-vm", Given(host_key=f"{KEYS[4]} root@olddb"), never)
    assert f'host_key = "{KEYS[4]}"' in text
    assert text.startswith("[hosts.old-db-lan]")


def test_another_system_stays_on_ansible_where_that_is_said(path: Path, found: dict[int, Found]) -> None:
    append(path, entry(found[907], load(path), "ansible", Given(playbook="smith.yml"), asked))
    host = load(path).hosts["mail"]
    assert isinstance(host, AnsibleHost)
    assert (host.os, host.playbook, host.node, host.host_key) == ("debian", "smith.yml", "metal", KEYS[5])


def test_kinds_are_said_for_all_or_for_one(found: dict[int, Found]) -> None:
    chosen = [found[900], found[906], found[907]]
    assert wanted_kinds([], chosen) == {900: "nixos-vm", 906: "nixos-lxc", 907: "external"}
    assert wanted_kinds(["907=ansible", "external"], chosen) == {900: "external", 906: "external", 907: "ansible"}
    for word in ("nixos", "901=external", "x=external"):
        with pytest.raises(OpsError, match="write one of external, ansible, nixos-lxc, nixos-vm"):
            wanted_kinds([word], chosen)


@pytest.mark.parametrize(
    ("vmid", "kind", "given", "says"),
    [
        (902, "external", Given(), "is a template"),
        (903, "external", Given(), "adopt 903 --address ADDRESS"),
        (903, "external", Given(address="10.9.9.9"), "is in no network"),
        (900, "nixos-lxc", Given(), "is a virtual machine. Fix: --as nixos-vm"),
        (907, "nixos-lxc", Given(), "runs debian, not NixOS. Fix: --as external or ansible"),
        (903, "nixos-vm", Given(address="192.168.10.70"), "on metal: qm set 903 --ostype l26"),
        (907, "ansible", Given(), "which playbook configures it.*smith.yml"),
        (903, "ansible", Given(address="192.168.10.70", playbook="smith.yml"), "runs an unknown system"),
    ],
)
def test_what_cannot_be_adopted_says_why(
    path: Path, found: dict[int, Found], vmid: int, kind: str, given: Given, says: str
) -> None:
    with pytest.raises(OpsError, match=says):
        entry(found[vmid], load(path), kind, given, asked)


def test_a_guest_that_cannot_say_its_key_says_why(
    found: dict[int, Found], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    monkeypatch.setattr(hosts, "ssh_config", lambda stack: config)
    with pytest.raises(OpsError, match="no preview has written how metal is reached"):
        adopted.inside(Stack("homelab"), found[906].guest)
    config.write_text("Host *\n  ProxyCommand false\n")
    with pytest.raises(OpsError, match="on metal: qm start 903"):
        adopted.inside(Stack("homelab"), found[903].guest)
    with pytest.raises(OpsError, match=r"did not say which SSH host key it has .*--host-key"):
        adopted.inside(Stack("homelab"), found[906].guest)


def test_a_file_that_would_be_wrong_stays_as_it_was(path: Path) -> None:
    with pytest.raises(OpsError, match=r"would not be right with it:\n.*is the address of hosts.web too"):
        append(path, '[hosts.web2]\nkind = "external"\naddress = "192.168.10.10"\n')
    assert path.read_text() == GOOD
    assert [item.name for item in path.parent.iterdir()] == ["lab.toml"]
