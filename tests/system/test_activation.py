"""A deployment that fails leaves its host on the last good system, says why, and lets the rest go on."""

import re
import signal
from collections.abc import Iterator

import pytest

from tests.system.checkout import Checkout, kill_group, wait_until

pytestmark = pytest.mark.fault

COCKPIT = "[hosts.cockpit]\n"


@pytest.fixture
def cockpit(restored: Checkout) -> Iterator[tuple[Checkout, str]]:
    """The checkout, and what cockpit runs; an activation of it that nobody confirms reverts after five seconds."""
    restored.replace("inventory/homelab.toml", COCKPIT, f"{COCKPIT}confirm_timeout = 5\n")
    up = restored.up()
    assert up.code == 0, up.text
    yield restored, restored.system("cockpit")


def test_a_failing_health_check_reverts_that_host_and_nobody_else(restored: Checkout) -> None:
    before = {host: restored.system(host) for host in ("media", "monitoring")}
    restored.touch("media", "bad")
    restored.touch("monitoring", "good")
    restored.fault("media", "health")
    up = restored.up()
    assert up.code != 0
    assert re.search(r"media: (activation failed|not healthy after activation).*back on generation \d+", up.text), up.text
    assert restored.system("media") == before["media"]
    assert restored.ssh("media", "readlink -f /nix/var/nix/profiles/system").text.strip() == before["media"]
    assert "monitoring: committed as generation" in up.text
    assert restored.system("monitoring") != before["monitoring"]


def test_ssh_lost_after_activation_reverts_within_the_window(cockpit: tuple[Checkout, str]) -> None:
    checkout, before = cockpit
    checkout.touch("cockpit", "cuts ssh off")
    checkout.fault("cockpit", "ssh-lost")
    up = checkout.up()
    assert up.code != 0
    assert "cockpit: no new connection within 5 s after the activation; the host goes back to its previous system" in up.text, (
        up.text
    )
    checkout.clear_faults()
    wait_until("cockpit is back on what it ran", lambda: checkout.system("cockpit") == before, 40)
    assert checkout.ssh("cockpit", "readlink -f /nix/var/nix/profiles/system").text.strip() == before


def test_an_operator_killed_before_the_confirmation_leaves_nothing_new(cockpit: tuple[Checkout, str]) -> None:
    checkout, before = cockpit
    checkout.touch("cockpit", "never confirmed")
    process = checkout.start(checkout.python, "-m", "ops", "--stack", "sim", "up")
    pending = "test -e /run/aether/pending"
    wait_until("an activation is pending", lambda: checkout.ssh("cockpit", pending).code == 0, 120)
    kill_group(process, signal.SIGKILL)
    # It may have been killed before the switch: what it runs says nothing until nothing is pending.
    wait_until("nothing is pending", lambda: checkout.ssh("cockpit", pending).code == 1, 60)
    assert checkout.system("cockpit") == before
    healed = checkout.up()
    assert healed.code == 0, healed.text
    assert checkout.system("cockpit") != before


def test_two_operators_at_once_are_told_of_each_other(cockpit: tuple[Checkout, str]) -> None:
    checkout, before = cockpit
    checkout.touch("cockpit", "second operator")
    hold = (
        'mkdir -p /run/aether; exec 9>>/run/aether/lock; flock 9; echo "first@elsewhere (pid 1)" > /run/aether/holder; read -r _'
    )
    first = checkout.start("ssh", "-F", f".aether/ssh/{checkout.stack}/config", "cockpit", f"bash -c '{hold}'")
    wait_until("the first holds the lock", lambda: "first@elsewhere" in checkout.ssh("cockpit", "cat /run/aether/holder").text)
    up = checkout.up()
    assert up.code != 0
    assert "cockpit: another deployment is at work here: first@elsewhere (pid 1)" in up.text, up.text
    assert checkout.system("cockpit") == before
    kill_group(first)
    # The lock of a process that is gone is free: nobody has to remove a file.
    wait_until("the lock is free", lambda: checkout.ssh("cockpit", "flock -n /run/aether/lock true").code == 0)
    healed = checkout.up()
    assert healed.code == 0, healed.text


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("disk-full", r"cockpit: could not copy /nix/store/\S+"),
        ("wrong-host", r"cockpit: this machine calls itself \S+, not cockpit; nothing was changed"),
        ("unreachable", r"cockpit: cockpit does not answer on SSH at 127\.\S+"),
    ],
)
def test_a_host_that_cannot_be_deployed_is_untouched(restored: Checkout, fault: str, says: str) -> None:
    before = restored.system("cockpit")
    restored.touch("cockpit", f"with {fault}")
    restored.fault("cockpit", fault)
    up = restored.up()
    assert up.code != 0
    assert re.search(says, up.text), up.text
    if fault == "disk-full":
        assert "No space left on device" in up.text
    restored.clear_faults()
    assert restored.system("cockpit") == before


def test_a_new_kernel_that_does_not_boot_falls_back(restored: Checkout) -> None:
    before = restored.system("cockpit")
    restored.replace("inventory/homelab.toml", COCKPIT, f'{COCKPIT}reboot = "auto"\n')
    restored.touch("cockpit", "with another kernel")
    path = restored.path / "nix/hosts/niobe/cockpit.nix"
    path.write_text(path.read_text() + '# a kernel of its own:\n  boot.kernelParams = [ "other" ];\n')
    restored.fault("cockpit", "no-boot")
    up = restored.up()
    assert up.code != 0
    assert re.search(r"cockpit: came back on \S+ instead of \S+: the boot loader fell back", up.text), up.text
    assert restored.system("cockpit") == before
    assert restored.ssh("cockpit", "readlink -f /nix/var/nix/profiles/system").text.strip() == before


def test_a_failed_canary_stops_the_roll_out(restored: Checkout) -> None:
    before = {host: restored.system(host) for host in ("cockpit", "monitoring", "media")}
    restored.replace("inventory/homelab.toml", 'strategy = "all"', 'strategy = "canary"\ncanary = "cockpit"')
    for host in before:
        restored.touch(host, "rolled out")
    restored.fault("cockpit", "health")
    up = restored.up()
    assert up.code != 0
    assert {host: restored.system(host) for host in before} == before
    restored.clear_faults()
    healed = restored.up()
    assert healed.code == 0, healed.text
    assert all(restored.system(host) != system for host, system in before.items())
    # The way back has others wait for each other, too. The engine meets who is left out twice, and its state would be broken.
    restored.replace("inventory/homelab.toml", 'strategy = "canary"\ncanary = "cockpit"', 'strategy = "all"')
    part = restored.up("--target", "**::media")
    assert part.code == 1 and "no part of the stack can be deployed by itself. Nothing was changed." in part.text, part.text
    whole = restored.up()
    assert whole.code == 0, whole.text


def test_drift_is_found_and_repaired_on_that_host_alone(settled: Checkout) -> None:
    deployed = settled.system("monitoring")
    by_hand = settled.ssh("monitoring", "$(readlink -f /nix/var/nix/profiles/system-1-link)/bin/switch-to-configuration test")
    assert by_hand.code == 0, by_hand.text
    drift = settled.ops("drift")
    assert drift.code == 1
    assert re.search(rf"^monitoring: runs \S+ instead of {deployed}", drift.text, re.MULTILINE), drift.text
    assert drift.text.count(": runs ") == 1
    # A change of another host waits: the repair is of the one alone.
    settled.touch("cockpit", "not deployed by a repair")
    others = settled.system("cockpit")
    repaired = settled.ops("drift", "--fix", "monitoring")
    assert repaired.code == 0, repaired.text
    assert repaired.text.count(": activates ") == 1
    assert settled.system("monitoring") == deployed
    assert settled.system("cockpit") == others
    assert settled.up().code == 0
    assert settled.ops("drift").code == 0
    again = settled.up("--config", "aether:detectDrift=true")
    assert set(again.changes()) == {"unchanged"}, again.text


def test_a_rollback_goes_back_one_generation_and_shows_as_drift(settled: Checkout) -> None:
    before = settled.system("cockpit")
    settled.touch("cockpit", "to be rolled back")
    assert settled.up().code == 0
    after = settled.system("cockpit")
    back = settled.ops("rollback", "cockpit")
    assert back.code == 0, back.text
    assert settled.system("cockpit") == before
    drift = settled.ops("drift")
    assert f"cockpit: runs {before} instead of {after}" in drift.text
    forward = settled.up("--config", "aether:detectDrift=true")
    assert forward.code == 0, forward.text
    assert settled.system("cockpit") == after
