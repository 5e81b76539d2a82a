"""systemctl, systemd-run, journalctl and the rest of the service manager, with what the real ones refuse."""

from collections.abc import Iterator

import pytest

from aether_sim.testing import Simulator, started, wait_until

UNIT = """[Unit]
Description=A service of the test
[Service]
{kind}
ExecStart={command}
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    yield from started(tmp_path_factory.mktemp("systemd"))


def unit(sim: Simulator, name: str, command: str, kind: str = "Type=simple", extra: str = "") -> None:
    text = UNIT.format(kind=kind, command=command) + extra
    assert sim.ssh("debian", f"cat > /etc/systemd/system/{name} && systemctl daemon-reload", text).code == 0


def test_a_real_service_runs_fails_and_is_journalled(sim: Simulator) -> None:
    unit(sim, "real.service", "/bin/sh -c 'echo hello from it; sleep 1000'")
    assert sim.ssh("debian", "systemctl is-active real").code == 3
    assert sim.ssh("debian", "systemctl start real; systemctl is-active real").out.strip() == "active"
    assert "sleep 1000" in sim.ssh("debian", "ps ax -o args").out
    wait_until("its output is in the journal", lambda: "hello from it" in sim.ssh("debian", "journalctl -u real").out)
    assert sim.ssh("debian", "systemctl stop real; ps ax -o args").out.count("sleep 1000") == 0
    unit(sim, "bad.service", "/bin/sh -c 'exit 9'", "Type=oneshot")
    failed = sim.ssh("debian", "systemctl start bad")
    assert failed.code == 1
    assert "Job for bad.service failed" in failed.err
    assert sim.ssh("debian", "systemctl is-failed bad").out.strip() == "failed"
    assert sim.ssh("debian", "systemctl show bad -p ExecMainStatus --value").out.strip() == "9"
    assert "bad.service" in sim.ssh("debian", "systemctl list-units --failed --plain --no-legend").out
    assert sim.ssh("debian", "systemctl status bad").code == 3
    # Of the manager, which says nothing here: what asks for the times of its boot goes on without them.
    assert sim.ssh("debian", "systemctl show --property=FinishTimestampMonotonic --value").code == 0
    assert sim.ssh("debian", "systemctl reset-failed bad; systemctl is-failed bad").out.strip() == "inactive"
    unit(sim, "missing.service", "/usr/bin/not-there")
    assert sim.ssh("debian", "systemctl start missing").code == 1
    assert sim.ssh("debian", "systemctl show missing -p ExecMainStatus --value").out.strip() == "203"
    sim.ssh("debian", "systemctl reset-failed")


def test_a_simulated_service_listens_on_the_hosts_own_address(sim: Simulator) -> None:
    unit(sim, "web.service", "/opt/web", extra="[X-Simulator]\nListen=18080/http\nListen=18081/http/503\n")
    address = sim.endpoints()["debian"]["address"]
    status = f"curl -s -o /dev/null -w %{{http_code}} http://{address}:"
    assert sim.ssh("debian", f"{status}18080").out == "000"
    assert sim.ssh("debian", "systemctl start web").code == 0
    assert sim.ssh("debian", f"{status}18080; {status}18081").out == "200503"
    # Only there: another host's address has no such port.
    other = sim.endpoints()["fedora"]["address"]
    assert sim.ssh("debian", f"curl -s -o /dev/null -w %{{http_code}} http://{other}:18080").out == "000"
    unit(sim, "web2.service", "/opt/web", extra="[X-Simulator]\nListen=18080/http\n")
    assert sim.ssh("debian", "systemctl start web2").code == 1
    assert "in use" in sim.ssh("debian", "journalctl -u web2").out
    sim.ssh("debian", "systemctl stop web; systemctl reset-failed")


def test_enable_and_mask_hold_over_a_reboot(sim: Simulator) -> None:
    unit(sim, "kept.service", "/opt/kept", extra="[X-Simulator]\nSimulate=yes\n")
    assert sim.ssh("debian", "systemctl is-enabled kept").out.strip() == "disabled"
    assert sim.ssh("debian", "systemctl enable --now kept; systemctl is-enabled kept").out.strip() == "enabled"
    sim.reboot("debian")
    assert sim.ssh("debian", "systemctl is-active kept").out.strip() == "active"
    sim.ssh("debian", "systemctl disable --now kept; systemctl mask cron")
    sim.reboot("debian")
    assert sim.ssh("debian", "systemctl is-active kept cron").out.split() == ["inactive", "inactive"]
    assert "masked" in sim.ssh("debian", "systemctl start cron").err
    assert sim.ssh("debian", "systemctl unmask cron && systemctl start cron").code == 0


def test_refusals(sim: Simulator) -> None:
    unknown = sim.ssh("debian", "systemctl start nothing")
    assert (unknown.code, unknown.err.strip()) == (5, "Failed to start nothing.service: Unit nothing.service not found.")
    assert sim.ssh("debian", "systemctl stop nothing").code == 5
    assert sim.ssh("debian", "systemctl is-active nothing").code == 4
    assert sim.ssh("debian", "systemctl status nothing").code == 4
    assert sim.ssh("debian", "systemctl enable nothing").code == 1
    assert sim.ssh("debian", "systemctl frobnicate").code == 1
    assert "authentication" in sim.ssh("debian", "systemctl stop cron", "", "-l", "mitso").err
    assert sim.ssh("debian", "systemctl is-active cron", "", "-l", "mitso").out.strip() == "active"
    assert "authentication" in sim.ssh("debian", "reboot", "", "-l", "mitso").err
    assert sim.ssh("metal", "systemctl enable sshd").code == 1


def test_timers_fire_without_a_session_and_can_be_disarmed(sim: Simulator) -> None:
    assert sim.ssh("debian", "rm -f /root/fired /root/not").code == 0
    run = "systemd-run --quiet --timer-property=AccuracySec=1s"
    never = f"{run} --on-active=5s --unit=never /bin/sh -c 'echo x > /root/not'"
    assert sim.ssh("debian", f"{never}; systemctl stop never.timer").code == 0
    assert sim.ssh("debian", "systemctl is-active never.timer").code != 0
    # Armed after it and for longer: when this one has fired, the other would have.
    assert sim.ssh("debian", f"{run} --on-active=5.2s --unit=soon /bin/sh -c 'echo fired > /root/fired'").code == 0
    wait_until("the timer fires", lambda: sim.ssh("debian", "cat /root/fired").out == "fired\n")
    assert sim.ssh("debian", "cat /root/not").code != 0
    run += " --on-active=1h"
    assert sim.ssh("debian", f"{run} --unit=twice true; {run} --unit=twice true").code != 0
    late = "systemd-run --on-active=1h --unit=late true"
    assert "late.timer" in sim.ssh("debian", f"{late}; systemctl list-timers").out
    sim.reboot("debian")
    assert "late.timer" not in sim.ssh("debian", "systemctl list-timers").out
    assert sim.ssh("debian", "systemd-run --on-active=soon true").code != 0


def test_transient_services(sim: Simulator) -> None:
    done = sim.ssh("debian", "systemd-run --wait --unit=once --setenv=X=5 /bin/sh -c 'exit $X'")
    assert done.code == 5
    assert "Running as unit: once.service" in done.err
    assert sim.ssh("debian", "systemctl is-failed once").out.strip() == "failed"
    assert sim.ssh("debian", "systemd-run --unit=once true").code != 0
    assert sim.ssh("debian", "systemctl reset-failed once; systemd-run --wait --collect --unit=once true").code == 0
    assert sim.ssh("debian", "systemd-run --on-active=5 true", "", "-l", "mitso").code != 0


def test_alpine_has_openrc(sim: Simulator) -> None:
    assert sim.ssh("alpine", "command -v systemctl").code != 0
    assert "does not exist" in sim.ssh("alpine", "rc-service nothing start").err
    assert sim.ssh("alpine", "rc-service sshd status").out.strip() == "* status: started"
    assert sim.ssh("alpine", "apk add samba-common-tools samba && rc-service samba start && rc-update add samba").code == 0
    sim.reboot("alpine")
    assert sim.ssh("alpine", "rc-service samba status").out.strip() == "* status: started"
    assert sim.ssh("alpine", "rc-update del samba; rc-service samba stop; rc-service samba status").code == 3
    assert sim.ssh("alpine", "apk add sshd-of-nobody").code == 1
