"""What cannot be switched to is booted once, and every other boot is of the system before."""

import pytest

from tests.lab.operator import QUICK, Operator
from tests.lab.trials import bootable
from tests.lab.units import ACTIVE, units

# Each step of an emulated machine takes minutes where others work, too.
pytestmark = pytest.mark.timeout(7200)


@pytest.mark.long
def test_one_try_of_the_boot_loader_leads_there_and_an_unhealthy_one_back(web: Operator) -> None:
    before = web.runs()
    tried = web.built(bootable(web, 9050, "broker"))
    copied = web.copy(tried)
    assert copied.code == 0, copied.err
    armed = web.on_host("arm-boot.sh", web.machine.name, tried, "lab", "1500", "1500")
    assert armed.returncode == 0, armed.stderr
    assert web.boots() == before
    boot = web.machine.boot_id()
    web.machine.sh("systemctl reboot || true")
    web.machine.booted_again(boot)
    assert web.runs() == web.machine.sh("readlink /run/booted-system") == tried
    assert web.boots() == before
    boot = web.machine.boot_id()
    judged = web.on_host("confirm-boot.sh", web.machine.name, tried, "127.0.0.1", "-", "0", stdin="tcp\t4711\t-\t1\n")
    assert judged.returncode == 31, judged.stderr
    assert f"boots back into {before}" in judged.stderr
    web.machine.booted_again(boot)
    assert web.runs() == web.boots() == before


@pytest.mark.long
def test_what_cannot_be_switched_to_is_booted_for_a_trial(web: Operator) -> None:
    drv = bootable(web, 9000, "dbus")
    assert web.deploy(drv, ACTIVE).code == 0
    before = web.runs()
    changed = bootable(web, 9100, "broker")
    refused = web.deploy(changed, ACTIVE)
    assert refused.code == 38, refused.err
    assert 'reboot = "auto"' in refused.err
    assert web.runs() == web.boots() == before
    done = web.deploy(changed, ACTIVE, AETHER_REBOOT="auto")
    assert done.code == 0, done.err
    assert web.runs() == web.boots() == web.built(changed)
    # One that does not become healthy boots back.
    sick = bootable(web, 9200, "another")
    done = web.deploy(sick, "tcp\t4711\t-\t3\n", AETHER_REBOOT="auto")
    assert done.code == 31, done.err
    web.comes_to(web.built(changed))
    assert web.boots() == web.built(changed)


@pytest.mark.long
def test_a_boot_that_nobody_confirms_is_left_again(web: Operator) -> None:
    """The operator went away after the reboot began: the unit of the booted system leads back."""
    if "aether-boot-trial" not in web.machine.sh("ls /run/current-system/etc/systemd/system"):
        assert web.deploy(bootable(web, 9300, "dbus"), ACTIVE).code == 0
    before = web.runs()
    tried = web.built(bootable(web, 9400, "dbus"))
    copied = web.copy(tried)
    assert copied.code == 0, copied.err
    armed = web.on_host("arm-boot.sh", web.machine.name, tried, "lab", "5", "1500")
    assert armed.returncode == 0, armed.stderr
    web.machine.sh("rm -f /var/lib/booted; systemctl reboot")
    assert web.machine.boot is not None
    web.machine.boot.until(
        lambda: web.machine.hears("cat /var/lib/booted").split()[-2:] == [tried, before], 1800, "two boots: there and back"
    )
    assert web.boots() == before


@pytest.mark.long
def test_a_trial_that_hangs_before_systemd_is_over_with_a_reset(web: Operator) -> None:
    """Nothing in the machine ends it; the reset, which is its node's, does (components/proxmox/scripts/reset-guest.sh)."""
    before = web.runs()
    # Its initrd is a shell that waits for somebody to type.
    tried = web.built(web.system(units=units(9600), kernelParams=[*QUICK, "rdinit=/usr/bin/sh"]))
    copied = web.copy(tried)
    assert copied.code == 0, copied.err
    armed = web.on_host("arm-boot.sh", web.machine.name, tried, "lab", "5", "5")
    assert armed.returncode == 0, armed.stderr
    boot = web.machine.boot
    assert boot is not None
    said = len(boot.console)
    web.machine.sh("systemctl reboot || true")
    boot.until(lambda: "can't access tty" in boot.console[said:], 1500, "the shell of the initrd")
    web.machine.reset()
    web.comes_to(before)
    judged = web.on_host("confirm-boot.sh", web.machine.name, tried, "127.0.0.1", "-", "0")
    assert judged.returncode == 35, judged.stderr
    assert f"came back on {before} instead of {tried}, which did not boot" in judged.stderr
    assert web.boots() == before
