"""Start, stop, kill and heal; two simulators side by side; nothing is left behind."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from aether_sim import __main__, control
from aether_sim.paths import SimPaths
from aether_sim.testing import Api, Simulator, started, wait_until


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulator]:
    yield from started(tmp_path)


def processes_of(simulator: Simulator) -> list[int]:
    """Processes whose environment or command line names this simulator's state directory, or whose root is one of its."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes() + (entry / "mounts").read_bytes()
        except OSError:
            continue
        if str(simulator.state).encode() in text:
            found.append(int(entry.name))
    return found


def listening_on(block: str) -> list[str]:
    """Listening sockets in 127.N.0.0/16, as /proc/net/tcp has them."""
    number = int(block.split(".")[1])
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _slot, local, _remote, state = line.split()[:4]
        address = bytes.fromhex(local.split(":")[0])[::-1]
        if state == "0A" and address[0] == 127 and address[1] == number:
            found.append(local)
    return found


def test_start_is_idempotent_and_writes_the_stack_file(sim: Simulator) -> None:
    first = sim.status()
    again = sim.cli("start", *sim.options())
    assert again.code == 0
    stack = yaml.safe_load((sim.state / "Pulumi.sim.yaml").read_text())
    assert stack["config"]["aether:proxmoxEndpoint"] == sim.status()["api"]
    assert Path(stack["config"]["aether:operatorKeyFile"]).stat().st_mode & 0o777 == 0o600
    # Nothing changed: the same process still serves (a start that lacks sops for secrets starts again).
    if not first["warnings"]:
        assert sim.status()["pid"] == first["pid"]


NEW = """
[hosts.{name}]
kind = "{kind}"
address = "192.168.10.60"
"""


def test_a_guest_that_was_added_since_is_taken_in_and_a_machine_is_a_new_start(sim: Simulator) -> None:
    """A guest's first contact wants its key in the simulator's secrets, and deployments its address."""
    first = sim.status()
    text = sim.inventory.read_text()
    sim.inventory.write_text(text + NEW.format(name="notes", kind="nixos-vm") + 'node = "pve1"\nvmid = 133\n')
    assert sim.cli("start", *sim.options()).code == 0
    endpoint = sim.endpoints()["notes"]
    assert endpoint["address"].endswith(".10.60") and endpoint["hostKey"].startswith("ssh-ed25519 ")
    if not first["warnings"]:
        assert sim.status()["pid"] == first["pid"], "the others go on"
        assert (sim.state / "secrets/hosts/notes.yaml").exists()
    # Its key is the same from then on.
    assert sim.cli("start", *sim.options()).code == 0 and sim.endpoints()["notes"] == endpoint
    sim.inventory.write_text(text + NEW.format(name="den", kind="nixos-metal"))
    again = sim.cli("start", *sim.options())
    assert again.code == 0 and "simulator: starts over, its inventory has other machines" in again.out, again.out
    assert sim.status()["pid"] != first["pid"] and "den" in sim.endpoints()
    # What cannot be read is for the program to refuse.
    pid = sim.status()["pid"]
    sim.inventory.write_text(text + "[hosts.")
    assert sim.cli("start", *sim.options()).code == 0 and sim.status()["pid"] == pid


def test_the_token_has_what_a_guest_that_was_added_needs_and_keeps_it(sim: Simulator) -> None:
    """As after `proxmox role --update`, which takes nothing away; the fleet had containers alone before."""

    def on_guests() -> set[str]:
        granted = json.loads(next(sim.state.rglob("granted.json")).read_text())
        return {privilege for path, (privileges, _) in granted.items() if path == "/vms" for privilege in privileges}

    text = sim.inventory.read_text()
    virtual = re.compile(r'(?ms)^\[hosts\.[\w-]+\]\nkind = "nixos-vm".*?(?=^\[|\Z)')
    assert virtual.search(text)
    assert sim.cli("stop").code == 0
    next(sim.state.rglob("granted.json")).unlink()
    sim.inventory.write_text(virtual.sub("", text))
    assert sim.cli("start", *sim.options()).code == 0
    assert on_guests() and "VM.Config.HWType" not in on_guests()
    added = NEW.format(name="notes", kind="nixos-vm") + 'node = "pve1"\nvmid = 133\n'
    sim.inventory.write_text(virtual.sub("", text) + added)
    assert sim.cli("start", *sim.options()).code == 0
    assert "VM.Config.HWType" in on_guests()
    assert sim.cli("stop").code == 0
    sim.inventory.write_text(virtual.sub("", text))
    assert sim.cli("start", *sim.options()).code == 0
    assert "VM.Config.HWType" in on_guests()


def test_a_simulator_that_is_older_than_its_files_starts_again(sim: Simulator) -> None:
    """After an upgrade: what it named, a setting of the stack, may be called otherwise now."""
    pid, options = sim.status()["pid"], sim.state / "options.json"
    options.write_text(json.dumps({**json.loads(options.read_text()), "sources": "of before"}))
    assert sim.cli("start", *sim.options()).code == 0 and sim.status()["pid"] != pid
    now = sim.status()
    if not now["warnings"]:
        assert sim.cli("start", *sim.options()).code == 0 and sim.status()["pid"] == now["pid"]


def test_a_simulator_that_does_not_know_what_it_is_asked_starts_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:

    def ask(*_: object, **__: object) -> None:
        raise control.Failed("'Supervisor' object has no attribute '_ask_follow'")

    monkeypatch.setattr(control, "ask", ask)
    assert not __main__._follows(SimPaths(tmp_path))


def test_stack_file_keeps_what_pulumi_wrote(sim: Simulator) -> None:
    path = sim.state / "Pulumi.sim.yaml"
    document = yaml.safe_load(path.read_text())
    document["encryptionsalt"] = "v1:salt"
    path.write_text(yaml.safe_dump(document))
    assert sim.cli("restart", *sim.options()).code == 0
    assert yaml.safe_load(path.read_text())["encryptionsalt"] == "v1:salt"


def test_stop_leaves_nothing(sim: Simulator) -> None:
    block = sim.status()["block"]
    assert sim.answers("debian")
    assert processes_of(sim)
    assert listening_on(block)
    assert sim.cli("stop").code == 0
    assert processes_of(sim) == []
    assert listening_on(block) == []
    assert str(sim.state) not in Path("/proc/self/mounts").read_text()
    assert sim.cli("status").code == 1


def test_guests_disks_and_keys_survive_a_restart(sim: Simulator) -> None:
    api = Api(sim)
    assert api.create_vm() == "OK"
    wait_until("the guest is up", lambda: sim.status()["hosts"]["vm"]["state"] == "up")
    key = sim.endpoints()["metal"]["hostKey"]
    sim.ssh("metal", "echo kept > /root/file; echo gone > /run/file")
    assert sim.cli("stop").code == 0
    sim.start()
    assert sim.endpoints()["metal"]["hostKey"] == key
    assert sim.ssh("metal", "cat /root/file; ls /run/file").out == "kept\n"
    assert [guest["status"] for guest in sim.status()["guests"]] == ["running"]
    assert sim.status()["hosts"]["vm"]["state"] == "up"


def test_heals_after_sigkill(sim: Simulator) -> None:
    api = Api(sim)
    assert api.create_vm() == "OK"
    status = sim.status()
    os.kill(status["pid"], signal.SIGKILL)
    # Hosts end with their supervisor, whichever way it ends.
    wait_until("every process of it is gone", lambda: processes_of(sim) == [])
    # The kernel closes what a process held when it is done with it, which is after its command line is gone.
    wait_until("every port of it is free", lambda: listening_on(status["block"]) == [])
    assert (sim.state / "supervisor.json").exists()
    assert sim.cli("status").code == 1
    sim.start()
    assert [guest["name"] for guest in sim.status()["guests"]] == ["vm"]
    assert sim.answers("debian")


def test_a_reused_process_id_is_not_taken_for_the_supervisor(sim: Simulator) -> None:
    assert sim.cli("stop").code == 0
    (sim.state / "supervisor.json").write_text(json.dumps({"pid": os.getpid(), "start": 1}))
    sim.start()
    assert sim.status()["pid"] != os.getpid()


def test_two_side_by_side(sim: Simulator, tmp_path: Path) -> None:
    other = Simulator(tmp_path / "other")
    try:
        other.start()
        assert other.status()["block"] != sim.status()["block"]
        assert other.endpoints()["debian"]["hostKey"] != sim.endpoints()["debian"]["hostKey"]
        sim.ssh("debian", "echo one > /root/mine")
        assert other.ssh("debian", "cat /root/mine").code != 0
        assert other.cli("stop").code == 0
        assert sim.answers("debian")
    finally:
        other.close()


def test_reset_forgets_guests_and_keeps_keys(sim: Simulator) -> None:
    api = Api(sim)
    assert api.create_vm() == "OK"
    # A datacentre that starts over would have what its next deployment makes.
    api.call("POST", "/pools", poolid="prod")
    api.call("POST", "/cluster/mapping/usb", id="stick", map="node=pve1,id=0658:0200")
    key = sim.endpoints()["debian"]["hostKey"]
    sim.ssh("debian", "echo x > /root/file")
    assert sim.cli("reset").code == 0
    sim.start()
    assert sim.status()["guests"] == []
    assert [Api(sim).call("GET", path) for path in ("/pools", "/cluster/mapping/usb")] == [[], []]
    assert sim.endpoints()["debian"]["hostKey"] == key
    assert sim.ssh("debian", "cat /root/file").code != 0
