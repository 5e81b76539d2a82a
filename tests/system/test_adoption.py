"""A cluster that was clicked together, taken over: guests imported as they are, others kept and never touched."""

import re
from collections.abc import Iterator

import pytest

from tests.system.checkout import Checkout, Result
from tests.system.guests import api, task
from tests.system.small import deployed

INVENTORY = "inventory/homelab.toml"
FORGET = """
from ops import guests
from ops.stack import Stack
guests._edit_state(Stack("sim"), lambda found: guests.forget(guests.forget(found, "web"), "log"))
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The small fleet, two guests of which no state knows, beside guests that somebody made by hand."""
    for checkout in deployed(tmp_path_factory.mktemp("adoption")):
        node, other = api(checkout).nodes("pve1"), api(checkout).nodes("pve2")
        task(checkout, node.qemu.post(vmid=4711, name="Old-DB", memory=512, scsi0="local-zfs:4", ipconfig0="ip=192.168.10.61/24"))
        task(checkout, node.qemu.post(vmid=905, name="win-box", memory=512, sata0="local-zfs:4", ide2="none,media=cdrom"))
        task(checkout, node.qemu.post(vmid=9000, name="base", memory=512, scsi0="local-zfs:4"))
        task(checkout, node.qemu(9000).template.post())
        task(checkout, node.qemu(9000).clone.post(newid=9001, name="clone-of-base"))
        nixos = next(item["volid"] for item in other.storage("local").content.get(content="vztmpl"))
        # As Proxmox knows it by its name; nobody starts it.
        debian = "local:vztmpl/debian-13-standard.tar.zst"
        assert (
            checkout.ssh(
                "pve2", "cp /var/lib/vz/template/cache/nixos-* /var/lib/vz/template/cache/debian-13-standard.tar.zst"
            ).code
            == 0
        )
        net = "name=eth0,bridge=vmbr0,ip=192.168.10.62/24"
        task(checkout, other.lxc.post(vmid=300, hostname="cache", ostemplate=debian, rootfs="local-zfs:4", net0=net))
        _nixos_by_hand(checkout, nixos)
        assert checkout.run(checkout.python, "-c", FORGET).code == 0
        by_hand = "--tags prod --description by-hand --onboot 0"
        assert checkout.ssh("pve1", f"qm set 110 {by_hand} --machine pc --vga std --delete watchdog").code == 0
        assert checkout.ssh("pve2", f"pct set 112 {by_hand} --cmode tty").code == 0
        yield checkout


def _nixos_by_hand(checkout: Checkout, template: str) -> None:
    """A machine and a container that run NixOS, clicked together: odd names, disks on odd places, more than one processor."""
    node, other = api(checkout).nodes("pve1"), api(checkout).nodes("pve2")
    image = next(item["volid"] for item in node.storage("local").content.get(content="import"))
    machine = {"vmid": 7001, "name": "Media-Box.lan", "memory": 768, "cores": 1, "sockets": 2, "agent": "1", "tags": "prod"}
    disks = {"virtio0": f"local-zfs:0,import-from={image}", "scsi3": "local-zfs:7", "boot": "order=virtio0"}
    network = {
        "net0": "virtio,bridge=vmbr0,tag=10",
        "ipconfig0": "ip=192.168.10.63/24,gw=192.168.10.1",
        "ide2": "local-zfs:cloudinit",
    }
    task(checkout, node.qemu.post(**machine, **disks, **network, description="Films", startup="order=4", bios="ovmf"))
    card = "name=eth0,bridge=vmbr0,tag=10,ip=192.168.10.64/24,gw=192.168.10.1"
    container = {"vmid": 7008, "hostname": "notes", "memory": 256, "ostemplate": template, "net0": card, "unprivileged": 1}
    task(checkout, other.lxc.post(**container, rootfs="local-zfs:9", mp0="local-zfs:5,mp=/srv/notes", features="nesting=1"))
    task(checkout, node.qemu(7001).status.start.post())
    task(checkout, other.lxc(7008).status.start.post())


def configs(checkout: Checkout) -> dict[str, str]:
    return {f"{tool} {vmid}": checkout.ssh(node, f"{tool} config {vmid}").text for node, tool, vmid in GUESTS}


GUESTS = (
    *(("pve1", "qm", 110), ("pve1", "qm", 4711), ("pve1", "qm", 905), ("pve1", "qm", 9000), ("pve1", "qm", 9001)),
    *(("pve1", "pct", 111), ("pve2", "pct", 112), ("pve2", "pct", 300), ("pve1", "qm", 7001), ("pve2", "pct", 7008)),
)


def imports_two(checkout: Checkout, before: dict[str, str]) -> Result:
    """Two guests are imported, and every guest's configuration is as BEFORE: the `up`."""
    preview = checkout.preview()
    assert preview.code == 0, preview.text
    assert preview.changes().get("to import") == 2, preview.text
    up = checkout.up()
    assert up.code == 0, up.text
    assert configs(checkout) == before, "as they are"
    return up


def test_guests_are_imported_without_a_change_and_become_the_entrys_afterwards(fleet: Checkout) -> None:
    refused = fleet.up()
    assert refused.code != 0
    assert "hosts.web.vmid: 110 is taken by a virtual machine on pve1" in refused.text, refused.text
    assert "take it over with adopted = true" in refused.text
    for host in ("web", "log"):
        fleet.replace(INVENTORY, f"[hosts.{host}]\n", f"[hosts.{host}]\nadopted = true\n")
    before = configs(fleet)
    boots = {host: fleet.ssh(host, "cat /proc/sys/kernel/random/boot_id").text for host in ("web", "log")}
    imports_two(fleet, before)

    again = fleet.up()
    assert again.code == 0, again.text
    after = configs(fleet)
    assert {name for name in before if before[name] != after[name]} == {"qm 110", "pct 112"}
    assert "tags: aether" in after["qm 110"] and "machine: pc" in after["qm 110"] and "watchdog" not in after["qm 110"]
    assert "tags: aether" in after["pct 112"] and "cmode: tty" in after["pct 112"]
    for name in ("qm 110", "pct 112"):
        assert re.findall("^net0.*$", before[name], re.MULTILINE) == re.findall("^net0.*$", after[name], re.MULTILINE)
    assert {host: fleet.ssh(host, "cat /proc/sys/kernel/random/boot_id").text for host in boots} == boots
    settled = fleet.preview("--refresh=true")
    assert set(settled.changes()) == {"unchanged"}, settled.text


def test_the_rest_is_listed_written_as_external_and_never_touched(fleet: Checkout) -> None:
    before = configs(fleet)
    listed = fleet.ops("adopt")
    assert listed.code == 0, listed.text
    shown = {int(line.split()[0]) for line in listed.text.splitlines() if re.match(r" +\d+  ", line)}
    assert shown == {300, 905, 4711, 7001, 7008, 9000, 9001}, listed.text
    assert re.search("9000  template", listed.text)
    assert "is a template" in fleet.ops("adopt", "9000").text
    assert "adopt 905 --address ADDRESS" in fleet.ops("adopt", "905").text
    written = fleet.ops("adopt", "4711", "300", "--write")
    assert written.code == 0, written.text
    entries = (fleet.path / INVENTORY).read_text()
    assert '[hosts.old-db]\nkind = "external"' in entries and '[hosts.cache]\nkind = "external"\n' in entries
    up = fleet.up()
    assert up.code == 0, up.text
    assert configs(fleet) == before


def test_nixos_guests_are_written_with_their_facts_and_imported_as_they_are(fleet: Checkout) -> None:
    refused = fleet.ops("adopt", "7001")
    assert refused.code == 1 and "Fix: on pve1: qm set 7001 --ostype l26" in refused.text, refused.text
    assert fleet.ssh("pve1", "qm set 7001 --ostype l26").code == 0
    before = configs(fleet)
    keys = {
        "media-box": fleet.ssh("pve1", "qm guest exec 7001 -- /bin/cat /etc/ssh/ssh_host_ed25519_key.pub").text,
        "notes": fleet.ssh("pve2", "pct exec 7008 -- /bin/cat /etc/ssh/ssh_host_ed25519_key.pub").text,
    }
    written = fleet.ops("adopt", "7001", "7008", "--write")
    assert written.code == 0, written.text
    assert "media-box-lan, notes" in written.text and "proxmox role --update" in written.text, written.text
    entries = (fleet.path / INVENTORY).read_text()
    machine, container = entries[entries.index("[hosts.media-box-lan]") :].split("[hosts.notes]\n")
    assert 'kind = "nixos-vm"\ndescription = "Films"\nnode = "pve1"\nvmid = 7001\ncpu = 2\nmemory = 768\n' in machine, machine
    assert 'disks = [{ size = 4, interface = "virtio0" }]\ntags = ["prod"]\nstart_order = 4\n' in machine, machine
    assert 'was = "Media-Box.lan"\nadopted = true\n# scsi3 (local-zfs:vm-7001-disk-' in machine, machine
    assert 'disks = [{ size = 9 }, { size = 5, mount = "/srv/notes" }]\n' in container and "was" not in container, container
    for entry, key in ((machine, keys["media-box"]), (container, keys["notes"])):
        held = re.search('host_key = "(ssh-ed25519 [^"]*)"', entry)
        assert held is not None and held[1] in key, (entry, key)

    for host, node in (("media-box-lan", "pve1"), ("notes", "pve2")):
        (fleet.path / f"nix/hosts/{node}/{host}.nix").write_text("{ ... }:\n{ }\n")
    fleet.run("git", "add", "-A")
    # The simulated cluster's token gets the rights of the inventory that is there when it starts.
    assert fleet.sim("restart", "--stack", "sim").code == 0
    up = imports_two(fleet, before)
    assert up.text.count("answers with its own key already") == 2, up.text

    again = fleet.up()
    assert again.code == 0, again.text
    after = configs(fleet)
    assert {name for name in before if before[name] != after[name]} == {"qm 7001", "pct 7008"}
    assert "tags: aether;prod" in after["qm 7001"] and "name: media-box-lan" in after["qm 7001"], after["qm 7001"]
    for line in ("virtio0", "scsi3", "net0", "ipconfig0", "ide2", "startup"):
        assert re.findall(f"^{line}: .*$", before["qm 7001"], re.MULTILINE) == re.findall(
            f"^{line}: .*$", after["qm 7001"], re.MULTILINE
        )
    settled = fleet.preview("--refresh=true")
    assert set(settled.changes()) == {"unchanged"}, settled.text
