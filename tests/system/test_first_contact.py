"""First contact by its script alone: a new guest gets its own SSH host key through the node, and nothing else is ever trusted."""

import os
from collections.abc import Iterator

import pytest

from aether_sim.paths import REPO
from aether_sim.testing import Api, Outcome, Simulator, started

TOOLS = REPO / ".aether/engine/bin"
GUESTS = {"vm": ("vm", "100"), "ct": ("lxc", "101")}


@pytest.fixture(scope="module")
def module_sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    if not (TOOLS / "sops").exists():
        pytest.skip("sops is not there; make it with: ./aether engine ensure")
    yield from started(tmp_path_factory.mktemp("contact"))


@pytest.fixture
def sim(module_sim: Simulator) -> Iterator[Simulator]:
    """A simulator without guests and without faults."""
    yield module_sim
    module_sim.cli("fault", "--clear")
    api = Api(module_sim)
    for guest in module_sim.status()["guests"]:
        assert api.destroy(guest["vmid"], kind={"vm": "qemu", "ct": "lxc"}[guest["name"]]) == "OK"


def contact(sim: Simulator, host: str, **environment: str) -> Outcome:
    kind, vmid = GUESTS[host]
    return sim.script(
        "components/proxmox/scripts/first-contact.sh",
        {
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
            "SOPS_AGE_KEY_FILE": str(sim.state / "keys/age.txt"),
            "AETHER_HOST": host,
            "AETHER_NODE": "pve1",
            "AETHER_VMID": vmid,
            "AETHER_GUEST": kind,
            "AETHER_SECRETS": str(sim.state / "secrets"),
            **environment,
        },
    )


def make(sim: Simulator, host: str) -> None:
    assert (Api(sim).create_vm() if host == "vm" else Api(sim).create_ct()) == "OK"


@pytest.mark.parametrize("host", GUESTS)
def test_a_new_guest_answers_with_its_own_key_afterwards(sim: Simulator, host: str) -> None:
    make(sim, host)
    assert not sim.answers(host)
    first = contact(sim, host)
    assert (first.code, first.out) == (0, "ready\n"), first.err
    assert "gives it its SSH host key through pve1" in first.err
    assert sim.ssh(host, "hostname").out == f"{host}\n"
    private = (sim.state / "keys/hosts" / host).read_text()
    assert sim.ssh(host, "cat /etc/ssh/ssh_host_ed25519_key").out.strip() == private.strip()
    assert private.splitlines()[1] not in first.err
    # Nothing of it stays on the node.
    assert sim.ssh("pve1", "ls /dev/shm").out == ""
    again = contact(sim, host)
    assert (again.code, again.out) == (0, "ready\n"), again.err
    assert "answers with its own key already" in again.err


@pytest.mark.fault
def test_a_node_with_another_key_is_given_nothing(sim: Simulator) -> None:
    make(sim, "ct")
    sim.fault("pve1", "key-mismatch")
    done = contact(sim, "ct")
    assert done.code == 22, done.err
    assert "pve1 answers with another SSH host key than the inventory has; nothing was sent to it" in done.err


@pytest.mark.fault
def test_a_node_that_does_not_answer_is_named(sim: Simulator) -> None:
    make(sim, "ct")
    sim.fault("pve1", "unreachable")
    done = contact(sim, "ct")
    assert done.code == 12, done.err
    assert "pve1 does not answer on SSH at 127." in done.err


def test_a_host_without_a_key_file_is_told_how_to_make_one(sim: Simulator) -> None:
    done = contact(sim, "ct", AETHER_SECRETS=str(sim.directory))
    assert done.code == 40, done.err
    assert "hosts/ct.yaml does not exist. Fix: ./aether secrets init" in done.err


def test_without_the_owners_key_it_says_so_before_anything_is_sent(sim: Simulator) -> None:
    make(sim, "ct")
    done = contact(sim, "ct", SOPS_AGE_KEY_FILE="/dev/null")
    assert done.code == 41, done.err
    assert "Fix: set SOPS_AGE_KEY_FILE to a key that the file is encrypted to" in done.err
    assert not sim.answers("ct")


def test_what_the_node_refuses_is_shown_with_the_guests_number(sim: Simulator) -> None:
    done = contact(sim, "ct", AETHER_VMID="999", AETHER_GUEST="nonsense")
    assert done.code == 42, done.err
    assert "pve1 could not put the SSH host key into guest 999" in done.err
    assert "unknown kind of guest: nonsense" in done.err
