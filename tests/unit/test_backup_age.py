"""When Proxmox backed a guest up last, as its node's logs say, and what is wrong with that."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from inventory.load import Inventory, load
from inventory.proxmox import Backup
from ops.status.facts import BACKUP_OLD, DAY, HostStatus, _backed_up, _within, problems
from stacks.live import _BACKED_UP, Report, load_of
from tests.unit.inventory_example import GOOD

NOW = 1_800_000_000
GUEST = HostStatus("web", "nixos-vm", "pve1", "192.0.2.1", "running", answers=True, reboot=False)


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    path = tmp_path / "example.toml"
    path.write_text(GOOD + '\n[backups.weekly]\nschedule = "sun 01:00"\nstorage = "pbs"\nhosts = ["web"]\nkeep = { last = 3 }\n')
    return load(path)


def test_a_node_says_how_the_last_backup_of_each_guest_ended(tmp_path: Path) -> None:
    logs = {
        "qemu-101": "2026-11-29 02:30:01 INFO: Starting Backup of VM 101\n2026-11-29 02:31:02 INFO: Finished Backup of VM 101\n",
        "lxc-102": "2026-11-29 02:31:01 ERROR: Backup of VM 102 failed - CT is locked (snapshot)\n",
        "qemu-103": "2026-11-29 02:32:01 INFO: Starting Backup of VM 103 (qemu)\n",
    }
    for name, text in logs.items():
        (tmp_path / f"{name}.log").write_text(text)
    script = _BACKED_UP.replace("/var/log/vzdump", str(tmp_path))
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    facts = load_of(said)
    assert facts is not None
    assert {how: list(facts[how]) for how in ("backed_up", "backup_failed")} == {"backed_up": [101], "backup_failed": [102]}
    assert facts["backed_up"][101] == int((tmp_path / "qemu-101.log").stat().st_mtime)


def test_a_node_without_backups_says_nothing(tmp_path: Path) -> None:
    script = _BACKED_UP.replace("/var/log/vzdump", str(tmp_path / "none"))
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def told(host: HostStatus, inventory: Inventory, **facts: dict[int, int]) -> HostStatus:
    """HOST as it is told by its node, which says FACTS."""
    (said,) = _backed_up([host], inventory, {name: Report(name, True, facts=dict(facts)) for name in inventory.nodes})
    return said


def test_the_newest_backup_counts_whoever_made_it(inventory: Inventory) -> None:
    vmid = inventory.guests()["web"].vmid
    assert told(GUEST, inventory, backed_up={vmid: NOW}).backup == NOW
    assert told(replace(GUEST, backup=NOW), inventory, backed_up={vmid: NOW - 5}).backup == NOW
    assert told(GUEST, inventory).backup is None
    assert told(replace(GUEST, host="nobody"), inventory, backed_up={vmid: NOW}).backup is None


def test_a_backup_is_old_when_its_job_should_have_made_another(inventory: Inventory) -> None:
    vmid = inventory.guests()["web"].vmid
    six = told(GUEST, inventory, backed_up={vmid: NOW - 6 * DAY})
    assert problems(six, NOW) == [], "its job runs on sundays"
    assert problems(six, NOW + 3 * DAY) == ["last backup 9 d ago"]


def test_each_job_is_asked_once_for_its_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "example.toml"
    path.write_text(
        GOOD + '\n[backups.weekly]\nschedule = "sun 01:00"\nstorage = "pbs"\nkeep = { last = 3 }\n'
        '\n[backups.nightly]\nschedule = "02:30"\nstorage = "pbs"\nhosts = ["dns"]\nkeep = { last = 3 }\n'
    )
    inventory = load(path)
    web, dns = (inventory.guests()[name].vmid for name in ("web", "dns"))
    asked: list[str] = []
    ask = Inventory.backed_up

    def backed_up(self: Inventory, job: Backup | None = None) -> tuple[str, ...]:
        assert job is not None
        asked.append(job.schedule)
        return ask(self, job)

    monkeypatch.setattr(Inventory, "backed_up", backed_up)
    said = {
        "pve1": {"backed_up": {web: NOW - 9, dns: NOW - 5}, "backup_failed": {dns: NOW - 4}},
        "pve2": {"backed_up": {web: NOW - 3, dns: NOW - 7}},
    }
    monkeypatch.setattr(Inventory, "nodes", {**said, "away": None})
    answers = {name: Report(name, True, facts=facts) for name, facts in said.items()}
    told = _backed_up([GUEST, replace(GUEST, host="desk"), replace(GUEST, host="dns")], inventory, answers)
    assert [(host.host, host.backup, host.backup_failed, host.backup_within) for host in told] == [
        ("web", NOW - 3, None, 8 * DAY),
        ("desk", None, None, GUEST.backup_within),
        ("dns", NOW - 5, NOW - 4, BACKUP_OLD),
    ], "the newest of all nodes; due by the job that comes round first"
    assert sorted(asked) == ["02:30", "sun 01:00"]


@pytest.mark.parametrize(
    ("schedule", "within"),
    [
        ("02:30", BACKUP_OLD), ("*:0/30", BACKUP_OLD), ("sun 01:00", 8 * DAY), ("mon..fri 22:00", 8 * DAY),
        ("*-1 03:00", 33 * DAY), ("*-*-15 03:00", 33 * DAY),
    ],
)  # fmt: skip
def test_schedules(schedule: str, within: int) -> None:
    assert _within(schedule) == within


def test_what_failed_and_what_never_happened_is_told(inventory: Inventory) -> None:
    vmid = inventory.guests()["web"].vmid
    failed = told(GUEST, inventory, backed_up={vmid: NOW - DAY}, backup_failed={vmid: NOW - 3600})
    assert problems(failed, NOW) == ["its backup failed 1 h ago: /var/log/vzdump on pve1"]
    never = replace(GUEST, restored=0, deployed_at=NOW - 2 * DAY)
    assert problems(never, NOW) == ["a job is to back it up, and no backup of it is known"]
    assert problems(replace(never, deployed_at=NOW - 3600), NOW) == []
