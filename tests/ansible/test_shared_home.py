"""SharedHome on machines that Ansible sets up: two real Syncthing daemons, set up by the role's own tasks, and real rclone."""

import datetime
import json
import os
import random
import re
import shlex
import shutil
import socket
import subprocess
import time
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from inventory.generate import read_names
from inventory.load import load
from inventory.models import ManagedHost
from inventory.rolesecrets import of_home
from inventory.syncthing import CERT, KEY, device_id, new_identity
from tests.ansible.conftest import REPO, ansible
from tests.nix.conftest import CACHE

# Fedora Atomic and WSL: the two kinds that are not NixOS.
HOSTS = ("workstation", "wsl")
ROLE = REPO / "ansible/roles/syncthing"
OWNER = Path.home().owner() if os.name == "posix" else ""
SCRIPT = REPO / "home/bin/drive-backup"
PATIENCE = 60.0
"""Seconds until what two daemons on one machine agree on must have happened."""


def program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([str(CACHE / "checkers/bin"), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{name} is not there: run nix/tools/get-checkers.sh --debian")
    return found


def put(file: Path, text: str) -> None:
    """Write at once, so that no half of it is seen."""
    part = file.with_name(f"~syncthing~{file.name}.tmp")
    part.write_text(text)
    part.replace(file)


def eventually(holds: Callable[[], Any], what: str) -> Any:
    """The first true answer; fails after a while."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.1)
    raise AssertionError(f"did not come: {what}")


@dataclass
class Daemon:
    """A machine's Syncthing: its home, its address on this machine, and the unit's own command."""

    name: str
    home: Path
    address: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def shared(self) -> Path:
        return self.home / "SharedHome"

    @property
    def state(self) -> Path:
        return self.home / ".local/state/syncthing"

    @property
    def config(self) -> ET.Element:
        return ET.parse(self.state / "config.xml").getroot()

    def start(self) -> None:
        """As systemd would, on loopback alone."""
        tree = ET.parse(self.state / "config.xml")
        options, gui = tree.getroot().find("options"), tree.getroot().find("gui")
        assert options is not None and gui is not None
        for listen in options.findall("listenAddress"):
            listen.text = f"tcp://{self.address}:22000"
        for name in ("globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled"):
            place = options.find(name)
            (place if place is not None else ET.SubElement(options, name)).text = "false"
        address = gui.find("address")
        assert address is not None
        address.text = f"{self.address}:8384"
        # Changes are sent at once, not after ten seconds.
        for folder in tree.getroot().findall("folder"):
            folder.set("fsWatcherDelayS", "0.01")
        tree.write(self.state / "config.xml", encoding="unicode")
        log = (self.home / "log").open("ab")
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"], "STNOUPGRADE": "1"}
        self.process = subprocess.Popen(self.command, env=environment, stdout=log, stderr=log)
        eventually(lambda: self.answers("/rest/system/status"), f"{self.name} answers: {(self.home / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def answers(self, path: str, method: str = "GET") -> Any:
        key = self.config.findtext("gui/apikey") or ""
        request = urllib.request.Request(f"http://{self.address}:8384{path}", headers={"X-API-Key": key}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
                text = answer.read()
        except OSError:
            return None
        return json.loads(text) if text else True


def loopback() -> str:
    """An address of this machine on which nobody has Syncthing's ports."""
    while True:
        address = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        try:
            for port in (22000, 8384):
                with socket.socket() as free:
                    free.bind((address, port))
        except OSError:
            continue
        return address


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the role makes on an Atomic host and on WSL, each with a home of its own on this machine; run twice."""
    programs = {name: program(name) for name in ("syncthing", "rclone")}
    folder = tmp_path_factory.mktemp("shared-home")
    identities = {name: new_identity() for name in HOSTS}
    addresses = {name: loopback() for name in HOSTS}
    peers = {name: {"id": device_id(identities[name][0]), "address": addresses[name]} for name in HOSTS}
    (folder / "drive").mkdir()
    play = {
        "hosts": ",".join(HOSTS),
        "gather_facts": False,
        "vars": {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "bootstrap_user": OWNER,
            "bootstrap_home": str(folder / "{{ inventory_hostname }}"),
            "bootstrap_source": str(REPO),
            "syncthing_devices": peers,
            "syncthing_cert": "{{ identities[inventory_hostname][0] }}",
            "syncthing_key": "{{ identities[inventory_hostname][1] }}",
            "syncthing_rclone": f"[drive]\ntype = alias\nremote = {folder / 'drive'}",
            "syncthing_found": {"stdout": programs["syncthing"]},
            "identities": identities,
        },
        "environment": {"PATH": f"{Path(programs['syncthing']).parent}:{os.environ['PATH']}"},
    }
    tasks = [
        {"ansible.builtin.include_role": {"name": "syncthing", "tasks_from": "owner"}},
        {"ansible.builtin.include_role": {"name": "syncthing", "tasks_from": "account"}},
        *(
            {
                "ansible.builtin.template": {
                    "src": str(ROLE / f"templates/{unit}.j2"),
                    "dest": str(folder / "{{ inventory_hostname }}" / unit),
                },
                "vars": yaml.safe_load((ROLE / "defaults/main.yml").read_text()) | {"syncthing_devices": peers},
            }
            for unit in ("aether-syncthing.service", "aether-drive-backup.service")
        ),
    ]
    book = REPO / "ansible" / f".test-{os.getpid()}-shared-home.yml"
    book.write_text(yaml.safe_dump([{**play, "name": f"run {number}", "tasks": tasks} for number in (1, 2)]))
    try:
        run = ansible("ansible-playbook", "-i", "ansible/inventory.py", book)
    finally:
        book.unlink()
    assert run.code == 0, run.output
    found: dict[str, Any] = {"run": run.output, "folder": folder, "peers": peers}
    daemons = []
    for name in HOSTS:
        unit = (folder / name / "aether-syncthing.service").read_text()
        (command,) = re.findall(r"(?m)^ExecStart=(.*)$", unit)
        daemons.append(Daemon(name, folder / name, addresses[name], shlex.split(command)))
    found["daemons"] = daemons
    try:
        yield found
    finally:
        for daemon in daemons:
            daemon.stop()


@pytest.fixture(scope="module")
def pair(machines: dict[str, Any]) -> tuple[Daemon, Daemon]:
    """Both daemons, which have met."""
    one, other = machines["daemons"]
    for daemon in (one, other):
        daemon.start()
    ident = machines["peers"][other.name]["id"]
    eventually(
        lambda: (one.answers("/rest/system/connections") or {}).get("connections", {}).get(ident, {}).get("connected"),
        "they meet",
    )
    return one, other


class TestExample:
    HOMES = {  # noqa: RUF012
        name: host
        for file in ("homelab.toml", "cloud.toml")
        for name, host in load(REPO / "inventory" / file).hosts.items()
        if isinstance(host, ManagedHost) and host.home
    }

    def test_every_machine_with_a_home_syncs_it(self) -> None:
        assert {"workstation", "wsl", "bifrost", "bifrost-kinoite", "laptop", "cloud-workstation"} <= set(self.HOMES)
        assert [name for name, host in self.HOMES.items() if not host.syncthing_id and "gaming" not in name] == []

    def test_one_of_them_copies_it_to_the_drive(self) -> None:
        (name,) = [name for name, host in self.HOMES.items() if "drive-backup" in host.tags]
        wanted = of_home(self.HOMES[name].model_dump(mode="json"))
        assert set(wanted) == {"rclone-conf", CERT, KEY}
        # Only the owner has an account there; a new one is asked for it.
        assert read_names(REPO / "secrets").kind(f"{name}/rclone-conf") == "ask"

    def test_what_a_home_needs_is_asked_for_before_anything_is_changed(self) -> None:
        """On NixOS the system brings it."""
        facts = {"home": {"configuration": "x"}, "syncthing_id": "X", "tags": ["drive-backup"]}
        assert set(of_home({**facts, "kind": "ansible"})) == {"rclone-conf", CERT, KEY}
        nixos: list[dict[str, str]] = [{"kind": "nixos-metal"}, {"kind": "hcloud-vm"}, {"kind": "cloud-vm", "os": "nixos"}]
        assert [of_home({**facts, **kind}) for kind in nixos] == [(), (), ()]
        assert of_home({"kind": "atomic", "tags": ["drive-backup"]}) == ()
        (play,) = yaml.safe_load((REPO / "ansible/bootstrap.yml").read_text())
        assert play["pre_tasks"][0]["ansible.builtin.import_tasks"] == "tasks/secrets.yml"


def test_the_second_run_changes_nothing(machines: dict[str, Any]) -> None:
    first, _, second = machines["run"].partition("PLAY [run 2]")
    for host in HOSTS:
        assert first.count(f"changed: [{host}]") == 9 and f"changed: [{host}]" not in second, machines["run"]


def test_each_is_who_its_secrets_say_and_shares_one_folder(machines: dict[str, Any]) -> None:
    for daemon in machines["daemons"]:
        command = [program("syncthing"), "--device-id", f"--home={daemon.state}"]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        assert told.stdout.strip() == machines["peers"][daemon.name]["id"]
        assert [folder.get("id") for folder in daemon.config.findall("folder")] == ["shared-home"], "and no default folder"
        assert (daemon.state / "key.pem").stat().st_mode & 0o077 == 0


def test_a_file_of_one_comes_to_the_other(pair: tuple[Daemon, Daemon]) -> None:
    one, other = pair
    (one.shared / "Documents").mkdir(parents=True)
    put(one.shared / "Documents/letter.txt", "of one")
    eventually((other.shared / "Documents/letter.txt").exists, "the letter")
    assert (other.shared / "Documents/letter.txt").read_text() == "of one"
    # Syncthing wrote its configuration meanwhile; what the role asks for still holds.
    assert other.config.find("folder[@id='shared-home']/versioning[@type='staggered']") is not None


def test_what_the_other_replaces_or_deletes_is_kept_and_comes_back(pair: tuple[Daemon, Daemon]) -> None:
    """One version in thirty seconds is kept, so each file changes once."""
    one, other = pair
    put(one.shared / "note.txt", "first")
    put(one.shared / "list.txt", "to be deleted")
    eventually(lambda: (other.shared / "note.txt").exists() and (other.shared / "list.txt").exists(), "both files")
    put(one.shared / "note.txt", "second, longer")
    (one.shared / "list.txt").unlink()
    eventually(lambda: (other.shared / "note.txt").read_text() == "second, longer", "the new note")
    eventually(lambda: not (other.shared / "list.txt").exists(), "the list is gone")
    for name, text in {"note": "first", "list": "to be deleted"}.items():
        (kept,) = (other.shared / ".stversions").glob(f"{name}~*.txt")
        assert kept.read_text() == text
        # As docs/home.md says, on the machine that has it.
        subprocess.run(["cp", "-p", kept, other.shared / f"{name}.txt"], check=True)
    eventually((one.shared / "list.txt").exists, "it is back on the machine that deleted it")
    eventually(lambda: (one.shared / "note.txt").read_text() == "first", "and the note is as it was")


def test_both_changes_of_one_file_are_kept(pair: tuple[Daemon, Daemon]) -> None:
    one, other = pair
    plan = [daemon.shared / "plan.txt" for daemon in pair]
    put(plan[0], "before")
    eventually(plan[1].exists, "the plan")
    other.stop()
    put(plan[0], "changed at home")
    eventually(lambda: (one.answers("/rest/db/file?folder=shared-home&file=plan.txt") or {})["local"]["size"] == 15, "it is seen")
    put(plan[1], "changed on the way")
    other.start()
    copies = eventually(
        lambda: (
            [sorted(d.shared.glob("plan.sync-conflict-*.txt")) for d in pair if d.shared.glob("plan.sync-conflict-*.txt")]
            if all(list(d.shared.glob("plan.sync-conflict-*.txt")) for d in pair)
            else None
        ),
        "the copy is on both",
    )
    for (copy,), file in zip(copies, plan, strict=True):
        assert {copy.read_text(), file.read_text()} == {"changed at home", "changed on the way"}


class TestDrive:
    """The backup's unit, and the way back, with a folder in place of Google's drive."""

    @pytest.fixture
    def backup(self, machines: dict[str, Any], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
        """Run the unit's command, or another of the script's, with the role's account; drive and folder are new."""
        folder, rclone = machines["folder"], program("rclone")
        unit = (folder / "workstation/aether-drive-backup.service").read_text()
        (command,) = re.findall(r"(?m)^ExecStart=(.*)$", unit)
        words = shlex.split(command)
        assert words[2:] == ["backup", str(folder / "workstation/SharedHome"), "drive:SharedHome"]
        home = tmp_path / "home"
        (home / ".config/rclone").mkdir(parents=True)
        account = (folder / "workstation/.config/rclone/rclone.conf").read_text()
        (home / ".config/rclone/rclone.conf").write_text(account.replace(str(folder / "drive"), str(tmp_path / "drive")))
        environment = {"HOME": str(home), "PATH": f"{Path(rclone).parent}:{os.environ['PATH']}", "TZ": "UTC"}

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            given = arguments or ("backup", str(tmp_path / "SharedHome"), "drive:SharedHome")
            return subprocess.run([*words[:2], *given], env=environment, capture_output=True, text=True, check=False, timeout=60)

        return run

    def test_what_was_lost_comes_back_and_what_is_there_stays(
        self, backup: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        shared, drive = tmp_path / "SharedHome", tmp_path / "drive/SharedHome"
        for name, text in {"a.txt": "a", "deep/b.txt": "b", ".stversions/a~1.txt": "old", ".stfolder/x": ""}.items():
            (shared / name).parent.mkdir(parents=True, exist_ok=True)
            (shared / name).write_text(text)
        assert backup().returncode == 0
        assert sorted(str(f.relative_to(drive)) for f in drive.rglob("*") if f.is_file()) == [
            "current/a.txt",
            "current/deep/b.txt",
        ]
        (shared / "a.txt").write_text("newer than the drive's")
        shutil.rmtree(shared / "deep")
        back = backup("restore", str(shared), "drive:SharedHome")
        assert back.returncode == 0, back.stderr
        assert (shared / "deep/b.txt").read_text() == "b" and (shared / "a.txt").read_text() == "newer than the drive's"
        fresh = tmp_path / "fresh"
        assert backup("restore", str(fresh), "drive:SharedHome").returncode == 0
        assert (fresh / "a.txt").read_text() == "a"

    def test_what_a_backup_replaced_comes_back_by_its_day(
        self, backup: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        shared, replaced = tmp_path / "SharedHome", tmp_path / "drive/SharedHome/replaced"
        shared.mkdir()
        (shared / "a.txt").write_text("first")
        (shared / "b.txt").write_text("b")
        assert backup().returncode == 0
        (shared / "a.txt").write_text("second")
        (shared / "b.txt").unlink()
        today = datetime.datetime.now(datetime.UTC).date()
        for age in (179, 181):
            (replaced / str(today - datetime.timedelta(age))).mkdir(parents=True)
            (replaced / str(today - datetime.timedelta(age)) / "old.txt").write_text("old")
        assert backup().returncode == 0
        days = backup("dates", "drive:SharedHome").stdout.split()
        assert len(days) == 2 and days[0] == str(today - datetime.timedelta(179)), "what is older than half a year is gone"
        back = backup("restore", str(shared), "drive:SharedHome", days[1])
        assert back.returncode == 0, back.stderr
        assert (shared / "Restored" / days[1] / "a.txt").read_text() == "first"
        assert (shared / "Restored" / days[1] / "b.txt").read_text() == "b"
        assert (shared / "a.txt").read_text() == "second"
        none = backup("restore", str(shared), "drive:SharedHome", "2001-01-01")
        assert none.returncode == 1 and days[1] in none.stderr

    def test_a_folder_that_is_not_mounted_takes_nothing_away(
        self, backup: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        shared = tmp_path / "SharedHome"
        shared.mkdir()
        (shared / "a.txt").write_text("a")
        assert backup().returncode == 0
        (shared / "a.txt").unlink()
        (shared / ".stfolder").mkdir()
        (shared / ".stfolder/marker").write_text("")
        refused = backup()
        assert refused.returncode == 1 and "holds no file" in refused.stderr
        assert (tmp_path / "drive/SharedHome/current/a.txt").read_text() == "a"

    def test_without_words_it_says_how_it_is_used(self) -> None:
        told = subprocess.run(["bash", SCRIPT], capture_output=True, text=True, check=False)
        assert told.returncode == 64 and "drive-backup restore FOLDER REMOTE DATE" in told.stderr
