"""The simulator's fakes keep the contract of this folder, which real programs keep in tests/lab."""

from collections.abc import Callable, Iterator

import pytest

from aether_sim.paths import REPO
from aether_sim.testing import Api, Simulator, started, wait_until
from tests.contract.backups import BACKUP_CASES
from tests.contract.cases import CASES, PROFILE, Answer, Case, answers, disagreement, named, system_answers
from tests.contract.first_boot import FIRST_BOOT_CASES, user_data
from tests.contract.node import NODE_CASES
from tests.contract.ssh import SSH_CASES, ssh_answers

TOPLEVEL = '.#nixosConfigurations."metal".config.system.build.toplevel'


def asking(sim: Simulator, host: str) -> Callable[[str, str], str]:
    def run(command: str, stdin: str) -> str:
        done = sim.ssh(host, command, stdin)
        assert done.code == 0, done.err
        return done.out

    return run


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    yield from started(tmp_path_factory.mktemp("contract"))


def built(sim: Simulator) -> str:
    """Path of the system that `metal`'s sources are, in its store."""
    path = sim.nix("build", "--no-link", "--print-out-paths", TOPLEVEL).out.strip()
    copied = sim.copied(path)
    assert copied.code == 0, copied.err
    return path


@pytest.fixture(scope="module")
def system(sim: Simulator) -> dict[Case, Answer]:
    """Of `metal`, which runs a system of its own, and has another one whose web.service differs."""
    runs = built(sim)
    switched = sim.ssh("metal", f"nix-env -p {PROFILE} --set {runs} && {runs}/bin/switch-to-configuration switch")
    assert switched.code == 0, switched.err
    text = sim.inventory.read_text()
    sim.inventory.write_text(text.replace('kind = "nixos-metal"\n', 'kind = "nixos-metal"\ndescription = "another"\n'))
    return system_answers(asking(sim, "metal"), runs, built(sim))


@pytest.fixture(scope="module")
def node(sim: Simulator) -> dict[Case, Answer]:
    api = Api(sim)
    assert api.create_vm() == api.create_ct() == "OK"
    assert api.create_ct("off", 102, "192.168.10.12", start=0) == api.create_vm("voff", 103, "192.168.10.13", start=0) == "OK"
    wait_until("they boot", lambda: all(sim.status()["hosts"][name]["state"] == "up" for name in ("vm", "ct")))
    return answers(asking(sim, "pve1"), NODE_CASES, {"vm": "100", "ct": "101", "off": "102", "voff": "103"})


@pytest.fixture(scope="module")
def backups(sim: Simulator, node: dict[Case, Answer]) -> dict[Case, Answer]:
    """Of the node, after its cases."""
    del node
    return answers(asking(sim, "pve1"), BACKUP_CASES, {"vm": "100", "ct": "101", "copy": "9000"})


@pytest.fixture(scope="module")
def server(sim: Simulator, tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Answer]:
    return ssh_answers(sim.config, "metal", tmp_path_factory.mktemp("ssh"))


@pytest.fixture(scope="module")
def born(sim: Simulator, backups: dict[Case, Answer]) -> dict[Case, Answer]:
    """Of the guest `vm`, which is made again after the node's cases."""
    del backups
    private, api = (sim.state / "keys/hosts/vm").read_text(), Api(sim)
    assert api.destroy(100) == "OK"
    owner = (sim.state / "keys/operator.pub").read_text().strip()
    sim.ssh("pve1", "cat > /var/lib/vz/snippets/born.yaml", user_data(private, owner))
    assert sim.ssh("pve1", "pvesm set local --content iso,vztmpl,backup,snippets").code == 0
    assert api.create_vm(cicustom="user=local:snippets/born.yaml") == "OK"
    wait_until("it boots", lambda: sim.answers("vm"))
    wait_until("its commands are run", lambda: sim.ssh("vm", "ls /root/ran-words").code == 0)
    key = sim.endpoints()["vm"]["hostKey"].split()[1]
    return answers(asking(sim, "vm"), FIRST_BOOT_CASES, {"key": key, "owner": owner.split()[1]})


@pytest.mark.parametrize("case", FIRST_BOOT_CASES, ids=named)
def test_a_simulated_first_boot_is_as_cloud_inits(born: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, born[case])), wrong


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_fake_answers_as_the_real_program(system: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, system[case])), wrong


@pytest.mark.parametrize("case", NODE_CASES, ids=named)
def test_a_simulated_node_answers_as_the_real_one(node: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, node[case])), wrong


@pytest.mark.parametrize("case", BACKUP_CASES, ids=named)
def test_a_simulated_node_backs_up_and_restores_as_the_real_one(backups: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, backups[case])), wrong


@pytest.mark.parametrize("case", SSH_CASES, ids=named)
def test_a_simulated_ssh_server_answers_as_openssh(server: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, server[case])), wrong


def test_the_page_has_the_table() -> None:
    page = (REPO / "docs/lab.md").read_text()
    assert not [
        case.promise for case in (*CASES, *NODE_CASES, *BACKUP_CASES, *SSH_CASES, *FIRST_BOOT_CASES) if case.promise not in page
    ]
