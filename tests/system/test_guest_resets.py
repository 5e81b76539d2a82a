"""A virtual machine that hangs in its boot is reset by its node, and its boot loader takes the system before."""

import re
from collections.abc import Iterator

import pytest

from tests.system.checkout import Checkout, Result
from tests.system.small import deployed

INVENTORY = "inventory/homelab.toml"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The small fleet, deployed."""
    yield from deployed(tmp_path_factory.mktemp("resets"))


def deployed_again(checkout: Checkout) -> tuple[str, str]:
    """What host web ran, and what it runs since another deployment."""
    first = checkout.system("web")
    checkout.touch("web", f"after {first}")
    up = checkout.up()
    assert up.code == 0, up.text
    second = checkout.system("web")
    assert first != second
    return first, second


def trial_boot(checkout: Checkout, closure: str) -> Result:
    """Host web boots CLOSURE, which it has, for a trial."""
    environment = {
        "AETHER_HOST": "web", "AETHER_HOSTNAME": "web", "AETHER_SSH_CONFIG": ".aether/ssh/sim/config", "AETHER_CHECKS": "",
        "AETHER_SETTLE": "0", "AETHER_DESIRED": "-", "AETHER_REBOOT": "auto", "AETHER_BOOT_TIMEOUT": "10",
    }  # fmt: skip
    return checkout.run("components/nixos/scripts/boot-trial.sh", closure, "a test", env=environment)


@pytest.mark.fault
def test_a_guest_that_hangs_in_a_trial_boot_is_reset_by_its_node_and_boots_the_system_before(fleet: Checkout) -> None:
    first, before = deployed_again(fleet)
    fleet.fault("web", "boot-hangs")
    hung = trial_boot(fleet, first)
    fleet.clear_faults()
    assert hung.code == 35, hung.text
    assert "guest 110: shows no sign of life, so it is reset" in hung.text
    assert hung.text.count("its node reset it") == 1, "the boot loader tries it once"
    assert f"came back on {before} instead of {first}, which did not boot" in hung.text
    assert fleet.system("web") == before
    assert fleet.ssh("web", "readlink -f /nix/var/nix/profiles/system").text.strip() == before


@pytest.mark.fault
def test_a_guest_whose_agent_answers_is_not_reset(fleet: Checkout) -> None:
    first, _ = deployed_again(fleet)
    fleet.fault("web", "ssh-lost")
    lost = trial_boot(fleet, first)
    booted = fleet.ssh("pve1", "qm guest exec 110 -- readlink /run/booted-system").text
    fleet.clear_faults()
    assert lost.code == 34, lost.text
    assert "guest 110: its agent answers, so it is not reset" in lost.text
    assert first in booted
    assert fleet.ops("reboot", "web").code == 35, "it was booted for a trial, which is over"


@pytest.mark.fault
def test_a_new_kernel_that_hangs_is_reset_until_its_tries_are_used_up(fleet: Checkout) -> None:
    before = fleet.system("web")
    fleet.replace(INVENTORY, "[hosts.web]\n", '[hosts.web]\nreboot = "auto"\n')
    path = fleet.path / "nix/hosts/pve1/web.nix"
    path.write_text(path.read_text().replace("{ }", '{\n  boot.kernelParams = [ "other" ];\n}'))
    fleet.fault("web", "boot-hangs")
    fleet.environment["AETHER_BOOT_TIMEOUT"] = "10"
    hung = fleet.up()
    del fleet.environment["AETHER_BOOT_TIMEOUT"]
    fleet.clear_faults()
    assert hung.code != 0
    assert hung.text.count("its node reset it") == 3, hung.text
    assert re.search(r"web: came back on \S+ instead of \S+: the boot loader fell back", hung.text), hung.text
    assert fleet.system("web") == before
    assert fleet.up().code == 0
