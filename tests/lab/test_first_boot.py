"""The real cloud-init with a seed as Proxmox' (NoCloud) in a container, reached by the keys and the address that it gave."""

import os
import stat
from collections.abc import Iterator

import pytest

from tests.contract.cases import Answer, Case, answers, disagreement, named
from tests.contract.first_boot import FIRST_BOOT_CASES, user_data
from tests.lab.container import Container, ContainerNetwork
from tests.lab.node import made_key, public

SEED = "/var/lib/cloud/seed/nocloud"
# As PVE::QemuServer::Cloudinit writes it, but for the hardware address: a container's is made up at its start.
NETWORK = """\
version: 1
config:
    - type: physical
      name: host0
      subnets:
      - type: static
        address: '{address}'
        netmask: '255.255.255.0'
        gateway: '10.77.0.1'
    - type: nameserver
      address:
      - '10.77.0.1'
"""
_UNITS = ("cloud-init-local", "cloud-init-main", "cloud-init-network", "cloud-config", "cloud-final")


@pytest.fixture(scope="module")
def born(site: ContainerNetwork) -> Iterator[Container]:
    made = site.container("image", 12)
    # Its address comes from the seed alone.
    (made.own / "etc/systemd/network/70-lab.network").unlink()
    # Whom it lets in, too: the lab's root lets the operator in. To an overlay this is a file that is not there.
    (made.own / "root/.ssh").mkdir(parents=True, mode=0o700)
    os.mknod(made.own / "root/.ssh/authorized_keys", stat.S_IFCHR, os.makedev(0, 0))
    for unit in _UNITS:
        (made.own / f"etc/systemd/system/{unit}.service").unlink()
    made_key(made.work / "given")
    made.host_key = public(made.work / "given")
    owner = (site.base.root / "operator.pub").read_text().strip()
    made.write(f"{SEED}/user-data", user_data((made.work / "given").read_text(), owner))
    made.write(f"{SEED}/meta-data", "instance-id: contract\n")
    made.write(f"{SEED}/network-config", NETWORK.format(address=made.address))
    # As NixOS has it (services.cloud-init.network.enable).
    made.write(
        "/etc/cloud/cloud.cfg.d/90-lab.cfg", "datasource_list: [NoCloud]\nsystem_info: {network: {renderers: [networkd]}}\n"
    )
    yield made.start(init="/usr/lib/systemd/systemd")


@pytest.fixture(scope="module")
def answered(born: Container) -> dict[Case, Answer]:
    def run(command: str, stdin: str) -> str:
        done = born.ssh(command, stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    born.sh("cloud-init status --wait || [ $? = 2 ]")
    given = {"key": born.host_key.split()[1], "owner": (born.base.root / "operator.pub").read_text().split()[1]}
    return answers(run, FIRST_BOOT_CASES, given)


@pytest.mark.parametrize("case", FIRST_BOOT_CASES, ids=named)
def test_the_real_cloud_init_does_as_the_table_says(answered: dict[Case, Answer], case: Case) -> None:
    assert not (wrong := disagreement(case, answered[case])), wrong


def test_its_network_file_is_the_one_that_a_deployment_takes_away(born: Container) -> None:
    """nix/modules/network.nix names it, for it would sort before a host's own."""
    assert born.address in born.sh("cat /etc/systemd/network/10-cloud-init-*.network")
