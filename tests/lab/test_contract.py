"""Real programs keep the contract that the simulator's fakes are held to in the gate (tests/contract).

In the gate a container answers, with systemd, Nix and OpenSSH; with --all also a machine, with firmware and a boot loader.
"""

from collections.abc import Callable

import pytest

from tests.contract.cases import CASES, Answer, Case, disagreement, named, system_answers
from tests.contract.ssh import SSH_CASES, ssh_answers
from tests.lab.container import Container, ContainerNetwork
from tests.lab.operator import Operator
from tests.lab.units import ACTIVE, units

# Each step of an emulated machine takes minutes where others work, too.
pytestmark = pytest.mark.timeout(7200)
IN_A_CONTAINER = [case for case in CASES if not case.firmware]
# The generations that a boot writes entries of are made by nix-env's.
OF_SWITCHES = [case for case in CASES if case.program in ("nix-env", "switch-to-configuration")]


def copied(operator: Operator) -> str:
    """Path of a system that the host has in its store, and never ran."""
    path = operator.built(operator.system(units=units(9900), tries=3))
    done = operator.copy(path)
    assert done.code == 0, done.err
    return path


def asking(operator: Operator) -> Callable[[str, str], str]:
    def run(command: str, stdin: str) -> str:
        done = operator.machine.ssh(command, stdin, timeout=1800)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def container(site: ContainerNetwork) -> Container:
    made = site.container("web", 11)
    made.install(site.base.system(name="web", units=units(), tries=3))
    # As a NixOS host has it: nix/modules/security.nix.
    made.write("/etc/ssh/sshd_config.d/host.conf", "MaxAuthTries 3\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n")
    return made.start()


@pytest.fixture(scope="module")
def container_answered(container: Container) -> dict[Case, Answer]:
    operator = container.operator()
    return system_answers(asking(operator), operator.runs(), copied(operator), IN_A_CONTAINER)


@pytest.mark.parametrize("case", IN_A_CONTAINER, ids=named)
def test_a_real_system_answers_as_the_table_says(container_answered: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, container_answered[case])), wrong


def test_nixpkgs_program_answers_as_the_table_says(nixpkgs_site: ContainerNetwork) -> None:
    made = nixpkgs_site.container("real", 12)
    made.install(nixpkgs_site.base.system(name="real", units=units(), tries=3))
    operator = made.start().operator()
    answered = system_answers(asking(operator), operator.runs(), copied(operator), OF_SWITCHES)
    assert "sysinit-reactivation.target" in "".join(answer.said for answer in answered.values()), "nixpkgs' program was not asked"
    wrong = [disagreement(case, answer) for case, answer in answered.items()]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.fixture(scope="module")
def server_answered(container: Container, tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Answer]:
    return ssh_answers(container.configure([container]), container.name, tmp_path_factory.mktemp("ssh"))


@pytest.mark.parametrize("case", SSH_CASES, ids=named)
def test_a_real_ssh_server_answers_as_the_table_says(server_answered: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, server_answered[case])), wrong


@pytest.fixture(scope="module")
def answered(web: Operator) -> dict[Case, Answer]:
    # The cases change the units of what runs.
    first = web.deploy(web.system(units=units()), ACTIVE)
    assert first.code == 0, first.err
    return system_answers(asking(web), web.runs(), copied(web))


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_real_machine_answers_as_the_table_says(answered: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, answered[case])), wrong
