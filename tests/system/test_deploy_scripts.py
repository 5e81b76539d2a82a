"""The activation protocol's scripts by themselves: deploy.sh and rollback.sh against a real SSH server, without the engine."""

import getpass
import json
import platform
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aether_sim.testing import SSH, started, wait_until, wrapped_ssh
from components.health.checks import check_lines
from inventory.models import TcpCheck, UnitCheck
from tests.system.deployed_host import CHECKS, PROFILE, Host


@pytest.fixture(scope="module")
def module_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    for sim in started(tmp_path_factory.mktemp("deploy")):
        host = Host(sim)
        first = host.deploy()
        assert first.code == 0, first.err
        yield host


@pytest.fixture
def host(module_host: Host) -> Iterator[Host]:
    """The host, deployed, healthy and without faults. A test that leaves it otherwise is mended by a deployment."""
    yield module_host
    module_host.sim.cli("fault", "--clear")
    wait_until("the host answers", lambda: module_host.sim.answers("metal"), 30)
    wait_until("nothing is pending", lambda: not module_host.armed(), 30)
    mended = module_host.deploy()
    assert mended.code == 0, mended.err


def test_a_deployment_is_committed_and_recorded_and_the_next_one_finds_it(host: Host) -> None:
    done = host.deploy()
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert host.state() == (result["closure"], result["closure"], f"source:{host.systems} {result['closure']}")
    assert (result["generation"], result["reboot"]) == (int(host.says(f"readlink {PROFILE}").split("-")[1]), False)
    assert not host.armed()
    assert host.says("ls /run/aether | grep -E 'pending|revert|checks' || true") == ""
    again = host.deploy(new=False)
    assert again.code == 0, again.err
    assert "runs it already, healthy" in again.err
    assert json.loads(again.out) == result


def test_the_host_keeps_an_account_of_its_deployments(host: Host) -> None:
    """Who, from where, which commit, and how it ended: also where it went back, which nobody may have seen."""

    def account() -> list[dict[str, Any]]:
        return [json.loads(line) for line in host.says("cat /var/lib/aether/deployments.jsonl").splitlines()]

    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    before = account()
    good = host.deploy()
    assert good.code == 0, good.err
    host.sim.fault("metal", "health")
    bad = host.deploy()
    # The switch saw it, or the health check did.
    assert bad.code in (30, 31), bad.err
    host.sim.fault("metal", "health", off=True)
    back = host.deploy(script="rollback.sh", new=False)
    assert back.code == 0, back.err
    told = account()[len(before) :]
    assert [line["outcome"] for line in told] == ["deployed", "reverted", "rolled back"]
    me = f"{getpass.getuser()}@{platform.node()}"
    assert (told[0]["closure"], told[0]["id"].rsplit(":", 1)[0]) == (json.loads(good.out)["closure"], me)
    assert told[0]["revision"].removesuffix("+") == commit and told[0]["from"].startswith("127.")
    assert told[1]["closure"] != told[0]["closure"] and told[1]["id"].startswith(f"{me}:")
    assert told[2]["id"].startswith(f"rollback-{me}-")
    # A confirmation whose connection was lost is given again, and is one line.
    again = host.on_host("confirm.sh", "metal", host.state()[0], "gone@elsewhere:1", "source:x", "ask", commit)
    again = host.on_host("confirm.sh", "metal", host.state()[0], "gone@elsewhere:1", "source:x", "ask", commit)
    assert again.code == 0, again.err
    assert [line["id"] for line in account()[len(before) + len(told) :]] == ["gone@elsewhere:1"]


def test_a_host_says_how_it_is(host: Host) -> None:
    """status.sh: what holds and what does not, asked once; certificates and the last backup by their time."""
    address = host.sim.endpoints()["metal"]["address"]
    host.says("mkdir -p /var/lib/acme/{old,new} /var/lib/node-exporter-text; touch /var/lib/acme/new/cert.pem")
    host.says("touch -d @1700000000 /var/lib/acme/old/cert.pem")
    host.says("echo aether_backup_last_success_timestamp_seconds 1750000000 >/var/lib/node-exporter-text/backup.prom")
    checks = CHECKS + 'command\techo "a \\ b"; false\t-\t60\n'
    told = json.loads(host.on_host("status.sh", address, checks).out)
    assert told["unhealthy"] == ['command echo "a \\ b"; false']
    assert (told["certificate"], told["backup"]) == (1700000000, 1750000000)
    assert told["last"]["outcome"] in ("deployed", "rolled back") and abs(told["deployed_at"] - told["last"]["at"]) < 600
    assert told["failed"] == [] and told["load"] >= 0 and 0 < told["available"] < told["memory"]
    assert json.loads(host.on_host("status.sh").out)["unhealthy"] == []
    host.says("systemctl stop web.service")
    assert json.loads(host.on_host("status.sh", address, CHECKS).out)["unhealthy"] == ["tcp 8080", "unit web.service"]
    host.says("systemctl start web.service")
    host.says("rm -r /var/lib/acme /var/lib/node-exporter-text")
    assert json.loads(host.on_host("status.sh").out)["certificate"] is None


def test_a_host_builds_its_own_system_where_the_inventory_says_so(host: Host) -> None:
    done = host.deploy(AETHER_BUILD_ON="target")
    assert done.code == 0, done.err
    assert "builds on metal" in done.err and "copies" not in done.err
    assert host.state()[0] == json.loads(done.out)["closure"]


def test_two_connections_a_deployment_one_of_them_for_the_confirmation(host: Host, tmp_path: Path) -> None:
    done = host.deploy(new=True, **wrapped_ssh(tmp_path / "bin", ""))
    assert done.code == 0, done.err
    asked = (tmp_path / "bin/asked").read_text().splitlines()
    opened = [line for line in asked if "ControlMaster=yes" in line or "ControlPath=none" in line]
    assert len(opened) == 2, opened
    assert "ControlMaster=yes" in opened[0]
    assert "ControlPath=none" in opened[1] and "makes the trial permanent" in opened[1]
    # Nothing of the shared one stays.
    assert not list(Path("/tmp").glob(f"aether.*/{tmp_path.name}"))
    socket = next(word for line in asked for word in line.split() if word.startswith("ControlPath=/"))
    assert not Path(socket.removeprefix("ControlPath=")).parent.exists()


@pytest.mark.fault
def test_a_service_that_crashes_after_its_start_takes_the_system_back(host: Host) -> None:
    before = host.state()
    host.sim.fault("metal", "health")
    done = host.deploy()
    # On a busy machine it has crashed before the switch is over, which then sees it.
    seen_by = {30: "activation failed: this switch broke web.service", 31: "not healthy after activation: unit web.service"}
    assert f"FAILED: {seen_by.get(done.code)}; back on generation" in done.err, done.err
    assert "injected fault: health" in done.err
    assert host.state() == before
    assert not host.armed()


def test_an_activation_that_fails_is_taken_back(host: Host) -> None:
    before = host.state()
    host.change()
    path = host.built()
    program = f"{path}/bin/switch-to-configuration"
    host.says(f"rm {program}; printf '#!/bin/sh\\necho unit x failed; exit 4\\n' > {program}; chmod +x {program}")
    done = host.deploy(new=False)
    assert done.code == 30, done.err
    assert "activation failed (switch-to-configuration said 4); back on generation" in done.err
    assert "unit x failed" in done.err
    assert host.state() == before


def test_a_unit_that_had_failed_before_takes_no_deployment_back(host: Host) -> None:
    """switch-to-configuration says 4 for any failed unit that the system starts again; a revert would mend none of them."""
    host.says("systemd-run --quiet --unit=nightly-job false")
    wait_until("the job has failed", lambda: host.sim.ssh("metal", "systemctl is-failed --quiet nightly-job").code == 0)
    host.change()
    units = f"{host.built()}/etc/systemd/system"
    host.says(f"printf '[Service]\\nType=oneshot\\nExecStart=/bin/false\\n' >{units}/nightly-job.service")
    host.says(f"ln -s ../nightly-job.service {units}/multi-user.target.wants/")
    try:
        done = host.deploy(new=False)
        assert done.code == 0, done.err
        assert "had failed before, and still do: nightly-job.service" in done.err
        assert json.loads(done.out)["closure"] == host.state()[0]
    finally:
        host.says("systemctl reset-failed nightly-job")


def test_a_failure_of_before_that_no_system_starts_again_is_over(host: Host) -> None:
    host.says("systemd-run --quiet --unit=nightly-job false")
    wait_until("the job has failed", lambda: host.sim.ssh("metal", "systemctl is-failed --quiet nightly-job").code == 0)
    done = host.deploy()
    assert done.code == 0, done.err
    assert "nightly-job" not in done.err
    assert host.says("systemctl is-active nightly-job") == "inactive"


def test_an_activation_script_that_fails_is_not_excused_by_a_unit_that_may(host: Host) -> None:
    """switch-to-configuration says 4 of the unit then, and not 2."""
    before = host.state()
    host.change()
    path = host.built()
    host.says(f"printf '#!/bin/sh\\nexit 1\\n' >{path}/activate; chmod +x {path}/activate")
    host.says(f"printf '[Service]\\nType=oneshot\\nExecStart=/bin/false\\n' >{path}/etc/systemd/system/bad.service")
    host.says(f"ln -s ../bad.service {path}/etc/systemd/system/multi-user.target.wants/")
    done = host.deploy(new=False, AETHER_MAY_FAIL="bad.service")
    assert done.code == 30, done.err
    assert host.state() == before


def test_a_switch_by_hand_that_is_at_work_is_left_alone(host: Host) -> None:
    """The way back would find the same lock, and reboot the host in the middle of it."""
    before = host.state()
    lock = "/run/nixos/switch-to-configuration.lock"
    host.says(f"mkdir -p /run/nixos; systemd-run --quiet --unit=by-hand flock {lock} sleep 600")
    wait_until("it has the lock", lambda: host.sim.ssh("metal", f"flock -n {lock} true").code != 0)
    try:
        done = host.deploy()
    finally:
        host.says("systemctl stop by-hand")
    assert done.code == 20, done.err
    assert "somebody switches systems here by hand" in done.err
    assert host.state() == before
    assert not host.armed()


def test_a_trial_that_ends_during_a_switch_by_hand_waits_for_it(host: Host) -> None:
    """It found the lock, and took that for a way back that fails: the host rebooted in the middle of the other's switch."""
    before, boot = host.state(), host.says("cat /proc/sys/kernel/random/boot_id")
    host.change()
    lock = "/run/nixos/switch-to-configuration.lock"
    checks = check_lines((UnitCheck(unit="web.service", timeout=5),))
    tried = host.on_host("activate.sh", "metal", host.built(), "10", "by-hand-test", "127.0.0.1", "0", stdin=checks)
    assert tried.out.strip() == "pending", tried.err
    host.says(f"mkdir -p /run/nixos; systemd-run --quiet --unit=by-hand flock {lock} sleep 600")
    try:
        wait_until(
            "the way back finds the lock", lambda: "Could not acquire lock" in host.says("cat /run/aether/activation.log"), 30
        )
        assert host.armed() or "activating" in host.says("systemctl is-active aether-revert.service")
    finally:
        host.says("systemctl stop by-hand")
    wait_until("it is back on the system before", lambda: host.state() == before, 30)
    assert host.says("cat /proc/sys/kernel/random/boot_id") == boot
    assert "could not be reverted" not in host.says("tail -n 1 /var/lib/aether/reverted")


def only_bootable(host: Host) -> str:
    """A new system on the host that cannot be switched to from the one that runs."""
    host.change()
    path = host.built()
    for system, dbus in (("/run/current-system", "dbus"), (path, f"broker-{host.systems}")):
        host.says(f'[ -e {system}/switch-inhibitors ] || printf \'{{"dbus": "%s"}}\' {dbus} >{system}/switch-inhibitors')
    return path


def test_what_cannot_be_switched_to_is_booted_for_a_trial_where_that_is_allowed(host: Host) -> None:
    before = host.state()
    path = only_bootable(host)
    refused = host.deploy(new=False)
    assert refused.code == 38, refused.err
    assert 'write reboot = "auto" for it in the inventory' in refused.err
    assert host.state() == before
    done = host.deploy(new=False, AETHER_REBOOT="auto")
    assert done.code == 0, done.err
    assert f"boots {path} once; every other boot is of {before[0]}" in done.err
    assert host.state() == (path, path, f"source:{host.systems} {path}")


@pytest.mark.fault
def test_a_trial_boot_that_is_not_healthy_boots_back(host: Host) -> None:
    before = host.state()
    path = only_bootable(host)
    boot = host.says("cat /proc/sys/kernel/random/boot_id")
    done = host.deploy(new=False, AETHER_REBOOT="auto", AETHER_CHECKS=check_lines((TcpCheck(tcp=4711, timeout=1),)))
    assert done.code == 31, done.err
    assert f"boots back into {before[0]}" in done.err
    wait_until("it booted back", lambda: host.state() == before and host.says("readlink /run/booted-system") == before[0], 120)
    assert host.says("cat /proc/sys/kernel/random/boot_id") != boot
    assert host.says(f"ls -d {path}") == path


@pytest.mark.fault
def test_a_trial_boot_whose_confirmation_lost_its_connection_is_confirmed_again(host: Host, tmp_path: Path) -> None:
    path = only_bootable(host)
    lost = tmp_path / "lost"
    once = f'[[ "$*" == *confirm-boot* && ! -e {lost} ]] && {{ touch {lost}; {SSH} "$@" >/dev/null; exit 255; }}'
    done = host.deploy(new=False, AETHER_REBOOT="auto", **wrapped_ssh(tmp_path / "bin", once))
    assert lost.exists()
    assert done.code == 0, done.err
    assert json.loads(done.out)["closure"] == path
    assert host.state() == (path, path, f"source:{host.systems} {path}")


def test_a_trial_boot_that_waits_for_its_confirmation_is_left_alone(host: Host) -> None:
    """Another deployment is refused; its own, given again, confirms it."""
    before, path, address = host.state(), only_bootable(host), str(host.sim.endpoints()["metal"]["address"])
    armed = host.on_host("arm-boot.sh", "metal", path, "gone@elsewhere:1", "300", "300")
    assert armed.code == 0, armed.err
    host.sim.reboot("metal")
    assert host.state() == (path, *before[1:])
    other = host.on_host("activate.sh", "metal", before[0], "5", "another", address, "0", stdin=CHECKS)
    assert other.code == 20, other.err
    assert f"boots {path} for a trial of gone@elsewhere:1, which waits for its confirmation" in other.err
    done = host.deploy(new=False)
    assert done.code == 0, done.err
    assert host.state() == (path, path, f"source:{host.systems} {path}")
    assert host.says("ls /var/lib/aether/boot-trial 2>&1 || true").endswith("No such file or directory")


def test_a_trial_that_was_armed_and_never_booted_is_disarmed_by_the_next_deployment(host: Host) -> None:
    path = only_bootable(host)
    armed = host.on_host("arm-boot.sh", "metal", path, "gone@elsewhere:1", "300", "300")
    assert armed.code == 0, armed.err
    done = host.deploy()
    assert done.code == 0, done.err
    closure = json.loads(done.out)["closure"]
    host.sim.reboot("metal")
    assert host.state()[:2] == (closure, closure)


@pytest.mark.parametrize("bootable", [False, True], ids=["switch", "boot"])
def test_a_commit_that_a_power_cut_halved_is_made_whole_by_the_next_deployment(host: Host, bootable: bool) -> None:
    """The profile led to the new system, the boot loader to the one before, which came back."""
    if bootable:
        path = only_bootable(host)
    else:
        host.change()
        path = host.built()
    host.says(f"nix-env -p {PROFILE} --set {path}")
    done = host.deploy(new=False, AETHER_REBOOT="auto")
    assert done.code == 0, done.err
    assert host.state() == (path, path, f"source:{host.systems} {path}")
    host.sim.reboot("metal")
    assert host.state() == (path, path, f"source:{host.systems} {path}")


def test_a_rollback_to_what_cannot_be_switched_to_boots_it(host: Host) -> None:
    before, path = host.state(), only_bootable(host)
    done = host.deploy(new=False, AETHER_REBOOT="auto")
    assert done.code == 0, done.err
    refused = host.deploy(new=False, script="rollback.sh")
    assert refused.code == 38, refused.err
    assert host.state()[:2] == (path, path)
    back = host.deploy(new=False, script="rollback.sh", AETHER_REBOOT="auto")
    assert back.code == 0, back.err
    assert host.state() == (*before[:2], f"source:{host.systems} {path}")


def test_a_unit_that_waits_for_another_host_takes_nothing_back(host: Host) -> None:
    host.change()
    path = host.built()
    program = f"{path}/bin/switch-to-configuration"
    fails = f'#!/bin/sh\n{program}.real "$@"\n[ "$1" = boot ] || {{ echo Failed to start login.service; exit 4; }}\n'
    host.says(
        f"mkdir -p {path}/etc/aether; echo 'login.service keycloak' >{path}/etc/aether/waits-for; mv {program} {program}.real"
    )
    host.says(f"printf %s {shlex.quote(fails)} >{program}; chmod +x {program}")
    done = host.deploy(new=False)
    assert done.code == 0, done.err
    assert "wait for other hosts, and do not run yet: login.service (keycloak)" in done.err


def test_what_hangs_on_a_peripheral_is_told_and_takes_nothing_back(host: Host) -> None:
    checks = (UnitCheck(unit="radio.service", timeout=1, warn=True), TcpCheck(tcp=4711, timeout=1, warn=True))
    done = host.deploy(AETHER_CHECKS=check_lines(checks) + CHECKS)
    assert done.code == 0, done.err
    assert "WARNING: unit radio.service does not hold; that takes nothing back" in done.err
    assert "WARNING: tcp 4711" in done.err
    assert json.loads(done.out)["closure"] == host.state()[0]


@pytest.mark.fault
@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        ("unreachable", 12, "metal does not answer on SSH at 127."),
        ("key-mismatch", 22, "metal answers with another SSH host key than the inventory has; nothing was sent to it"),
        ("wrong-host", 21, "this machine calls itself some-other-host, not metal; nothing was changed"),
        ("disk-full", 11, "No space left on device"),
    ],
)
def test_what_is_refused_leaves_the_host_untouched(host: Host, fault: str, code: int, says: str) -> None:
    before = host.state()
    host.sim.fault("metal", fault)
    done = host.deploy()
    assert done.code == code, done.err
    assert says in done.err
    host.sim.cli("fault", "--clear")
    wait_until("the host answers", lambda: host.sim.answers("metal"))
    assert host.state() == before


def test_a_build_that_fails_says_what_nix_said(host: Host) -> None:
    before = host.state()
    done = host.deploy(AETHER_FLAKE="nobody")
    assert done.code == 10, done.err
    assert "does not provide attribute" in done.err
    assert host.state() == before


def test_the_lock_of_a_living_deployment_holds_and_that_of_a_dead_one_is_free(host: Host) -> None:
    hold = 'exec 9>>/run/aether/lock; flock 9; echo "first@elsewhere (pid 1)" > /run/aether/holder; echo held; read -r _'
    with subprocess.Popen(
        ["ssh", "-F", str(host.sim.config), "metal", f"bash -c {shlex.quote(hold)}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as first:  # fmt: skip
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        busy = host.deploy()
        assert busy.code == 20, busy.err
        assert "another deployment is at work here: first@elsewhere (pid 1)" in busy.err
        first.kill()
    wait_until("the lock is free", lambda: host.sim.ssh("metal", "flock -n /run/aether/lock true").code == 0)
    done = host.deploy(new=False)
    assert done.code == 0, done.err


def test_a_trial_that_nobody_confirms_ends_by_itself_and_cannot_be_confirmed_afterwards(host: Host) -> None:
    before = host.state()
    host.change()
    path = host.built()
    address = str(host.sim.endpoints()["metal"]["address"])
    trial = host.on_host("activate.sh", "metal", path, "15", "gone@elsewhere:1", address, "0", stdin=CHECKS)
    assert (trial.code, trial.out) == (0, "pending\n"), trial.err
    assert host.state() == (path, before[1], before[2])
    # By itself, not with a build before it: on a busy machine that takes longer than the window.
    second = host.on_host("activate.sh", "metal", path, "5", "another", address, "0", stdin=CHECKS)
    assert second.code == 20, second.err
    assert "deployment gone@elsewhere:1 waits for its confirmation" in second.err
    wait_until("the host went back", lambda: host.state() == before, 60)
    late = host.on_host("confirm.sh", "metal", path, "gone@elsewhere:1", "source:x", "ask")
    assert late.code == 32, late.err
    assert "the confirmation came too late" in late.err
    assert host.state() == before


def test_a_confirmation_whose_connection_was_lost_is_given_again(host: Host, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    once = f'[[ "$*" == *ControlPath=none* && ! -e {lost} ]] && {{ touch {lost}; {SSH} "$@" >/dev/null; exit 255; }}'
    done = host.deploy(new=True, **wrapped_ssh(tmp_path / "bin", once))
    assert lost.exists()
    assert done.code == 0, done.err
    closure = json.loads(done.out)["closure"]
    assert host.state() == (closure, closure, f"source:{host.systems} {closure}")


def test_a_slow_activation_that_lost_its_connection_is_waited_for(host: Host, tmp_path: Path) -> None:
    """Longer than a confirmation waits for anything else: the new connection finds the lock held by its own deployment."""
    host.change()
    path = host.built()
    program = f"{path}/bin/switch-to-configuration"
    slow = f'#!/bin/sh\n[ "$1" != test ] || sleep 25\nexec {program}.real "$@"\n'
    host.says(f"mv {program} {program}.real; printf %s {shlex.quote(slow)} >{program}; chmod +x {program}")
    lost = f'[[ "$*" == *"activates a closure for a trial"* ]] && {{ {SSH} "$@" <&0 >/dev/null 2>&1 & exit 255; }}'
    done = host.deploy(new=False, **wrapped_ssh(tmp_path / "bin", lost))
    assert done.code == 0, done.err
    assert "the connection was lost during the activation" in done.err
    assert host.state() == (path, path, f"source:{host.systems} {path}")


def test_without_a_new_connection_the_host_goes_back(host: Host, tmp_path: Path) -> None:
    before = host.state()
    never = '[[ "$*" == *ControlPath=none* ]] && exit 255'
    done = host.deploy(new=True, **wrapped_ssh(tmp_path / "bin", never))
    assert done.code == 32, done.err
    assert "no new connection within 5 s after the activation; the host goes back to its previous system on its own" in done.err
    wait_until("the host went back", lambda: host.state() == before)


def other_kernel(host: Host) -> str:
    """A new system whose kernel is not the one that was booted."""
    host.change()
    path = host.built()
    host.says(f"rm -f {path}/kernel; echo another kernel > {path}/kernel")
    return path


@pytest.mark.parametrize(("policy", "says"), [("ask", "NEEDS A REBOOT"), ("never", "after the next boot")])
def test_another_kernel_is_booted_when_the_policy_says_so(host: Host, policy: str, says: str) -> None:
    boot = host.says("cat /proc/sys/kernel/random/boot_id")
    path = other_kernel(host)
    done = host.deploy(new=False, AETHER_REBOOT=policy)
    assert done.code == 0, done.err
    assert says in done.err
    assert json.loads(done.out)["reboot"] is True
    assert host.says("cat /proc/sys/kernel/random/boot_id") == boot
    assert host.state() == (path, path, f"source:{host.systems} {path}")


def test_a_reboot_is_proved_before_it_is_recorded(host: Host) -> None:
    path = other_kernel(host)
    done = host.deploy(new=False, AETHER_REBOOT="auto")
    assert done.code == 0, done.err
    assert "came back on it, healthy" in done.err
    assert json.loads(done.out)["reboot"] is False
    assert host.says("readlink -f /run/booted-system") == path
    assert host.state() == (path, path, f"source:{host.systems} {path}")


@pytest.mark.fault
def test_a_system_that_does_not_boot_leaves_the_host_on_the_one_before_and_on_its_record(host: Host) -> None:
    before = host.state()
    host.sim.reboot("metal")
    host.sim.fault("metal", "no-boot")
    other_kernel(host)
    done = host.deploy(new=False, AETHER_REBOOT="auto")
    assert done.code == 35, done.err
    assert "the boot loader fell back. The profile was set back to it" in done.err
    assert host.state() == before


def test_a_rollback_goes_back_by_the_same_protocol_and_keeps_the_record(host: Host) -> None:
    before = host.state()
    done = host.deploy()
    assert done.code == 0, done.err
    after = host.state()
    back = host.deploy(new=False, script="rollback.sh")
    assert back.code == 0, back.err
    assert host.state() == (before[0], before[1], after[2])
