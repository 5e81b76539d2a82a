"""The simulator's NixOS stand-ins keep the contract of tests/contract/cases.py, which real machines keep in tests/lab."""

from collections.abc import Iterator

import pytest

from tests.contract.cases import CASES, Answer, Case, disagreement, system_answers
from tests.system.sim_lab import REPOSITORY, Simulator, started

TOPLEVEL = '.#nixosConfigurations."metal".config.system.build.toplevel'


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Case, Answer]]:
    for sim in started(tmp_path_factory.mktemp("contract")):
        path = sim.nix("build", "--no-link", "--print-out-paths", TOPLEVEL).out.strip()
        copied = sim.copied(path)
        assert copied.code == 0, copied.err
        running = sim.ssh("metal", "readlink -f /run/current-system").out.strip()

        def run(command: str, stdin: str, sim: Simulator = sim) -> str:
            done = sim.ssh("metal", command, stdin)
            assert done.code == 0, done.err
            return done.out

        yield system_answers(run, running, path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.program}: {case.promise}")
def test_a_standin_answers_as_the_real_program(answered: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, answered[case])), wrong


def test_the_page_has_the_table() -> None:
    page = (REPOSITORY / "docs/lab.md").read_text()
    assert not [case.promise for case in CASES if case.promise not in page]
