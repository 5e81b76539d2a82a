"""The power goes in every step of a deployment: the machine boots a system that was proved, and the next deployment goes through.

Each case stops the machine's own program where the power is to go, and ends QEMU there; what the machine had not written is lost.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.disk import REPOSITORY
from tests.lab.operator import SCRIPTS, Operator
from tests.lab.trials import bootable
from tests.lab.units import ACTIVE, units

# Each step of an emulated machine takes minutes where others work, too.
pytestmark = [pytest.mark.timeout(7200), pytest.mark.long]

STOP = "touch /run/stopped; sleep 7200"


@pytest.fixture(autouse=True)
def whole(web: Operator) -> Iterator[None]:
    """The machine, on, and on a system that was deployed; afterwards what was interrupted is deployed to its end."""
    if web.machine.sh("cat /var/lib/aether/deployed 2>/dev/null || true") == "":
        first = web.deploy(bootable(web, 1, "dbus"), ACTIVE)
        assert first.code == 0, first.err
    yield
    drv = bootable(web, web.systems, "dbus")
    after = web.deploy(drv, ACTIVE, AETHER_REBOOT="auto")
    assert after.code == 0, after.err
    assert web.runs() == web.boots() == web.built(drv)


def stop_at(web: Operator, program: str, script: str) -> None:
    """Until the next boot PROGRAM of the machine is SCRIPT, where $real is what it was. Nothing in /run may be executed."""
    name = Path(program).name
    text = f"#!/bin/bash\nreal=/var/lib/real/{name}\n{script}\n"
    web.machine.sh(f"mkdir -p /var/lib/real /var/lib/stop && cp {program} /var/lib/real/")
    web.machine.sh(f"printf %s {shlex.quote(text)} >/var/lib/stop/{name}")
    web.machine.sh(f"chmod +x /var/lib/stop/{name} && mount --bind /var/lib/stop/{name} $(readlink -f {program})")


@contextmanager
def deploying(web: Operator, drv: str, **more: str) -> Iterator[None]:
    """A deployment at work until the machine comes to a stop, and no longer than the block."""
    values = {**os.environ, **web.environment(drv, ACTIVE), **more}
    with (web.work / "interrupted").open("w") as log:
        running = subprocess.Popen(
            [str(SCRIPTS / "deploy.sh")], cwd=REPOSITORY, env=values, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            assert web.machine.boot is not None
            web.machine.boot.until(lambda: stopped(web, running), 900, "the step")
            yield
        finally:
            running.kill()
            running.wait()


def stopped(web: Operator, running: "subprocess.Popen[bytes]") -> bool:
    assert running.poll() is None, (web.work / "interrupted").read_text()
    return web.machine.ssh("test -e /run/stopped").returncode == 0


def cut_and_on(web: Operator) -> None:
    web.machine.cut()
    web.machine.on()


def trial(web: Operator, drv: str) -> str:
    """DRV's system on the machine, tried and healthy, and not confirmed."""
    path = web.built(drv)
    copied = web.copy(path)
    assert copied.code == 0, copied.err
    tried = web.on_host("activate.sh", web.machine.name, path, "3600", "lab", "127.0.0.1", "0", stdin=ACTIVE)
    assert (tried.returncode, tried.stdout) == (0, "pending\n"), tried.stderr
    return path


def test_while_it_is_copied(web: Operator) -> None:
    before = web.runs()
    # A third of what is to come.
    stop_at(web, "/usr/bin/nix-daemon", "{ stdbuf -o0 head -c 500000; " + STOP + '; } | exec -a nix-daemon "$real" "$@"')
    words = " ".join(os.urandom(24).hex() for _ in range(30_000))
    with deploying(web, web.system(units=units(9300), activation=f"# {words}")):
        web.machine.cut()
    web.machine.on()
    assert web.runs() == web.boots() == before


def test_while_it_is_activated(web: Operator) -> None:
    before = web.runs()
    with deploying(web, web.system(units=units(9310), activation=STOP)):
        web.machine.cut()
    web.machine.on()
    assert web.runs() == web.boots() == before


def test_while_its_health_is_proved_or_its_confirmation_awaited(web: Operator) -> None:
    before = web.runs()
    trial(web, web.system(units=units(9320)))
    cut_and_on(web)
    assert web.runs() == web.boots() == before


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
def test_while_it_is_committed(web: Operator, written: bool) -> None:
    """Before the boot entries are written it is the system before that boots; after it, the new one, which was proved."""
    before = web.runs()
    drv = bootable(web, 9330 + written, "dbus")
    path = trial(web, drv)
    stop_at(web, f"{path}/bin/install-boot-loader", ('"$real" "$@"; ' if written else "") + STOP)
    commit(web, "confirm.sh", web.machine.name, path, "lab", drv, "ask")
    assert web.boots() == path
    cut_and_on(web)
    assert web.runs() == (path if written else before)
    # Given again, it is the one that runs and boots.
    again = web.deploy(drv, ACTIVE)
    assert again.code == 0, again.err
    assert web.runs() == web.boots() == path


def test_between_the_arming_of_a_trial_and_its_boot(web: Operator) -> None:
    """The boot loader was told: it boots the trial, which nobody confirms, so it is left again."""
    before = web.runs()
    drv = bootable(web, 9340, "broker")
    tried = web.built(drv)
    stop_at(web, "/usr/bin/bootctl", '"$real" "$@"; code=$?; [ "$1" != set-oneshot ] || { ' + STOP + "; }; exit $code")
    web.machine.sh("rm -f /var/lib/booted; sync")
    with deploying(web, drv, AETHER_REBOOT="auto", AETHER_BOOT_TIMEOUT="5"):
        web.machine.cut()
    web.machine.on()
    assert web.machine.boot is not None
    web.machine.boot.until(lambda: booted(web)[-2:] == [tried, before], 1800, "the way there and back")
    assert web.runs() == web.boots() == before


def test_during_the_boot_of_a_trial(web: Operator) -> None:
    before, tried = armed(web, 9350)
    assert web.machine.boot is not None
    starts = web.machine.boot.console.count("BdsDxe: starting")
    web.machine.sh("systemctl reboot || true")
    web.machine.boot.until(lambda: console(web).count("BdsDxe: starting") > starts, 900, "the boot loader")
    # The kernel is at work, and no system yet.
    time.sleep(10)
    cut_and_on(web)
    assert web.runs() == web.boots() == before != tried


def test_while_a_trial_is_committed(web: Operator) -> None:
    before, tried = armed(web, 9360)
    boot = web.machine.boot_id()
    web.machine.sh("systemctl reboot || true")
    web.machine.booted_again(boot)
    assert web.runs() == tried
    stop_at(web, f"{tried}/bin/install-boot-loader", STOP)
    commit(web, "confirm-boot.sh", web.machine.name, tried, "127.0.0.1", "-", "0")
    cut_and_on(web)
    assert web.runs() == before


def commit(web: Operator, script: str, *arguments: str) -> None:
    """A confirmation that goes on until the machine comes to a stop."""
    text = "\n".join((SCRIPTS / name).read_text() for name in ("../../health/scripts/health.sh", "host.sh", script))
    web.machine.sh(f"setsid bash -c {shlex.quote(text)} aether {shlex.join(arguments)} >/run/commit 2>&1 </dev/null &")
    assert web.machine.boot is not None
    web.machine.boot.until(lambda: web.machine.ssh("test -e /run/stopped").returncode == 0, 900, "the commit")


def armed(web: Operator, seconds: int) -> tuple[str, str]:
    """What runs, and a system that is armed for one boot."""
    before, tried = web.runs(), web.built(bootable(web, seconds, "broker"))
    copied = web.copy(tried)
    assert copied.code == 0, copied.err
    done = web.on_host("arm-boot.sh", web.machine.name, tried, "lab", "1500", "1500")
    assert done.returncode == 0, done.stderr
    return before, tried


def console(web: Operator) -> str:
    return web.machine.boot.console if web.machine.boot else ""


def booted(web: Operator) -> list[str]:
    """Systems that were booted, in their order."""
    return web.machine.hears("cat /var/lib/booted").split()
