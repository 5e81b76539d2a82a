"""What a change, a slip or a hand on the cluster must never cost: the guest. By the real engine and the real provider."""

import re
from collections.abc import Iterator

import pytest

from tests.system.checkout import Checkout
from tests.system.guests import api, boot, replaces, task
from tests.system.small import small_checkout

INVENTORY = "inventory/homelab.toml"


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The small fleet's cluster, nothing deployed."""
    checkout = small_checkout(tmp_path_factory.mktemp("kept"))
    try:
        started = checkout.sim("start", "--stack", "sim")
        assert started.code == 0, started.text
        yield checkout
    finally:
        checkout.close()


@pytest.fixture(scope="module")
def fleet(stock: Checkout) -> Checkout:
    """The small fleet, deployed and protected as on a real stack. The engine keeps the setting in the stack's configuration."""
    up = stock.up("--config", "aether:protect=true")
    assert up.code == 0, up.text[-6000:]
    return stock


def ours(checkout: Checkout) -> dict[int, tuple[str, str]]:
    return {item["vmid"]: (item["name"], item["node"]) for item in api(checkout).cluster.resources.get(type="vm")}


def test_a_vmid_that_somebody_elses_guest_has_is_refused_with_the_line_to_write(stock: Checkout) -> None:
    task(stock, api(stock).nodes("pve1").qemu.post(vmid=110, name="old-production-db", memory=512, scsi0="local-zfs:4"))
    task(stock, api(stock).nodes("pve2").qemu.post(vmid=112, name="log", memory=512))
    for result in (stock.preview(), stock.up()):
        assert result.code != 0, result.text
        assert re.search(
            r"hosts\.web\.vmid: 110 is taken by a virtual machine on pve1 that is called 'old-production-db'", result.text
        )
        assert re.search(r"hosts\.log\.vmid: 112 is taken", result.text), "all problems at once"
        assert "vmid = 113" in result.text
    assert ours(stock) == {110: ("old-production-db", "pve1"), 112: ("log", "pve2")}
    task(stock, api(stock).nodes("pve1").qemu(110).delete())
    task(stock, api(stock).nodes("pve2").qemu(112).delete())


def test_a_login_key_a_nameserver_and_a_grown_disk_reboot_no_guest(fleet: Checkout) -> None:
    before = {host: boot(fleet, host) for host in ("web", "dns", "log")}
    text = (fleet.path / INVENTORY).read_text()
    key = re.search(r'authorized_keys = \["([^"]*)"', text)
    assert key is not None
    other = key[1].split()[0] + " " + key[1].split()[1][:-4] + "AAAA second"
    fleet.replace(INVENTORY, f'authorized_keys = ["{key[1]}"', f'authorized_keys = ["{key[1]}", "{other}"')
    fleet.replace(INVENTORY, 'nameservers = ["192.168.1.1"]', 'nameservers = ["192.168.1.1", "192.168.10.1"]')
    entry = 'address = "192.168.10.10"\ncpu = 1\nmemory = 512\ndisks = [{ size = '
    fleet.replace(INVENTORY, f"{entry}8", f"{entry}10")
    up = fleet.up()
    assert up.code == 0, up.text
    assert {host: boot(fleet, host) for host in before} == before
    assert "size=10G" in fleet.ssh("pve1", "qm config 110 | grep ^scsi0").text, "grown while it runs"


def test_a_containers_data_disk_is_added_grown_and_detached_in_place(fleet: Checkout) -> None:
    before, born = boot(fleet, "dns"), fleet.ssh("pve1", "pct config 111 | grep ^net0").text
    entry = 'address = "192.168.10.11"\ncpu = 1\nmemory = 512\ndisks = [{ size = 8 }'
    fleet.replace(INVENTORY, entry, entry + ', { size = 10, mount = "/srv/data" }')
    preview = fleet.preview()
    assert not replaces(preview), preview.text
    assert "/srv/data 10 local-zfs" in preview.text, preview.text
    assert fleet.up().code == 0
    assert "mp=/srv/data,size=10G" in fleet.ssh("pve1", "pct config 111").text.replace("backup=1,", "")

    fleet.replace(INVENTORY, entry + ", { size = 10", entry.replace("size = 8", "size = 12") + ", { size = 20")
    up = fleet.up()
    assert up.code == 0, up.text
    config = fleet.ssh("pve1", "pct config 111").text
    # The provider gives it in bytes.
    assert "size=20G" in config and re.search(rf"rootfs: .*size=(12G|{12 * 1024**3})", config), config

    entry = entry.replace("size = 8", "size = 12")
    fleet.replace(INVENTORY, entry + ", { size = 20", entry + ", { size = 15")
    shrunk = fleet.up()
    assert shrunk.code != 0
    assert "a disk cannot be shrunk. Fix: write size = 20 for it" in shrunk.text, shrunk.text

    fleet.replace(INVENTORY, entry + ', { size = 15, mount = "/srv/data" }', entry)
    up = fleet.up()
    assert up.code == 0, up.text
    assert boot(fleet, "dns") == before, "in place, without a boot"
    assert fleet.ssh("pve1", "pct config 111 | grep ^net0").text == born
    assert fleet.ssh("pve1", "pct reboot 111").code == 0
    assert re.search(r"unused0: local-zfs:\S*111-disk-1", fleet.ssh("pve1", "pct config 111").text), "the volume is kept"


def test_a_shrunk_first_disk_is_refused_before_anything_runs(fleet: Checkout) -> None:
    sizes = {"192.168.10.10": 10, "192.168.10.12": 8}
    for address, size in sizes.items():
        entry = f'address = "{address}"\ncpu = 1\nmemory = 512\ndisks = [{{ size = '
        fleet.replace(INVENTORY, f"{entry}{size}", f"{entry}4")
    up = fleet.up()
    assert up.code != 0
    for host, size in (("web", 10), ("log", 8)):
        assert f"hosts.{host}.disks: the first disk has {size} GiB and 4 are wanted: a disk cannot be shrunk" in up.text, up.text
    for address, size in sizes.items():
        entry = f'address = "{address}"\ncpu = 1\nmemory = 512\ndisks = [{{ size = '
        fleet.replace(INVENTORY, f"{entry}4", f"{entry}{size}")


def test_what_needs_a_new_container_is_refused_until_the_entry_says_so_and_then_leaves_one(fleet: Checkout) -> None:
    before = boot(fleet, "log")
    fleet.replace(INVENTORY, "vmid = 112\n", "vmid = 116\n")
    refused = fleet.up()
    assert refused.code != 0
    assert "write vmid = 112, or, to have it destroyed and created again, replace = true" in refused.text, refused.text
    assert boot(fleet, "log") == before
    fleet.replace(INVENTORY, "vmid = 116\n", "vmid = 116\nreplace = true\n")
    up = fleet.up()
    assert up.code == 0, up.text
    assert ours(fleet)[116] == ("log", "pve2")
    assert 112 not in ours(fleet), "one guest, the new one"
    fleet.replace(INVENTORY, "vmid = 116\n", "vmid = 112\n")
    up = fleet.up()
    assert up.code == 0, up.text
    fleet.replace(INVENTORY, "vmid = 112\nreplace = true\n", "vmid = 112\n")
    assert ours(fleet)[112] == ("log", "pve2")


def test_a_renamed_host_keeps_its_guest(fleet: Checkout) -> None:
    born = {vmid: fleet.ssh("pve1", f"{tool} config {vmid} | grep ^net0").text for vmid, tool in ((110, "qm"), (111, "pct"))}
    for old, new in (("web", "www"), ("dns", "names")):
        fleet.replace(INVENTORY, f"[hosts.{old}]", f"[hosts.{new}]")
        (fleet.path / f"nix/hosts/pve1/{old}.nix").rename(fleet.path / f"nix/hosts/pve1/{new}.nix")
    fleet.run("git", "add", "-A")
    for result in (fleet.preview(), fleet.up()):
        assert result.code != 0
        assert 'write was = "web"' in result.text and 'write was = "dns"' in result.text, result.text
    assert {name for name, _ in ours(fleet).values()} == {"web", "dns", "log"}

    fleet.replace(INVENTORY, "[hosts.www]\n", '[hosts.www]\nwas = "web"\n')
    fleet.replace(INVENTORY, "[hosts.names]\n", '[hosts.names]\nwas = "dns"\n')
    # The simulated cluster reads the inventory when it starts.
    assert fleet.sim("restart", "--stack", "sim").code == 0
    preview = fleet.preview()
    assert preview.code == 0, preview.text
    assert not replaces(preview), preview.text
    up = fleet.up()
    assert up.code == 0, up.text
    assert ours(fleet) == {110: ("www", "pve1"), 111: ("names", "pve1"), 112: ("log", "pve2")}
    assert {
        vmid: fleet.ssh("pve1", f"{tool} config {vmid} | grep ^net0").text for vmid, tool in ((110, "qm"), (111, "pct"))
    } == born
    assert [fleet.ssh(host, "hostname").text.strip() for host in ("www", "names")] == ["www", "names"]
    for new in ('was = "web"\n', 'was = "dns"\n'):
        fleet.replace(INVENTORY, new, "")
    again = fleet.up()
    assert again.code == 0, again.text
    assert set(ours(fleet)) == {110, 111, 112}


def test_a_container_that_was_moved_is_followed(fleet: Checkout) -> None:
    moved = fleet.ssh("pve2", "pct migrate 112 pve1 --restart 1")
    assert moved.code == 0, moved.text
    up = fleet.up()
    assert up.code == 0, up.text
    assert re.search(r"log: .*moved .*pve1", up.text), up.text
    assert ours(fleet)[112] == ("log", "pve1")
    preview = fleet.preview("--refresh=true")
    assert set(preview.changes()) == {"unchanged"}, preview.text


def test_a_host_that_left_the_inventory_is_refused_where_guests_are_protected(fleet: Checkout) -> None:
    text = (fleet.path / INVENTORY).read_text()
    start = text.index("[hosts.log]")
    (fleet.path / INVENTORY).write_text(text[:start])
    refused = fleet.preview("--config", "aether:protect=true")
    assert refused.code != 0
    assert "hosts.log: is no longer in the inventory, and its guest 112 would be destroyed" in refused.text, refused.text
    assert "retire log" in refused.text
    (fleet.path / INVENTORY).write_text(text)


def test_a_host_is_retired_with_a_last_backup_and_deleted_by_a_second_word_only(fleet: Checkout) -> None:
    refused = fleet.ops("retire", "log")
    assert refused.code == 1 and "Fix: remove [hosts.log] first" in refused.text, refused.text
    text = (fleet.path / INVENTORY).read_text()
    (fleet.path / INVENTORY).write_text(text[: text.index("[hosts.log]")])
    refused = fleet.ops("retire", "log", "--delete")
    assert refused.code == 1 and "0 guests are called log and tagged retired" in refused.text, refused.text
    node = ours(fleet)[112][1]
    retired = fleet.ops("retire", "log")
    assert retired.code == 0, retired.text
    assert "stopped" in fleet.ssh(node, "pct status 112").text
    config = fleet.ssh(node, "pct config 112").text
    assert "rootfs: " in config and "onboot: 0" in config and re.search("^tags: .*retired", config, re.MULTILINE), config
    backups = "ls /var/lib/vz/dump/vzdump-lxc-112-*"
    assert fleet.ssh(node, backups).code == 0
    preview = fleet.preview()
    assert preview.code == 0 and "log" not in {item["urn"].rsplit("::", 1)[1] for item in fleet.resources()}, preview.text
    assert not replaces(preview), preview.text

    deleted = fleet.ops("retire", "log", "--delete")
    assert deleted.code == 0, deleted.text
    assert 112 not in ours(fleet)
    assert fleet.ssh(node, backups).code == 0, "its backups stay"
