"""What changed facts do to guests that run: in place, at their next controlled reboot, on another node. By the real provider."""

import re
from collections.abc import Iterator

import pytest

from tests.system.lab import Lab
from tests.system.small import deployed

INVENTORY = "inventory/homelab.toml"
MORE = 'interfaces = [{ network = "management", address = "192.168.1.77" }]\n'


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    yield from deployed(tmp_path_factory.mktemp("changes"))


def boots(lab: Lab) -> dict[str, str]:
    return {host: lab.ssh(host, "cat /proc/sys/kernel/random/boot_id").text for host in ("web", "dns", "log")}


def settled(lab: Lab, *arguments: str) -> bool:
    """Whether another preview has nothing to do."""
    preview = lab.preview(*arguments)
    assert preview.code == 0, preview.text
    assert set(preview.changes()) == {"unchanged"}, preview.text
    return True


def test_cores_memory_and_a_grown_disk_go_in_one_run_and_hold_after_the_controlled_reboot(fleet: Lab) -> None:
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


def test_a_containers_memory_cores_and_network_are_changed_while_it_runs(fleet: Lab) -> None:
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
