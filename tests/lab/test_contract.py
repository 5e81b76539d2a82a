"""A real machine keeps the contract that the simulator's stand-ins are held to in the gate (tests/contract)."""

import pytest

from tests.contract.cases import CASES, Answer, Case, answers, disagreement
from tests.lab.operator import Operator
from tests.lab.test_deploy import units

# Each step of an emulated machine takes minutes where others work, too.
pytestmark = pytest.mark.timeout(7200)


@pytest.fixture(scope="module")
def answered(web: Operator) -> dict[Case, Answer]:
    path = web.built(web.system(units=units(9900), tries=3))
    copied = web.copy(path)
    assert copied.code == 0, copied.err

    def run(command: str, stdin: str) -> str:
        done = web.machine.ssh(command, stdin, timeout=1800)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return answers(run, web.runs(), path)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.program}: {case.promise}")
def test_a_real_machine_answers_as_the_table_says(answered: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, answered[case])), wrong
