"""A backup is proved by a copy: restored beside its guest, cut off, examined, removed; whatever comes in between."""

import hashlib
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.checkout import Checkout, kill_group, wait_until
from tests.system.guests import boot
from tests.system.small import running, small_checkout

INVENTORY = "inventory/homelab.toml"
JOB = '\n[backups.nightly]\nstorage = "local"\nschedule = "02:30"\nkeep = { daily = 7 }\nhosts = ["web", "log"]\n'
HEALTH = 'health = [{ unit = "sshd.service" }, { http = "http://192.168.10.12:80/" }, { command = "test -e /var/lib/kept" }]\n'
GUESTS = (("web", "pve1", 110), ("dns", "pve1", 111))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The small fleet, of which web and dns have data, health checks and a backup."""
    for checkout in running(small_checkout(tmp_path_factory.mktemp("restore") / "a folder", JOB)):
        for name, node, vmid in GUESTS:
            assert checkout.ssh(name, "echo kept >/var/lib/kept").code == 0
            backup = checkout.ssh(node, f"vzdump {vmid} --mode snapshot --storage local --compress zstd")
            assert backup.code == 0, backup.text
            assert checkout.ssh(name, "echo changed since >/var/lib/kept").code == 0
        for last in (10, 11):
            entry = f'address = "192.168.10.{last}"\n'
            checkout.replace(INVENTORY, entry, entry + HEALTH)
        yield checkout


def copies(checkout: Checkout) -> dict[str, str]:
    """Guests that are not the inventory's, and their state."""
    return {name: guest["status"] for name, guest in checkout.guests().items() if name not in ("web", "dns", "log")}


def left(checkout: Checkout) -> str:
    """What nodes keep of copies: their notes, disks and bridges."""
    ask = "ls -A /var/lib/aether/scratch; pvesm list local-zfs | grep -E -- '-9[0-9]{3}-'; ip link show dev scr9000"
    return checkout.ssh("pve1", f"{{ {ask}; }} 2>/dev/null").text


@pytest.mark.parametrize(("host", "tool", "vmid"), [("web", "qm", 110), ("dns", "pct", 111)])
def test_a_copy_is_restored_cut_off_examined_and_removed(fleet: Checkout, host: str, tool: str, vmid: int) -> None:
    before, config = boot(fleet, host), fleet.ssh("pve1", f"{tool} config {vmid}").text
    begun = int(time.time())
    restored = fleet.ops("restore", host, "--to", "scratch")
    assert restored.code == 0, restored.text
    assert re.search(rf"backup +local:backup/vzdump-\w+-{vmid}-.* on pve1, made .* KiB", restored.text), restored.text
    assert re.search(r"holds +unit sshd.service, command test -e /var/lib/kept", restored.text), restored.text
    assert "http http://192.168.10.12:80/: asks 192.168.10.12, and the copy has no network" in restored.text, restored.text
    assert "copy 9000: removed" in restored.text and f"{host}: restored, and good" in restored.text
    assert (boot(fleet, host), fleet.ssh("pve1", f"{tool} config {vmid}").text) == (before, config), "the guest is as it was"
    assert fleet.ssh(host, "cat /var/lib/kept").text == "changed since\n"
    assert not copies(fleet) and not left(fleet)
    told = json.loads(fleet.ops("status", "--json").text)
    assert next(each for each in told["hosts"] if each["host"] == host)["restored"] >= begun
    assert f'aether_machine_restore_timestamp_seconds{{stack="sim",machine="{host}"}} 1' in fleet.ops("metrics").text
    assert "never restored" not in json.dumps(told["problems"].get(host, []))
    assert begun - 600 < next(each for each in told["hosts"] if each["host"] == host)["backup"] <= time.time(), (
        "by the node's log"
    )
    assert not any("to try it" in each for each in told["problems"].get("log", [])), "the job's, and there is no backup of it yet"


@pytest.mark.long
def test_a_copy_that_is_kept_is_a_copy_and_reaches_nobody(fleet: Checkout) -> None:
    kept = fleet.ops("restore", "web", "--to", "scratch", "--keep")
    assert kept.code == 0, kept.text
    assert copies(fleet) == {"web-scratch": "running"}
    config = fleet.ssh("pve1", "qm config 9000").text
    assert re.search(r"^net0: virtio=[0-9A-F:]+,bridge=scr9000$", config, re.MULTILINE), config
    assert "onboot: 0" in config and "tags: aether-scratch" in config
    inside = "qm guest exec 9000 -- /run/current-system/sw/bin/bash -c"
    assert "kept" in fleet.ssh("pve1", f"{inside} 'cat /var/lib/kept'").text, "what was backed up, not what is there now"
    away = fleet.ssh("pve1", f"{inside} 'timeout 3 bash -c \"</dev/tcp/192.168.10.12/22\"'").text
    assert '"exitcode" : 0' not in away, away
    # It is no leftover, and preview and adopt do not take it for a host.
    assert "web-scratch" not in fleet.ops("adopt").text
    # A node that boots has no such bridge any more, and the copy does not come up on the original's address.
    assert fleet.sim("restart", "--stack", "sim").code == 0
    assert copies(fleet) == {"web-scratch": "stopped"}
    assert fleet.ssh("pve1", "qm start 9000").text.strip() == "bridge 'scr9000' does not exist"
    assert fleet.ssh("pve1", "ip link add scr9000 type bridge").code == 0
    wait_until("the guest is back", lambda: fleet.ssh("web", "true").code == 0)
    removal = re.search(r"To remove it, there: (.*)", kept.text)
    assert removal is not None
    assert fleet.ssh("pve1", removal[1]).code == 0
    assert not copies(fleet) and not left(fleet)


def test_a_check_that_fails_in_the_copy_is_named_and_the_copy_goes(fleet: Checkout) -> None:
    noted = fleet.ssh("pve1", "cat /var/lib/aether/restored/web").text
    fleet.replace(INVENTORY, '{ command = "test -e /var/lib/kept" }', '{ command = "test -e /var/lib/lost", timeout = 1 }')
    failed = fleet.ops("restore", "web", "--to", "scratch")
    fleet.replace(INVENTORY, '{ command = "test -e /var/lib/lost", timeout = 1 }', '{ command = "test -e /var/lib/kept" }')
    assert failed.code == 1, failed.text
    assert "failed    command test -e /var/lib/lost does not hold" in failed.text and "web: NOT GOOD" in failed.text
    assert not copies(fleet) and not left(fleet)
    assert fleet.ssh("pve1", "cat /var/lib/aether/restored/web").text == noted, "the last good one is still the last good one"


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGKILL],
    ids=lambda number: number.name,
)
def test_an_end_in_the_middle_leaves_no_copy(fleet: Checkout, number: signal.Signals) -> None:
    """By Ctrl-C and a pipeline's end at once; after a kill, by the next run."""
    fleet.replace(INVENTORY, '{ command = "test -e /var/lib/kept" }', '{ command = "test -e /var/lib/lost", timeout = 100 }')
    begun = fleet.start(fleet.python, "-m", "ops", "--stack", "sim", "restore", "web", "--to", "scratch")
    try:
        wait_until("the copy runs", lambda: copies(fleet) == {"web-scratch": "running"}, 60)
        kill_group(begun, number)
    finally:
        fleet.replace(INVENTORY, '{ command = "test -e /var/lib/lost", timeout = 100 }', '{ command = "test -e /var/lib/kept" }')
    if number == signal.SIGKILL:
        assert copies(fleet)
        again = fleet.ops("restore", "web", "--to", "scratch")
        assert again.code == 0 and "left by a run that was killed: copy 9000: removed" in again.text, again.text
    assert not copies(fleet) and not left(fleet)


def test_one_at_a_time_on_a_node(fleet: Checkout) -> None:
    holds = fleet.start(
        "ssh", "-F", ".aether/ssh/sim/config", "pve1", "exec 9>>/run/lock/aether-scratch; flock 9; echo held; cat"
    )
    try:
        assert holds.stdout is not None and holds.stdout.readline() == "held\n"
        refused = fleet.ops("restore", "web", "--to", "scratch")
        assert refused.code == 1 and "another restore test is at work on pve1" in refused.text, refused.text
    finally:
        kill_group(holds)
    assert not copies(fleet)


def test_what_cannot_be_restored_is_refused_before_anything_is_made(fleet: Checkout) -> None:
    for arguments, said in (
        (("log", "--to", "scratch"), "log has no backup on pve1, pve2, and no restic repository"),
        (("wbe", "--to", "scratch"), "'wbe' is no guest of inventory/homelab.toml"),
        (("web",), "restore web where to? Fix: --to scratch"),
        ((), "restore which host?"),
        (("web", "--to", "scratch", "--storage", "nowhere"), "pve1 has no storage nowhere that is active"),
    ):
        refused = fleet.ops("restore", *arguments)
        assert refused.code == 1 and said in refused.text, refused.text
    fleet.fault("pve1", "storage-full")
    full = fleet.ops("restore", "web", "--to", "scratch")
    fleet.clear_faults()
    assert full.code == 1 and "a copy of web needs 8 GiB on local-zfs of pve1, which has 0 left" in full.text, full.text
    assert not copies(fleet) and not left(fleet)


@pytest.mark.long
def test_all_goes_through_every_host_that_has_a_backup(fleet: Checkout) -> None:
    every = fleet.ops("restore", "--all")
    assert every.code == 0, every.text
    assert "2 of 2 restored, and good" in every.text and "log: restore test" not in every.text, every.text
    assert not copies(fleet) and not left(fleet)


def test_copies_elsewhere_are_whole_the_owners_alone_and_few(fleet: Checkout, tmp_path: Path) -> None:
    key, place = tmp_path / "owner.txt", tmp_path / "a drive"
    tools = fleet.path / ".aether/engine/bin"
    subprocess.run([tools / "age-keygen", "-o", key], check=True, capture_output=True)
    owner = next(line.split(": ")[1] for line in key.read_text().splitlines() if "public key" in line)
    text = (fleet.path / INVENTORY).read_text()
    (fleet.path / INVENTORY).write_text(re.sub(r"(?m)^age_recipients = .*$", f'age_recipients = ["{owner}"]', text))
    refused = fleet.ops("offsite", str(place))
    assert refused.code == 1 and "mkdir -p" in refused.text, refused.text
    place.mkdir()
    (place / "pve1").mkdir()
    for hour in ("01", "02"):
        (place / f"pve1/vzdump-qemu-110-2020_01_01-{hour}_00_00.vma.zst.age").write_text("old")
    copied = fleet.ops("offsite", str(place))
    assert copied.code == 0, copied.text
    assert "2 copied to" in copied.text and "log: has no backup on" in copied.text
    assert "2020_01_01-01_00_00.vma.zst.age goes, 2 newer are there" in copied.text, copied.text
    for vmid in (110, 111):
        (newest,) = (path for path in (place / "pve1").iterdir() if f"-{vmid}-" in path.name and "2020" not in path.name)
        opened = subprocess.run([tools / "age", "--decrypt", "-i", key, newest], check=True, capture_output=True).stdout
        there = fleet.ssh("pve1", f"sha256sum /var/lib/vz/dump/{newest.name.removesuffix('.age')}").text.split()[0]
        assert hashlib.sha256(opened).hexdigest() == there
        assert b"kept" not in newest.read_bytes()
    again = fleet.ops("offsite", str(place), "web")
    assert again.code == 0 and "is there already" in again.text and "0 copied" in again.text, again.text
    (fleet.path / INVENTORY).write_text(text)
