"""Builders of the inventory with real Nix and OpenSSH: what they build, their pinned keys, and one that dies in mid-build."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory.building import Builder
from stacks.ssh import Access, machine
from tests.lab import disk
from tests.lab.container import Container, ContainerNetwork
from tests.lab.disk import REPOSITORY, nix
from tests.lab.operator import Operator
from tests.lab.units import ACTIVE, units

pytestmark = pytest.mark.timeout(1800)

# Nothing is built here; the lab's Nix has no hook otherwise.
REMOTE = f"max-jobs = 0\nbuild-hook = {disk.CACHE.parent}/debian-nix/run usr/bin/nix __build-remote\nconnect-timeout = 5\n"
BUILD = """\
set -euo pipefail
source components/scripts/operator.sh
source components/nixos/scripts/building.sh
open_connection "$AETHER_HOST" 20
build_here "$1"
"""


@pytest.fixture(scope="module")
def builders(site: ContainerNetwork) -> Iterator[list[Container]]:
    """Two machines that build, started."""
    made = [site.container(name, last) for name, last in (("forge", 71), ("anvil", 72))]
    for each in made:
        each.install(site.base.system(name=each.name, units=units()))
        # Debian's has neither Nix's users nor, in a container, what its sandbox is made of.
        each.write("/root/.config/nix/nix.conf", "build-users-group =\nsandbox = false\n")
        each.start()
    yield made


@pytest.fixture(scope="module")
def host(site: ContainerNetwork, builders: list[Container]) -> Operator:
    """A host that is deployed to; the operator builds nothing, and knows both builders."""
    made = site.container("web", 73)
    made.install(site.base.system(name="web", units=units()))
    operator = made.start().operator()
    offers(operator, builders)
    return operator


def offers(operator: Operator, builders: list[Container], key: str = "", **features: str) -> None:
    lines = [
        machine(
            Access(each.address, 22, "root", key or each.base.host_key),
            Builder(features=(features[each.name],) if each.name in features else (), speed=2 if each.name == "forge" else 1),
            "x86_64-linux",
        )
        for each in builders
    ]
    (operator.work / "builders").write_text("".join(lines))


def derivation(host: Operator, seconds: int, wants: str = "") -> str:
    """Something to build that takes a while, and was never built before."""
    parts = host.machine.base.parts["tools"]
    expression = f"""
      let tools = derivation {{ name = "tools"; system = "x86_64-linux"; builder = "/in-the-store-already";
            outputHashMode = "recursive"; outputHash = "{parts}"; }};
      in (derivation {{ name = "slow"; system = "x86_64-linux"; builder = "${{tools}}/bin/sh";
            requiredSystemFeatures = [ {wants} ];
            args = [ "-c" "${{tools}}/bin/busybox sleep {seconds}; echo {time.time_ns()} > $out" ]; }}).drvPath
    """
    return nix("eval", "--impure", "--raw", "--expr", expression)


def start(host: Operator, drv: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, **host.environment(drv, ""), "NIX_CONFIG": REMOTE}
    return subprocess.Popen(
        ["bash", "-c", BUILD, "build", f"{drv}^out"],
        cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_what_builders_build_is_deployed(host: Operator) -> None:
    drv = host.system(units=units(1 + time.time_ns() % 1_000_000))
    done = host.deploy(drv, ACTIVE, NIX_CONFIG=REMOTE)
    assert done.code == 0, done.err
    assert host.runs() == host.boots() == host.built(drv)


def test_a_feature_decides_who_builds(host: Operator, builders: list[Container]) -> None:
    offers(host, builders, anvil="big-parallel")
    process = start(host, derivation(host, 1, '"big-parallel"'))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert builders[1].ssh(f"test -e {out.strip()}").returncode == 0 and builders[0].ssh(f"test -e {out.strip()}").returncode == 1
    nobody = start(host, derivation(host, 1, '"kvm"'))
    _, err = nobody.communicate(timeout=300)
    assert nobody.returncode == 10 and "remote machines may not have all required system features" in err, err
    offers(host, builders)


def test_a_builder_with_another_host_key_is_given_nothing(host: Operator, builders: list[Container]) -> None:
    stranger = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBZtKMykG7fawfk0K3z8IgsZ0Y3VhiLbt0QHJBsO+/yG"
    offers(host, builders, key=stranger)
    process = start(host, derivation(host, 1))
    _, err = process.communicate(timeout=300)
    assert process.returncode == 10, err
    offers(host, builders)


def test_a_build_whose_builder_dies_ends_on_the_other(host: Operator, builders: list[Container]) -> None:
    forge, anvil = builders
    process = start(host, derivation(host, 20))
    forge.eventually(lambda: "sleep 20" in forge.ssh("ps -eo args").stdout, "builds", 120)
    forge.stop()
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert "a builder was lost in mid-build" in err, err
    assert anvil.ssh(f"test -e {out.strip()}").returncode == 0
    assert Path(out.strip()).name.endswith("-slow")


def test_when_no_builder_is_left_it_says_so(host: Operator, builders: list[Container]) -> None:
    builders[1].stop()
    process = start(host, derivation(host, 1))
    _, err = process.communicate(timeout=600)
    assert process.returncode == 10 and "FAILED: the build failed" in err, err
