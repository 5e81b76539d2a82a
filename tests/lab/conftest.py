"""The lab's base and machines; tests that need none of a running machine are not here."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab import disk, switch_to_configuration
from tests.lab.container import BRIDGE, PREFIX, ContainerNetwork, container_tools
from tests.lab.machine import Machine, ready
from tests.lab.operator import Operator
from tests.nspawn import Ground


@pytest.fixture(scope="session")
def base() -> disk.Base:
    if reason := disk.missing():
        pytest.skip(reason)
    return ready()


@pytest.fixture(scope="module")
def web(base: disk.Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Machine `web` with a blank data disk, up, and its operator."""
    machine = Machine(base, tmp_path_factory.mktemp("lab") / "web", "web", data=[1])
    try:
        machine.on()
        machine.sh("hostname web; echo web >/etc/hostname")
        yield Operator(machine, Path(machine.work))
    finally:
        machine.cut()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerNetwork]:
    """A network for containers, with the operator at its first address."""
    if reason := disk.missing():
        pytest.skip(reason)
    with Ground(BRIDGE, f"{PREFIX}1/24") as ground:
        made = ContainerNetwork(disk.base(), tmp_path_factory.mktemp("site"), container_tools(), ground)
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="module")
def nixpkgs_site(request: pytest.FixtureRequest) -> ContainerNetwork:
    """The same network, for containers whose systems have nixpkgs' own switch-to-configuration."""
    if reason := switch_to_configuration.missing():
        pytest.skip(reason)
    site: ContainerNetwork = request.getfixturevalue("site")
    return replace(site, base=replace(site.base, program=switch_to_configuration.built(site.base)))
