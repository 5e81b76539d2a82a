"""Deployments to a real machine: systemd, SSH, Nix, boot loader. Each case failed, or was judged wrongly, before it was here."""

import os
import subprocess
import time

import pytest

from tests.lab.disk import NIX, REPOSITORY
from tests.lab.operator import SCRIPTS, Operator

SLEEP = "[Unit]\nDescription=lab\n[Service]\nExecStart=/usr/bin/sleep {}\n"
FAILS = "[Unit]\nDescription=fails\n[Service]\nType=oneshot\nRemainAfterExit=true\nExecStart=/usr/bin/false\n"
# What nix/modules/boot.nix makes of boot-trial.sh.
TRIAL = (
    "[Unit]\nDescription=trial\nConditionPathExists=/var/lib/aether/boot-trial\n"
    "[Service]\nType=exec\nExecStart=/usr/bin/bash /run/boot-trial.sh /var/lib/aether/boot-trial\n"
)
TRIAL_SCRIPT = (REPOSITORY / "nix/modules/boot-trial.sh").read_text()
ACTIVE = "unit\tweb.service\t-\t60\n"


def units(seconds: int = 1000, **more: str) -> dict[str, str]:
    return {"web.service": SLEEP.format(f"{seconds}d"), **{f"{name}.service": text for name, text in more.items()}}


def bootable(web: Operator, seconds: int, dbus: str) -> str:
    """One with the unit that ends trial boots, which notes each boot; from one with another DBUS it cannot be switched to."""
    notes = f"cat >/run/boot-trial.sh <<'SCRIPT'\n{TRIAL_SCRIPT}SCRIPT\nreadlink /run/booted-system >>/var/lib/booted"
    more = units(seconds, **{"aether-boot-trial": TRIAL})
    return web.system(units=more, inhibitors={"dbus-implementation": dbus}, activation=notes)


def test_the_store_takes_what_the_fleet_signed_and_nothing_else(web: Operator) -> None:
    # A system of its own for each run: the operator's store, which is kept, remembers what was signed before.
    drv = web.system(units=units(1 + time.time_ns() % 100_000))
    path = web.built(drv)
    options = {"NIX_SSHOPTS": f"-F {web.machine.configure([web.machine])}"}
    copy = [str(NIX), "copy", "--to", f"ssh-ng://{web.machine.name}", path]
    refused = subprocess.run(copy, env={**os.environ, **options}, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "lacks a signature by a trusted key" in refused.stderr
    done = web.deploy(drv, ACTIVE)
    assert done.code == 0, done.err
    assert web.runs() == web.boots() == path


@pytest.mark.long
def test_a_unit_that_the_switch_broke_reverts_it_and_is_named(web: Operator) -> None:
    before = web.runs()
    done = web.deploy(web.system(units=units(bad=FAILS)), ACTIVE)
    assert done.code == 30, done.err
    assert "this switch broke bad.service" in done.err
    assert web.runs() == web.boots() == before


@pytest.mark.long
def test_a_unit_that_may_fail_or_failed_before_does_not(web: Operator) -> None:
    done = web.deploy(web.system(units=units(bad=FAILS)), ACTIVE, AETHER_MAY_FAIL="other.service ba*.service")
    assert done.code == 0, done.err
    assert "may fail, and do: bad.service" in done.err
    done = web.deploy(web.system(units=units(bad=FAILS)), ACTIVE)
    assert done.code == 0, done.err
    assert "had failed before, and still do: bad.service" in done.err


@pytest.mark.long
def test_a_system_that_is_not_healthy_goes_back(web: Operator) -> None:
    before = web.runs()
    done = web.deploy(web.system(units=units(2000)), "tcp\t4711\t-\t3\n")
    assert done.code == 31, done.err
    assert web.runs() == web.boots() == before
    assert web.machine.sh("systemctl is-active web.service") == "active"


@pytest.mark.long
def test_what_was_deployed_is_known_and_a_rollback_leads_back(web: Operator) -> None:
    first = web.deploy(web.system(units=units(3000)), ACTIVE)
    assert first.code == 0, first.err
    before = web.runs()
    assert web.deploy(web.system(units=units(4000)), ACTIVE).code == 0
    back = web.deploy("-", ACTIVE, script="rollback.sh")
    assert back.code == 0, back.err
    assert web.runs() == web.boots() == before


@pytest.mark.long
def test_a_full_disk_fails_the_copy_and_leaves_the_host_alone(web: Operator) -> None:
    before = web.runs()
    large = web.system(units=units(5000), activation="# " + "x" * 1_500_000)
    web.machine.sh("fallocate -l $(($(df --output=avail -B1 / | tail -n 1) - 500000)) /var/tmp/full")
    try:
        done = web.deploy(large, ACTIVE)
    finally:
        web.machine.sh("rm /var/tmp/full")
    assert done.code == 11, done.err
    assert web.runs() == before


@pytest.mark.long
def test_the_clock_may_be_a_day_off(web: Operator) -> None:
    web.machine.sh("date -s '+1 day' >/dev/null")
    try:
        done = web.deploy(web.system(units=units(6000)), ACTIVE)
    finally:
        web.machine.sh("date -s '-1 day' >/dev/null")
    assert done.code == 0, done.err


@pytest.mark.long
def test_nobody_confirms_and_the_timer_reverts(web: Operator) -> None:
    """The connection is lost for good in mid-switch: what was armed on the host acts."""
    before = web.runs()
    # The activation takes the SSH server away, for longer than the window.
    gone = "systemd-run --quiet --on-active=45 systemctl start ssh.service; systemctl stop ssh.service ssh.socket"
    done = web.deploy(web.system(units=units(7000), activation=gone), ACTIVE, AETHER_CONFIRM_TIMEOUT="20")
    assert done.code == 32, done.err
    assert web.machine.boot is not None
    web.machine.boot.until(web.machine.answers, 300, "SSH to be back")
    web.machine.boot.until(lambda: web.runs() == before, 120, "the host to be back on its system")


@pytest.mark.long
def test_a_way_back_that_fails_ends_in_the_old_boot_entry(web: Operator) -> None:
    drv = web.system(units=units(8000))
    assert web.deploy(drv, ACTIVE).code == 0
    old = web.runs()
    # Until the next boot: its switch-to-configuration is an empty file.
    web.machine.sh(f"mount --bind /dev/null {old}/bin/switch-to-configuration")
    before = web.machine.boot_id()
    done = web.deploy(web.system(units=units(bad=FAILS)), ACTIVE)
    assert done.code == 37, done.err
    web.machine.booted_anew(before)
    assert web.runs() == web.boots() == old


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
    now = web.machine.boot_id()
    done = web.deploy(sick, "tcp\t4711\t-\t3\n", AETHER_REBOOT="auto")
    assert done.code == 31, done.err
    web.machine.booted_anew(now, 900)
    assert web.machine.boot is not None
    web.machine.boot.until(lambda: web.runs() == web.built(changed), 900, "the system before")
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
    armed = web.on_host("arm-boot.sh", web.machine.name, tried, "lab", "5")
    assert armed.returncode == 0, armed.stderr
    web.machine.sh("rm -f /var/lib/booted; systemctl reboot")
    assert web.machine.boot is not None
    web.machine.boot.until(
        lambda: web.machine.ssh("cat /var/lib/booted").stdout.split()[-2:] == [tried, before], 1200, "two boots: there and back"
    )
    assert web.boots() == before


@pytest.mark.long
def test_a_power_cut_during_the_trial_leads_back(web: Operator) -> None:
    before = web.boots()
    cut = web.system(units=units(9300), activation="touch /run/in-activation; sleep 600")
    values = {**os.environ, **web.environment(cut, ACTIVE)}
    running = subprocess.Popen(
        [str(SCRIPTS / "deploy.sh")], cwd=REPOSITORY, env=values, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        assert web.machine.boot is not None
        web.machine.boot.until(lambda: web.machine.ssh("test -e /run/in-activation").returncode == 0, 300, "the activation")
        web.machine.cut()
    finally:
        running.kill()
        running.wait()
    web.machine.on()
    assert web.runs() == web.boots() == before
