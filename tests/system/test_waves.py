"""Waves: the canaries change first and are watched, the others follow, and the first red one ends it for all who come later."""

import json
import time
from collections.abc import Iterator

import pytest

from bench.fleet import public_key
from tests.system.checkout import Checkout, kill_group
from tests.system.machines import MACHINE, PLAY, ROLE, WELCOME
from tests.system.small import atomic, running, small_checkout

IMAGE = ('image = "ghcr.io/ublue-os/bazzite"', f'digest = "sha256:{"1" * 64}"')
# The canary's health is in the hands of a test; it may not have been deployed long ago when its soak begins.
ROLLOUT = '[rollout]\nstrategy = "waves"\ncanary = "dns"\nsoak = 6\nbatch = "50%"\n'
RED = "/var/tmp/red"
OTHERS = ("web", "log", "station", "storage")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Hosts of three kinds in waves: dns; two; and the last two. Deployed."""
    more = [ROLLOUT, atomic("station", 20, *IMAGE), MACHINE.format(name="storage", last=50, key=public_key("storage"))]
    checkout = small_checkout(tmp_path_factory.mktemp("waves"), "\n".join(more), {"ansible/machine.yml": PLAY, ROLE: WELCOME})
    for host in ("web", "dns", "log"):
        red = f', {{ command = "test ! -e {RED}", timeout = 1 }}' if host == "dns" else ""
        check = f'health = [{{ unit = "{host}.service" }}{red}]'
        checkout.replace("inventory/homelab.toml", f'description = "{host}"\n', f'description = "{host}"\n{check}\n')
    # A service that fails a moment after its start is the deployment's to find.
    text = (checkout.path / "inventory/homelab.toml").read_text()
    (checkout.path / "inventory/homelab.toml").write_text(text.replace("settle = 0", "settle = 2"))
    yield from running(checkout)


@pytest.fixture
def fleet(made: Checkout) -> Iterator[Checkout]:
    yield made
    made.clear_faults()
    made.ssh("dns", f"rm -f {RED}")
    # Whatever a test left behind is deployed.
    if made.deployed != made.sources():
        assert made.up().code == 0


def runs(checkout: Checkout) -> dict[str, str]:
    """What each host has become."""
    booted = checkout.ssh("station", "rpm-ostree status --json").text
    return {
        **{host: checkout.system(host) for host in ("dns", "web", "log")},
        "station": str(
            next(item for item in json.loads(booted)["deployments"] if item["booted"])["container-image-reference-digest"]
        ),
        "storage": checkout.ssh("storage", "cat /etc/motd").text,
    }


def change(checkout: Checkout, what: str) -> dict[str, str]:
    """Change every host; what they are until then."""
    before = runs(checkout)
    for host in ("dns", "web", "log"):
        checkout.touch(host, what)
    text = (checkout.path / "inventory/homelab.toml").read_text()
    digit = text.split('digest = "sha256:')[1][0]
    checkout.replace("inventory/homelab.toml", digit * 64, str((int(digit) + 1) % 10) * 64)
    (checkout.path / ROLE).write_text(f"{WELCOME.replace(' of ', f' ({what}) of ')}\n")
    return before


def changed(checkout: Checkout, before: dict[str, str]) -> set[str]:
    return {host for host, now in runs(checkout).items() if now != before[host]}


def test_an_up_without_a_change_waits_for_nothing(fleet: Checkout) -> None:
    again = fleet.up()
    assert again.code == 0 and "watches" not in again.text, again.text
    assert set(again.changes()) == {"unchanged"}, again.text


def test_waves_are_told_to_people_and_pipelines(fleet: Checkout) -> None:
    waves = json.loads(fleet.ops("waves", "--json", "--each").text)
    assert [wave["wave"] for wave in waves] == ["canary", "2", "3"]
    assert waves[0]["hosts"] == ["dns"] and sorted(waves[1]["hosts"] + waves[2]["hosts"]) == sorted(OTHERS)
    refused = fleet.ops("up", "--wave", "4")
    assert refused.code == 1 and "there is no wave '4'" in refused.text and "--wave canary, 2 or 3" in refused.text


@pytest.mark.fault
def test_a_canary_that_fails_leaves_every_other_host_as_it_is_and_the_same_command_goes_on(fleet: Checkout) -> None:
    before = change(fleet, "one")
    fleet.fault("dns", "health")
    up = fleet.up()
    assert up.code != 0 and "dns: " in up.text, up.text
    assert changed(fleet, before) == set(), up.text
    fleet.clear_faults()
    healed = fleet.up()
    assert healed.code == 0 and "watches dns" in healed.text, healed.text
    assert changed(fleet, before) == {"dns", *OTHERS}


@pytest.mark.fault
def test_a_canary_that_turns_red_while_it_is_watched_ends_it(fleet: Checkout) -> None:
    before = change(fleet, "two")
    process = fleet.start(fleet.python, "-m", "ops", "--stack", fleet.stack, "up")
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "watches dns" in line:
            fleet.ssh("dns", f"touch {RED}")
    text = "".join(said)
    assert process.wait(60) != 0 and "not healthy after its deployment" in text, text
    assert changed(fleet, before) == {"dns"}
    fleet.ssh("dns", f"rm {RED}")
    healed = fleet.up()
    assert healed.code == 0 and "dns: activates" not in healed.text, healed.text
    assert changed(fleet, before) == {"dns", *OTHERS}


@pytest.mark.fault
def test_an_up_that_is_killed_while_it_watches_goes_on_where_the_time_has_come_to(fleet: Checkout) -> None:
    before = change(fleet, "three")
    process = fleet.start(fleet.python, "-m", "ops", "--stack", fleet.stack, "up")
    assert process.stdout is not None
    for line in process.stdout:
        if "watches dns" in line:
            break
    kill_group(process)
    assert changed(fleet, before) == {"dns"}
    time.sleep(6)
    again = fleet.up()
    assert again.code == 0 and "watches dns for 0 s" in again.text, again.text
    assert changed(fleet, before) == {"dns", *OTHERS}


def test_a_deployment_up_to_a_wave_leaves_later_ones_alone(fleet: Checkout) -> None:
    before = change(fleet, "four")
    waves = {wave["wave"]: wave["hosts"] for wave in json.loads(fleet.ops("waves", "--json", "--each").text)}
    so_far: set[str] = set()
    for wave, hosts in waves.items():
        up = fleet.up("--wave", wave)
        so_far |= set(hosts)
        assert up.code == 0, up.text
        assert changed(fleet, before) == so_far, up.text


@pytest.mark.fault
def test_a_wave_that_fails_ends_it_for_later_ones(fleet: Checkout) -> None:
    before = change(fleet, "five")
    waves = {wave["wave"]: wave["hosts"] for wave in json.loads(fleet.ops("waves", "--json", "--each").text)}
    bad = next(host for host in waves["2"] if host in ("web", "log", "station"))
    fleet.fault(bad, "bad-signature" if bad == "station" else "health")
    up = fleet.up()
    assert up.code != 0, up.text
    assert changed(fleet, before) == {"dns", *waves["2"]} - {bad}, up.text
    fleet.clear_faults()
    assert fleet.up().code == 0
    assert changed(fleet, before) == {"dns", *OTHERS}
