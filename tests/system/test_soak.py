"""A wave's hosts are watched on the hosts themselves, whatever they are, by whoever logs in; who is not well ends it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from aether_sim.paths import REPO
from aether_sim.testing import SSH, Outcome, Simulator, started, wrapped_ssh
from tests.system.deployed_host import DeployedByUser

UNIT, TCP = "unit\tweb.service\t-\t5", "tcp\t8080\t-\t5"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedByUser]:
    for sim in started(tmp_path_factory.mktemp("soak")):
        made = DeployedByUser(sim)
        first = made.deploy()
        assert first.code == 0, first.err
        yield made


def soak(sim: Simulator, *lines: str, seconds: int = 1, says: Mapping[str, str] | None = None) -> Outcome:
    values = {"AETHER_HOST": "after-canary", "AETHER_SOAK": str(seconds), **(says or {})}
    return sim.script("components/rollout/scripts/soak.sh", values, text="".join(f"{line}\n" for line in lines))


def test_hosts_of_every_kind_are_watched_and_one_without_checks_answers(host: DeployedByUser) -> None:
    done = soak(
        host.sim, "metal\tnixos", f"metal\tnixos\t{UNIT}", f"metal\tnixos\t{TCP}", "kinoite\tother", "debian\tother",
        "debian\tother\tcommand\ttrue\t-\t5", seconds=3,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "watches metal kinoite debian for 3 s" in done.err and "after-canary: is healthy" in done.err


def test_without_a_soak_nobody_is_asked(host: DeployedByUser) -> None:
    assert soak(host.sim, "nobody\tnixos", seconds=0) == Outcome(0, "", "")


def test_another_host_that_is_not_well_ends_it(host: DeployedByUser) -> None:
    red = soak(host.sim, "metal\tnixos", "debian\tother", "debian\tother\tcommand\ttest -e /nothing\t-\t1", seconds=100)
    assert red.code == 31 and "debian: not healthy: command test -e /nothing" in red.err, red.err
    tolerated = soak(host.sim, "debian\tother", "debian\tother\tcommand\ttest -e /nothing\t-\t1\twarn")
    assert tolerated.code == 0 and "WARNING" in tolerated.err, tolerated.err


def test_a_host_that_is_deployed_without_root_is_watched_by_its_own_account_of_its_checks(
    host: DeployedByUser, tmp_path: Path
) -> None:
    lines = ("metal\tnixos", f"metal\tnixos\t{UNIT}", f"metal\tnixos\t{TCP}")
    assert (done := soak(host.sim, *lines, seconds=3)).code == 0, done.err
    # What the host would say of a unit that is down.
    says = wrapped_ssh(
        tmp_path / "ssh",
        f'{SSH} "$@" | sed \'s/"unhealthy": \\[\\]/"unhealthy": ["unit web.service"]/\'\nexit "${{PIPESTATUS[0]}}"',
    )
    red = soak(host.sim, *lines, says=says)
    assert red.code == 31 and "metal: not healthy: unit web.service" in red.err, red.err
    tolerated = soak(host.sim, "metal\tnixos", f"metal\tnixos\t{UNIT}\twarn", says=says)
    assert tolerated.code == 0, tolerated.err


def test_a_host_that_does_not_answer_ends_it_after_a_while(host: DeployedByUser, tmp_path: Path) -> None:
    quick = (REPO / "components/rollout/scripts/soak.sh").read_text().replace("silence=60", "silence=1")
    assert "silence=1" in quick
    gone = wrapped_ssh(
        tmp_path / "ssh", 'case "$*" in *-G*) exec ' + str(SSH) + ' "$@" ;; esac\necho "connect: No route to host" >&2\nexit 255'
    )
    lines = "debian\tother\ndebian\tother\tcommand\ttrue\t-\t1\n"
    values = {"AETHER_HOST": "after-canary", "AETHER_SOAK": "1", **gone}
    done = host.sim.script("bash", values, "-c", quick, text=lines)
    assert done.code == 12 and "debian does not answer on SSH" in done.err, done.err
