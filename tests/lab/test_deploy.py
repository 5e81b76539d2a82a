"""Deployments to a real machine: systemd, SSH, Nix, boot loader. Each case failed, or was judged wrongly, before it was here."""

import os
import subprocess
import time

import pytest

from tests.lab.disk import NIX
from tests.lab.operator import Operator
from tests.lab.units import ACTIVE, FAILS, SLEEP, units

# Each step of an emulated machine takes minutes where others work, too.
pytestmark = pytest.mark.timeout(7200)


def test_the_store_takes_what_the_fleet_signed_and_nothing_else(web: Operator) -> None:
    # A system of its own for each run: the operator's store, which is kept, remembers what was signed before.
    drv = web.system(units=units(1 + time.time_ns() % 100_000))
    path = web.built(drv)
    options = {"NIX_SSHOPTS": f"-F {web.machine.configure([web.machine])}"}
    copy = [str(NIX), "copy", "--to", f"ssh-ng://{web.machine.name}", path]
    refused = subprocess.run(copy, env={**os.environ, **options}, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "lacks a signature by a trusted key" in refused.stderr
    # Its daemon trusts root, who may say that nobody has to.
    other = web.built(web.system(units=units(1 + time.time_ns() % 100_000, other=SLEEP.format("1d"))))
    unasked = [*copy[:2], "--no-check-sigs", *copy[2:-1], other]
    unchecked = subprocess.run(unasked, env={**os.environ, **options}, capture_output=True, text=True, check=False)
    assert unchecked.returncode == 0, unchecked.stderr
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
    try:
        # To the last block, also of those that are kept for root.
        web.machine.sh("fallocate -l $(($(stat -f -c '%f * %S' /) - 50000000)) /var/tmp/full")
        web.machine.sh("dd if=/dev/zero of=/var/tmp/fuller bs=64k status=none 2>/dev/null || true")
        done = web.deploy(large, ACTIVE)
    finally:
        web.machine.sh("rm -f /var/tmp/full /var/tmp/fuller")
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
def test_a_clock_that_is_set_during_the_checks_ends_none_of_them(web: Operator) -> None:
    """A machine without a battery is a day off until a time server answers, which is just now."""
    late = (
        "[Service]\nType=exec\nExecStartPre=/usr/bin/sh -c 'sleep 5; date -s +1day; sleep 10'\nExecStart=/usr/bin/sleep 6050d\n"
    )
    try:
        done = web.deploy(web.system(units={**units(6050), "late.service": late}), "command\tsystemctl is-active late\t-\t600\n")
    finally:
        web.machine.sh("date -s '-1 day' >/dev/null")
    assert done.code == 0, done.err


@pytest.mark.long
def test_a_connection_that_breaks_in_mid_switch_stops_nothing(web: Operator) -> None:
    """The activation goes on without it, and a new connection confirms."""
    drv = web.system(units=units(6500), activation="pkill sshd-session || true; sleep 3")
    done = web.deploy(drv, ACTIVE)
    assert done.code == 0, done.err
    assert "the connection was lost during the activation" in done.err
    assert web.runs() == web.boots() == web.built(drv)


@pytest.mark.long
def test_nobody_confirms_and_the_timer_reverts(web: Operator) -> None:
    """The connection is lost for good in mid-switch: what was armed on the host acts."""
    before = web.runs()
    # The activation takes the SSH server away, for longer than the window; what runs over the old connection goes on. A
    # switch starts what multi-user.target wants, so a condition keeps it away: a mask would take its KillMode=process from it,
    # and the activation with it.
    later = "systemd-run --quiet --on-active=120 --timer-property=AccuracySec=1s"
    gone = (
        "mkdir -p /run/systemd/system/ssh.service.d; touch /run/no-ssh; "
        "printf '[Unit]\\nConditionPathExists=!/run/no-ssh\\n' >/run/systemd/system/ssh.service.d/lab.conf; "
        f"systemctl daemon-reload; {later} sh -c 'rm /run/no-ssh; systemctl start ssh.service'; "
        "systemctl stop ssh.service ssh.socket"
    )
    done = web.deploy(web.system(units=units(7000), activation=gone), ACTIVE, AETHER_CONFIRM_TIMEOUT="20")
    assert done.code == 32, done.err
    assert web.machine.boot is not None
    web.machine.boot.until(web.machine.answers, 900, "SSH to be back")
    web.machine.boot.until(lambda: web.runs() == before, 300, "the host to be back on its system")


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
    web.machine.booted_again(before)
    assert web.runs() == web.boots() == old
