"""The product's own deployment with nixpkgs' own switch-to-configuration, in a container with a real systemd, SSH and Nix."""

from pathlib import Path

import pytest

from tests.lab import switch_to_configuration
from tests.lab.container import ContainerNetwork
from tests.lab.operator import Operator
from tests.lab.units import ACTIVE, FAILS, units

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def host(nixpkgs_site: ContainerNetwork) -> Operator:
    made = nixpkgs_site.container("web", 13)
    made.install(nixpkgs_site.base.system(name="web", units=units(), tries=3))
    return made.start().operator()


def test_a_trial_is_confirmed_and_a_switch_that_breaks_a_unit_is_taken_back(host: Operator) -> None:
    assert "switch-to-configuration-wrapped" in host.machine.sh("ls -A /run/current-system/bin")
    first = host.system(units=units(2000))
    done = host.deploy(first, ACTIVE)
    assert done.code == 0, done.err
    assert host.runs() == host.boots() == host.built(first)
    log = host.machine.sh("cat /run/aether/activation.log")
    assert "restarting sysinit-reactivation.target" in log, "that was not nixpkgs' program"
    assert "starting the following units: web.service" in log

    broken = host.deploy(host.system(units=units(3000, bad=FAILS)), ACTIVE)
    assert broken.code == 30, broken.err
    assert "this switch broke bad.service" in broken.err
    assert host.runs() == host.boots() == host.built(first)
    assert host.machine.sh("systemctl is-active web.service; systemctl show --property=ExecStart web.service").count("2000d") == 1

    excused = host.deploy(host.system(units=units(4000, bad=FAILS)), ACTIVE, AETHER_MAY_FAIL="bad.service")
    assert excused.code == 0, excused.err
    assert "may fail, and do: bad.service" in excused.err
    back = host.deploy("-", ACTIVE, script="rollback.sh")
    assert back.code == 0, back.err
    assert host.runs() == host.boots() == host.built(first)


def test_where_it_cannot_be_built_the_reason_is_told(tmp_path: Path) -> None:
    assert "NIXTREES is not set" in switch_to_configuration.missing({})
    trees = {"NIXTREES": str(tmp_path), "PATH": str(tmp_path)}
    assert f"NIXTREES has no {switch_to_configuration.PACKAGE}" in switch_to_configuration.missing(trees)
    (tmp_path / switch_to_configuration.PACKAGE).mkdir(parents=True)
    assert "cargo is not installed" in switch_to_configuration.missing(trees)
    cargo, pkg_config = tmp_path / "cargo", tmp_path / "pkg-config"
    cargo.write_text("#!/bin/sh\n")
    cargo.chmod(0o755)
    assert "apt install pkg-config libdbus-1-dev" in switch_to_configuration.missing(trees)
    pkg_config.write_text("#!/bin/sh\nexit 1\n")
    pkg_config.chmod(0o755)
    assert "apt install pkg-config libdbus-1-dev" in switch_to_configuration.missing(trees)
    pkg_config.write_text('#!/bin/sh\n[ "$*" = "--exists dbus-1" ]\n')
    assert switch_to_configuration.missing(trees) == ""
