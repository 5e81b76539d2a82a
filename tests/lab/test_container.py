"""Containers of the lab side by side, and their end."""

import time
from pathlib import Path

from tests import nspawn
from tests.lab.container import ContainerNetwork


def test_each_has_control_groups_of_its_own_and_none_survives_its_end(site: ContainerNetwork) -> None:
    made = [site.container(name, last) for name, last in (("one", 31), ("two", 32))]
    groups, leaders = set(), []
    for container in made:
        container.start(init="/usr/lib/systemd/systemd")
        assert container._process is not None
        first = nspawn.leader(container._process.pid)
        assert first is not None
        leaders.append(first)
        groups.add(Path(f"/proc/{first}/cgroup").read_text().splitlines()[-1])
    assert len(groups) == len(made)
    # Before it could shut down in order: that its nspawn is gone must not be all.
    assert made[0]._process is not None
    nspawn.end(made[0]._process, seconds=0)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{leaders[0]}").exists():
        assert time.monotonic() < deadline
    assert made[1].answers()
