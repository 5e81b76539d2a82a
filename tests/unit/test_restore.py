"""What a copy of a guest says of its backup, and what a person is told of it; restic's part against the real program's words."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from inventory.load import Inventory, load
from inventory.models import CommandCheck, Guest, HttpCheck, TcpCheck, UnitCheck
from inventory.proxmox import Backup as Job
from inventory.proxmox import Keep
from ops.restore import checks, command, restic
from ops.restore.checks import Found
from ops.restore.command import restore
from ops.restore.node import Backup
from ops.restore.report import Report, size, summary
from ops.stack import OpsError, Stack
from ops.status.facts import HostStatus, _restored, problems
from stacks.live import Report as Answer
from stacks.live import load_of

NOW = 1_800_000_000
SCRIPT = Path("components/proxmox/scripts/scratch-guest.sh")
SYSTEM = {"current": "/nix/store/abc-nixos-system-web-25.11", "generation": "7", "failed": []}


@pytest.fixture
def inventory() -> Inventory:
    return load(Path("inventory/homelab.toml"))


def guest(inventory: Inventory, *given: object) -> Guest:
    return inventory.guests()["gateway"].model_copy(update={"health": given, "settle": 0})


def said(unhealthy: list[str], waits: str = "") -> str:
    return json.dumps({**SYSTEM, "unhealthy": unhealthy}) + "\n" + waits


def test_what_only_a_network_can_answer_is_left_out_and_not_asked(inventory: Inventory) -> None:
    asked: list[tuple[str, ...]] = []

    def ask(text: str, *words: str) -> str:
        asked.append(words)
        return said([])

    its = (
        UnitCheck(unit="caddy.service"),
        HttpCheck(http="http://{address}:80/"),
        HttpCheck(http="https://example.org/"),
        CommandCheck(command="ping -c1 192.0.2.7"),
        CommandCheck(command="curl files:80"),
    )
    found = checks.prove(ask, guest(inventory, *its), "192.0.2.1", {"files": "192.0.2.7"}, pause=0)
    assert found.good and found.held == ("unit caddy.service", "http http://{address}:80/")
    assert found.left_out == {
        "http https://example.org/": "asks example.org",
        "command ping -c1 192.0.2.7": "asks files",
        "command curl files:80": "asks files",
    }
    assert asked[0][0] == "192.0.2.1" and "example.org" not in asked[0][1] and "caddy.service" in asked[0][1]


def test_it_waits_for_what_comes_and_not_for_what_cannot(inventory: Inventory) -> None:
    answers = [None, said(["tcp 80", "unit oauth2-proxy.service"], "oauth2-proxy.service keycloak\n")]
    answers.append(said(["unit oauth2-proxy.service", "unit sticks.service"], "oauth2-proxy.service keycloak\n"))
    its = (TcpCheck(tcp=80), UnitCheck(unit="oauth2-proxy.service"), UnitCheck(unit="sticks.service", warn=True))
    found = checks.prove(lambda *_: answers.pop(0), guest(inventory, *its), "192.0.2.1", {}, pause=0)
    assert not answers, "asked until the port answered, and not again"
    assert found.good and found.held == ("tcp 80",) and found.system == "nixos-system-web-25.11"
    assert found.left_out == {
        "unit oauth2-proxy.service": "waits for keycloak",
        "unit sticks.service": "may fail (warn = true)",
    }


def test_what_does_not_come_in_its_time_has_failed(inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks.prove(lambda *_: said(["tcp 80"]), guest(inventory, TcpCheck(tcp=80, timeout=1)), "", {}, pause=0.2)
    assert not found.good and found.failed == ("tcp 80",)
    monkeypatch.setattr(checks, "BOOT", 0)
    assert not checks.prove(lambda *_: None, guest(inventory), "", {}, pause=0).answers


def test_a_report_says_what_was_found_and_whether_it_is_good() -> None:
    backup = Backup("local:backup/vzdump-qemu-110-x.vma.zst", "pve1", NOW - 7200, 3 * 1024**3 // 2)
    good = Report("web", NOW, backup, 9000, 41.2, Found(True, "nixos", "7", ("tcp 80",), (), {"unit a": "waits for b"}))
    text = "\n".join(good.lines())
    assert "(2 h ago), 1.5 GiB" in text and "restored in 41 s" in text and text.endswith("web: restored, and good")
    assert "unit a: waits for b, and the copy has no network" in text
    bad = [
        Report("web", NOW, backup, 9000, 1, Found(True, failed=("tcp 80",))),
        Report("web", NOW, backup, 9000, 1, Found()),
        replace(good, trouble=["restic: damaged"]),
        Report("web", NOW),
    ]
    assert not any(report.good for report in bad)
    assert all(report.lines()[-1] == "web: NOT GOOD" for report in bad)
    assert Report("web", NOW, restic="repository whole").good, "restic's alone is a backup, too"
    assert summary({"web": good, "dns": bad[0]}) == "1 of 2 restored, and good; not good: dns"
    assert [size(count) for count in (5, 2048, 5 * 1024**4)] == ["5 B", "2.0 KiB", "5.0 TiB"]


def test_a_status_tells_of_what_was_never_or_long_ago_restored() -> None:
    host = HostStatus("web", "nixos-vm", "pve", "192.0.2.1", "running", answers=True, reboot=False)
    assert problems(replace(host, restored=0), NOW) == [], "there is no backup yet to be tried"
    assert problems(replace(host, restored=0, backup=NOW), NOW) == [
        "its backup was never restored to try it: ./aether restore web --to scratch"
    ]
    assert problems(replace(host, restored=NOW - 34 * 86400), NOW) == []
    assert "restored last 36 d ago" in problems(replace(host, restored=NOW - 36 * 86400), NOW)[0]
    assert problems(host, NOW) == [], "no job backs it up: nothing to try"


def test_nodes_say_what_was_restored_on_them_and_the_newest_counts(inventory: Inventory) -> None:
    said = '0.5 0.4 0.3 1/200 4711\n{"restored": "web", "at": 5}\n{"restored": "dns", "at": 7, "id": "me"}\n{"restored": "half\n'
    facts = load_of(said)
    assert facts is not None and facts["restored"] == {"web": 5, "dns": 7} and facts["load"] == 0.5
    answers = {
        name: Answer(name, True, facts={"restored": {"web": at}}) for name, at in zip(inventory.nodes, (3, 9, 4), strict=True)
    }
    assert _restored(inventory, answers) == {"web": 9}
    assert load_of("{}") is None


def test_who_wants_to_know_of_health_is_told_of_backups_that_are_no_good(
    monkeypatch: pytest.MonkeyPatch, inventory: Inventory
) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr("ops.notify.tell", lambda stack, *words: told.append(words))
    good, bad = Report("web", NOW, restic="repository whole"), Report("dns", NOW, found=Found(True, failed=("tcp 53",)))
    command._tell(Stack("homelab"), inventory, {"web": good})
    assert not told
    command._tell(Stack("homelab"), inventory, {"web": good, "dns": bad})
    assert told[0][:2] == ("health", "homelab: 1 of 2 restored, and good; not good: dns")
    assert "tcp 53 does not hold" in told[0][2] and "web" not in told[0][2]


def test_words_that_make_no_sense_are_refused_before_anything_is_asked() -> None:
    for words, told in (
        ([], "restore which host?"),
        (["gateway"], "restore gateway where to? Fix: --to scratch"),
        (["gateway", "--all"], "restore which host?"),
        (["--all", "--keep"], "--all keeps no copy"),
        (["gatway", "--to", "scratch"], "'gatway' is no guest of inventory/homelab.toml"),
    ):
        with pytest.raises(OpsError) as error:
            restore(Stack("homelab"), words)
        assert told in str(error.value)


def isolated(card: str) -> str:
    """What the node's script makes of a network card's options."""
    function = SCRIPT.read_text().split("# isolated LINE")[1].split("# cut_off:")[0].partition("\n")[2]
    text = f"copy=9000; bridge() {{ printf scr9000; }}\n{function}\nisolated '{card}'"
    return subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("card", "copy"),
    [
        ("virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=10", "virtio=BC:24:11:00:00:01,bridge=scr9000"),
        ("bridge=vmbr0,virtio=BC:24:11:00:00:01,trunks=2;3,mtu=9000", "virtio=BC:24:11:00:00:01,mtu=9000,bridge=scr9000"),
        (
            "name=eth0,bridge=vmbr0,gw=192.0.2.1,hwaddr=BC:24:11:00:00:01,ip=192.0.2.7/24,tag=10,type=veth",
            "name=eth0,gw=192.0.2.1,hwaddr=BC:24:11:00:00:01,ip=192.0.2.7/24,type=veth,bridge=scr9000",
        ),
    ],
)
def test_a_card_is_plugged_into_the_copys_own_bridge_and_into_nothing_else(card: str, copy: str) -> None:
    assert isolated(card) == copy


def test_restics_repository_is_checked_and_its_newest_snapshot_restored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inventory: Inventory
) -> None:
    """By a program that writes down what it is asked; password and key are neither arguments nor left behind."""
    program = tmp_path / "bin/restic"
    program.parent.mkdir()
    program.write_text("""#!/bin/bash
printf '%s\\n' "$RESTIC_PASSWORD $*" >>"$LOG"
key=$(sed -E 's/.* -i ([^ ]+) .*/\\1/' <<<"$*"); stat -c %a "$key" >>"$LOG.modes"
case "$*" in
  *snapshots*) echo '[{"time": "2026-11-28T03:00:12Z"}]' ;;
  *stats*) echo '{"total_size": 2048}' ;;
  *" restore "*) mkdir -p "${@: -2:1}/etc" && touch "${@: -2:1}/etc/"{one,two} ;;
esac
[[ $* != *"$FAILS"* ]] || { echo "Fatal: pack is damaged" >&2; exit 1; }
""")
    program.chmod(0o755)
    values = {"restic-password": "secret-one", "restic-ssh-key": "PRIVATE"}
    store = type("Store", (), {"read": lambda self, file: values})()
    monkeypatch.setattr(restic, "secret_store", lambda _: store)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAILS", "nothing-fails")
    told = restic.prove(Stack("homelab"), inventory, "media", lambda _: None)
    assert told == "repository whole (5% read), snapshot of 2026-11-28 03:00 restored: 2 files, 2.0 KiB"
    asked = (tmp_path / "log").read_text().splitlines()
    assert all(
        line.startswith("secret-one -r sftp:restic@smith-storage:/srv/backup/media -o sftp.command=ssh -F ") for line in asked
    )
    assert "check --read-data-subset=5%" in asked[0] and asked[-1].endswith("--verify") and "PRIVATE" not in "".join(asked)
    assert set((tmp_path / "log.modes").read_text().split()) == {"600"}
    monkeypatch.setenv("FAILS", "check")
    with pytest.raises(OpsError, match="restic check: Fatal: pack is damaged"):
        restic.prove(Stack("homelab"), inventory, "media", lambda _: None)
    program.unlink()
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(OpsError, match=r"restic is not on this machine.*Fix: apt install restic"):
        restic.prove(Stack("homelab"), inventory, "media", lambda _: None)


def test_who_has_no_backup_yet_is_told_how_there_is_one_now(inventory: Inventory) -> None:
    """Where a job will make the first, to write the job's table is no help."""
    stack = Stack("homelab")
    assert command._first_backup(stack, inventory, "media") == "[backups] in inventory/homelab.toml"
    job = Job(storage="pbs", schedule="02:30", keep=Keep(daily=7))
    with_job = replace(inventory, content=inventory.content.model_copy(update={"backups": {"nightly": job}}))
    assert command._first_backup(stack, with_job, "media") == (
        "its job makes the first at 02:30; "
        "now: ssh -F .aether/ssh/homelab/config trinity vzdump 131 --storage pbs --mode snapshot"
    )
    others = job.model_copy(update={"hosts": ("gateway",)})
    without = replace(inventory, content=inventory.content.model_copy(update={"backups": {"nightly": others}}))
    assert "[backups]" in command._first_backup(stack, without, "media")
