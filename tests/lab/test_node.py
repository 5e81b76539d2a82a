"""A guest is reached through its node: the product's own scripts, over OpenSSH, into real guests by a real agent and namespaces.

The node is a container with Debian's systemd and sshd, its guests are containers with a real systemd (tests/lab/node).
"""

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.cases import Answer, Case, answers, disagreement, named
from tests.contract.node import NODE_CASES
from tests.lab.container import Container, ContainerNetwork
from tests.lab.disk import REPOSITORY, Base
from tests.lab.host_secrets import TOOLS, encrypted
from tests.lab.machine import Machine
from tests.lab.node import Node, made_key, public

SCRIPTS = REPOSITORY / "components/proxmox/scripts"
IDS = {"web": ("vm", 100), "dns": ("lxc", 101)}


@dataclass(frozen=True)
class Fleet:
    """A node, a virtual machine `web` and a container `dns` that run, and what the inventory knows of them."""

    node: Node
    guests: dict[str, Container]
    secrets: Path
    environment: dict[str, str]

    def ssh_config(self) -> Path:
        machines = [self.node.machine, *self.guests.values()]
        return self.node.machine.configure(machines)

    def script(self, name: str, host: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """One of the operator's scripts for HOST."""
        kind, vmid = IDS[host]
        values = {
            **os.environ,
            **self.environment,
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
            "AETHER_HOST": host,
            "AETHER_NODE": self.node.name,
            "AETHER_VMID": str(vmid),
            "AETHER_GUEST": kind,
            "AETHER_SECRETS": str(self.secrets),
            "AETHER_SSH_CONFIG": str(self.ssh_config()),
            **environment,
        }
        command = [str(SCRIPTS / name), *arguments]
        return subprocess.run(command, cwd=REPOSITORY, env=values, capture_output=True, text=True, timeout=600, check=False)

    def on_node(self, name: str, *arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        """A script of the node's side, as the operator's scripts run it."""
        line = f"bash -c {shlex.quote((SCRIPTS / name).read_text())} aether {shlex.join(arguments)}"
        return self.node.ssh(line, text)


@pytest.fixture(scope="module")
def fleet(site: ContainerNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if not (TOOLS / "sops").exists():
        pytest.skip("sops is not there; make it with: ./aether engine ensure")
    node = Node(site, "pve1", 2)
    guests = {"web": node.virtual(100, "web", 20), "dns": node.container(101, "dns", 21)}
    node.container(102, "spare", 22)
    node.configure("qemu-server", 103, {"name": "off", "agent": "enabled=1"})
    node.start()
    node.power(100, guests["web"])
    assert node.ssh("pct start 101").returncode == 0
    secrets = tmp_path_factory.mktemp("secrets")
    _, environment = encrypted(secrets, guests, site.base)
    yield Fleet(node, guests, secrets, environment)


@pytest.mark.parametrize("host", IDS)
def test_a_new_guest_is_given_its_own_host_key_through_its_node(fleet: Fleet, host: str) -> None:
    guest = fleet.guests[host]
    unknown, deadline = guest.ssh("true"), time.monotonic() + 60
    while "Connection refused" in unknown.stderr and time.monotonic() < deadline:
        # Its server is still starting.
        time.sleep(0.3)
        unknown = guest.ssh("true")
    assert unknown.returncode == 255
    assert "Host key verification failed" in unknown.stderr
    done = fleet.script("first-contact.sh", host)
    assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr
    assert f"gives it its SSH host key through {fleet.node.name}" in done.stderr
    assert guest.sh("hostname; stat -c '%a %u' /etc/ssh/ssh_host_ed25519_key") == f"{host}\n600 0"
    again = fleet.script("first-contact.sh", host)
    assert "answers with its own key already" in again.stderr


def test_a_guest_that_its_node_does_not_have_is_told(fleet: Fleet) -> None:
    done = fleet.on_node("set-container-options.sh", "999", "yes", "nesting=1")
    assert done.returncode == 1
    assert "container 999 is not on this node" in done.stderr


def test_a_new_container_is_restarted_with_its_features_and_one_in_use_is_not(fleet: Fleet) -> None:
    booted = "systemctl show --property=UserspaceTimestamp --value"
    before = fleet.guests["dns"].sh(booted)
    done = fleet.on_node("set-container-options.sh", "101", "yes", "nesting=1,keyctl=1")
    assert done.returncode == 0, done.stderr
    fleet.guests["dns"].eventually(fleet.guests["dns"].answers, "boots again")
    assert fleet.guests["dns"].sh(booted) != before
    assert "features: nesting=1,keyctl=1" in fleet.node.machine.sh("pct config 101 --current 1")
    assert fleet.on_node("set-container-options.sh", "101", "yes", "keyctl=1,nesting=1").returncode == 0
    done = fleet.script("container-options.sh", "dns", AETHER_FEATURES="nesting=1", AETHER_DEVICES="", AETHER_INSTANCE="first")
    assert (done.returncode, done.stdout) == (0, "first"), done.stderr
    assert "hold from its next restart on" in done.stderr
    assert "keyctl" in fleet.node.machine.sh("pct config 101 --current 1")


def test_settings_of_a_container_are_changed_in_place(fleet: Fleet) -> None:
    done = fleet.on_node("container-settings.sh", "101", text="hostname dns\nmemory 1024\n")
    assert done.returncode == 0, done.stderr
    assert "memory: 512 -> 1024" in done.stdout
    assert "memory: 1024" in fleet.node.machine.sh("pct config 101 --current 1")


@pytest.mark.parametrize(("host", "tool"), [("web", "qm"), ("dns", "pct")])
def test_a_running_guest_is_given_its_new_address(fleet: Fleet, host: str, tool: str) -> None:
    new = f"10.77.0.{150 + IDS[host][1] % 100}"
    done = fleet.on_node("give-address.sh", tool, str(IDS[host][1]), f"{new}/24", "10.77.0.1")
    assert done.returncode == 0, done.stderr + done.stdout
    assert new in fleet.guests[host].sh("ip -4 -o address")
    again = fleet.on_node("give-address.sh", tool, str(IDS[host][1]), f"{new}/24", "10.77.0.1")
    assert again.returncode == 1
    assert f"it has {new}/24 already" in again.stderr


def test_the_address_that_a_guest_has_is_asked_of_its_agent(fleet: Fleet) -> None:
    right = fleet.on_node("check-lease.sh", "vm", "100", "10.77.0.20", "-", "5")
    assert right.returncode == 0, right.stderr
    wrong = fleet.on_node("check-lease.sh", "vm", "100", "10.77.0.77", "-", "1")
    assert wrong.returncode != 0
    assert "10.77.0.20" in wrong.stderr + wrong.stdout


def test_a_guest_is_deployed_to_after_its_first_contact(fleet: Fleet) -> None:
    operator = fleet.guests["dns"].operator()
    unit = {"web.service": "[Unit]\nDescription=web\n[Service]\nExecStart=/usr/bin/sleep 77d\n"}
    done = operator.deploy(operator.system(units=unit), "unit\tweb.service\t-\t60\n")
    assert done.code == 0, done.err
    assert operator.runs() == operator.boots() != ""


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_virtual_machine_is_reached_by_the_agent_on_its_virtio_port(fleet: Fleet, base: Base, tmp_path: Path) -> None:
    """As `web`, with a kernel of its own: QEMU's end of the guest agent's port is the node's socket."""
    machine = Machine(base, tmp_path / "machine", "metal")
    try:
        machine.on()
        fleet.node.configure("qemu-server", 110, {"name": "metal", "agent": "enabled=1"})
        (fleet.node.agents / "110").mkdir()
        (fleet.node.agents / "110/agent").hardlink_to(machine.agent)
        told = fleet.node.ssh("qm guest cmd 110 get-host-name; qm guest exec 110 -- /bin/cat /proc/version")
        assert "Linux version" in told.stdout and "cloud" in told.stdout, told.stderr
        key = tmp_path / "key"
        made_key(key)
        line = f"bash -c {shlex.quote((SCRIPTS / 'install-host-key.sh').read_text())} aether vm 110"
        done = fleet.node.ssh(line, key.read_text(), timeout=900)
        assert done.returncode == 0, done.stderr
        machine.configure([machine], {"metal": public(key)})
        config = str(machine.work / "ssh_config")
        command = ["ssh", "-F", config, "metal", "cat /proc/sys/kernel/random/boot_id"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert answer.returncode == 0, answer.stderr
    finally:
        machine.cut()


@pytest.fixture(scope="module")
def answered(fleet: Fleet) -> dict[Case, Answer]:
    def run(command: str, stdin: str) -> str:
        done = fleet.node.ssh(command, stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # As it was born: a case changes what it has.
    fleet.node.machine.sh("pct set 101 --memory 512")
    return answers(run, NODE_CASES, {"vm": "100", "ct": "101", "off": "102", "voff": "103"})


@pytest.mark.parametrize("case", NODE_CASES, ids=named)
def test_a_node_answers_as_the_table_says(answered: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, answered[case])), wrong
