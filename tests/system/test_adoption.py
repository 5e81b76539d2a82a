"""A cluster that was clicked together, taken over: guests imported as they are, others kept and never touched."""

import re
from collections.abc import Iterator

import pytest

from tests.system.lab import Lab
from tests.system.small import deployed
from tests.system.test_guests_kept import api, task

INVENTORY = "inventory/homelab.toml"
FORGET = """
from ops import guests
from ops.stack import Stack
guests._edit_state(Stack("sim"), lambda found: guests.forget(guests.forget(found, "web"), "log"))
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The small fleet, two guests of which no state knows, beside guests that somebody made by hand."""
    for lab in deployed(tmp_path_factory.mktemp("adoption")):
        node, other = api(lab).nodes("pve1"), api(lab).nodes("pve2")
        task(lab, node.qemu.post(vmid=4711, name="Old-DB", memory=512, scsi0="local-zfs:4", ipconfig0="ip=192.168.10.61/24"))
        task(lab, node.qemu.post(vmid=905, name="win-box", memory=512, sata0="local-zfs:4", ide2="none,media=cdrom"))
        task(lab, node.qemu.post(vmid=9000, name="base", memory=512, scsi0="local-zfs:4"))
        task(lab, node.qemu(9000).template.post())
        task(lab, node.qemu(9000).clone.post(newid=9001, name="clone-of-base"))
        template = next(item["volid"] for item in other.storage("local").content.get(content="vztmpl"))
        net = "name=eth0,bridge=vmbr0,ip=192.168.10.62/24"
        task(lab, other.lxc.post(vmid=300, hostname="cache", ostemplate=template, rootfs="local-zfs:4", net0=net))
        assert lab.run(lab.python, "-c", FORGET).code == 0
        by_hand = "--tags prod --description by-hand --onboot 0"
        assert lab.ssh("pve1", f"qm set 110 {by_hand} --machine pc --vga std --delete watchdog").code == 0
        assert lab.ssh("pve2", f"pct set 112 {by_hand} --cmode tty").code == 0
        yield lab


def configs(lab: Lab) -> dict[str, str]:
    return {f"{tool} {vmid}": lab.ssh(node, f"{tool} config {vmid}").text for node, tool, vmid in GUESTS}


GUESTS = (
    *(("pve1", "qm", 110), ("pve1", "qm", 4711), ("pve1", "qm", 905), ("pve1", "qm", 9000), ("pve1", "qm", 9001)),
    *(("pve1", "pct", 111), ("pve2", "pct", 112), ("pve2", "pct", 300)),
)


def test_guests_are_imported_without_a_change_and_become_the_entrys_afterwards(fleet: Lab) -> None:
    refused = fleet.up()
    assert refused.code != 0
    assert "hosts.web.vmid: 110 is taken by a virtual machine on pve1" in refused.text, refused.text
    assert "take it over with adopted = true" in refused.text
    for host in ("web", "log"):
        fleet.replace(INVENTORY, f"[hosts.{host}]\n", f"[hosts.{host}]\nadopted = true\n")
    before = configs(fleet)
    boots = {host: fleet.ssh(host, "cat /proc/sys/kernel/random/boot_id").text for host in ("web", "log")}
    preview = fleet.preview()
    assert preview.code == 0, preview.text
    assert preview.changes().get("to import") == 2, preview.text
    up = fleet.up()
    assert up.code == 0, up.text
    assert configs(fleet) == before, "as they are"

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


def test_the_rest_is_listed_written_as_external_and_never_touched(fleet: Lab) -> None:
    before = configs(fleet)
    listed = fleet.ops("adopt")
    assert listed.code == 0, listed.text
    shown = {int(line.split()[0]) for line in listed.text.splitlines() if re.match(r" +\d+  ", line)}
    assert shown == {300, 905, 4711, 9000, 9001}, listed.text
    assert re.search("9000  template", listed.text)
    assert "is a template" in fleet.ops("adopt", "9000").text
    assert "adopt 905 --address ADDRESS" in fleet.ops("adopt", "905").text
    written = fleet.ops("adopt", "4711", "300", "--write")
    assert written.code == 0, written.text
    entries = (fleet.path / INVENTORY).read_text()
    assert '[hosts.old-db]\nkind = "external"' in entries and '[hosts.cache]\nkind = "external"' in entries
    up = fleet.up()
    assert up.code == 0, up.text
    assert configs(fleet) == before
