"""The main job on the simulator: up, killed and healed, nothing to do, one change, a size, a guest lost, destroy."""

import re
import signal

import pytest

from inventory.load import load
from tests.system.checkout import Checkout, kill_group, wait_until

GUESTS = set(load("inventory/homelab.toml").guests())


def command_of(kind: str, name: str, checkout: Checkout) -> dict[str, object]:
    """State of the command that is a child of the component NAME of KIND."""
    return next(
        item
        for item in checkout.resources()
        if item["type"] == "command:local:Command" and item["urn"].endswith(f"::{name}") and kind in item["urn"]
    )


def test_an_interrupted_up_is_healed_by_the_next(newcomer: Checkout) -> None:
    """First of its group: the next tests have the homelab that it leaves. Where others had it before, it is taken away first."""
    if newcomer.resources():
        down = newcomer.ops("down")
        assert down.code == 0, down.text

    process = newcomer.start(newcomer.python, "-m", "ops", "--stack", "sim", "up")
    # Nodes are configured one after the other, and guests after theirs. Looked for where the simulator keeps them: to ask
    # it, again and again, would take as much of the machine as the deployment.
    guests = newcomer.path / ".aether/sim/pve/guests"
    wait_until("some guests exist", lambda: len(list(guests.glob("*.json"))) >= 3, 900)
    kill_group(process, signal.SIGKILL)
    state = newcomer.path / ".aether/state/.pulumi/stacks/aether"
    assert not list(state.glob("*.attrs")), "a file that is not replaced in one step"
    # What the engine's kill left of such a file by an earlier version.
    (state / "sim.json.attrs").touch()

    plugins = newcomer.processes("pulumi-home/plugins/")
    assert plugins
    healed = newcomer.up()
    assert healed.code == 0, healed.text
    wait_until("its plugins are gone", lambda: not plugins & newcomer.processes("pulumi-home/plugins/"))
    assert set(newcomer.guests()) == GUESTS
    assert set(newcomer.preview().changes()) == {"unchanged"}


def test_every_guest_runs_the_system_of_its_own(checkout: Checkout) -> None:
    status = checkout.ops("status")
    assert status.code == 0, status.text
    for guest in GUESTS:
        # Generation 1 is the image's; which one is the newest depends on the tests before this one.
        shown = re.search(rf"^{guest} .* running(?:, needs a reboot)? +(\d+) ", status.text, re.MULTILINE)
        assert shown, status.text
        assert int(shown[1]) >= 2
        assert checkout.ssh(guest, "hostname").text.strip() == guest
        assert f"-nixos-system-{guest}-" in checkout.ssh(guest, f"readlink /nix/var/nix/profiles/system-{shown[1]}-link").text
        assert "-nixos-system-" in checkout.ssh(guest, "readlink /nix/var/nix/profiles/system-1-link").text


def test_a_second_preview_is_empty_after_up_and_after_refresh(checkout: Checkout) -> None:
    assert set(checkout.preview().changes()) == {"unchanged"}
    refreshed = checkout.ops("refresh")
    assert refreshed.code == 0, refreshed.text
    after = checkout.preview()
    assert set(after.changes()) == {"unchanged"}, after.text


def test_touching_one_hosts_file_names_that_host_alone(settled: Checkout) -> None:
    settled.replace("nix/hosts/niobe/cockpit.nix", "{\n", '{\n  environment.variables.TOUCHED = "1";\n')
    preview = settled.preview()
    assert preview.changes()["to update"] == 1, preview.text
    changed = re.findall(r"urn=urn:pulumi:\S+::(\S+)\]", preview.text)
    assert {name for name in changed if name in GUESTS} == {"cockpit"}
    # What is inside the change, as far as is known without Nix.
    assert "\ncockpit:\n  ~ sources: nix/hosts/niobe/cockpit.nix\n" in preview.text, preview.text
    up = settled.up()
    assert up.code == 0, up.text
    assert "cockpit: committed as generation" in up.text
    assert up.text.count("committed as generation") == 1


def test_a_size_changes_in_place(checkout: Checkout) -> None:
    before = next(item for item in checkout.resources() if item["urn"].endswith("VmLegacy::cockpit"))
    place = 'vmid = 122\naddress = "192.168.10.22"\n'
    boot = checkout.ssh("cockpit", "cat /proc/sys/kernel/random/boot_id").text
    size = "cpu = 1\nmemory = %d\ndisks = [{ size = %d }]"
    checkout.replace("inventory/homelab.toml", place + size % (1024, 16), place + size % (1280, 20))
    up = checkout.up()
    assert up.code == 0, up.text
    after = next(item for item in checkout.resources() if item["urn"].endswith("VmLegacy::cockpit"))
    macs = [item["outputs"]["networkDevices"][0]["macAddress"] for item in (before, after)]
    assert macs[0] == macs[1], "the guest was replaced"
    assert "size=20G" in checkout.ssh("niobe", "qm config 122 | grep ^scsi0").text
    assert "new memory: 1280" in checkout.ssh("niobe", "qm pending 122").text, "until its reboot, which nobody asked for"
    assert checkout.ssh("cockpit", "cat /proc/sys/kernel/random/boot_id").text == boot
    assert set(checkout.preview().changes()) == {"unchanged"}
    # A disk cannot shrink: the checkout keeps the new sizes.


def test_no_private_key_is_in_the_state_or_the_log(checkout: Checkout) -> None:
    keys = [
        path.read_text().splitlines()[1] for path in (checkout.path / ".aether/sim/keys/hosts").iterdir() if path.suffix != ".pub"
    ]
    assert len(keys) >= len(GUESTS)
    places = [path for folder in ("state", "logs") for path in (checkout.path / ".aether" / folder).rglob("*") if path.is_file()]
    assert places
    for path in places:
        text = path.read_text(errors="replace")
        assert "PRIVATE KEY" not in text, path
        assert not [key for key in keys if key in text], path


@pytest.mark.parametrize("host", ["gateway", "keycloak"])
def test_a_guest_that_was_lost_is_made_and_configured_again(checkout: Checkout, host: str) -> None:
    kind = "qm" if host == "gateway" else "pct"
    vmid = checkout.guests()[host]["vmid"]
    gone = checkout.ssh("oracle", f"{kind} stop {vmid} && {kind} destroy {vmid} --purge")
    assert gone.code == 0, gone.text
    up = checkout.up("--refresh")
    assert up.code == 0, up.text
    assert f"{host}: committed as generation 2" in up.text
    assert checkout.ssh(host, "hostname").text.strip() == host
    assert set(checkout.preview().changes()) == {"unchanged"}


def test_what_is_destroyed_is_gone(checkout: Checkout) -> None:
    """Last of its group."""
    down = checkout.ops("down")
    assert down.code == 0, down.text
    assert checkout.resources() == []
    assert checkout.sim("status").code != 0, "the simulator still runs"
