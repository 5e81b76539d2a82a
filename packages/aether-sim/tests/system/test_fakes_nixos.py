"""NixOS hosts: build, copy, activate, profiles, boot loader; what the real tools refuse is refused."""

import json
from collections.abc import Iterator

import pytest

from aether_sim.paths import REPO
from aether_sim.testing import Simulator, started, wait_until
from components.nixos.desired import expression
from inventory.generate import new_signing_key

PROFILE = "/nix/var/nix/profiles/system"
TOPLEVEL = '.#nixosConfigurations."metal".config.system.build.toplevel'


@pytest.fixture(scope="module")
def module_sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    yield from started(tmp_path_factory.mktemp("nixos"))


@pytest.fixture
def sim(module_sim: Simulator) -> Iterator[Simulator]:
    """A running simulator whose host `metal` is on the system of its image, without faults."""
    yield module_sim
    module_sim.cli("fault", "--clear")
    module_sim.cli("power", "metal", "off")
    image = f"rm -rf {PROFILE}-[2-9]-link {PROFILE}-1[0-9]-link; ln -sfn system-1-link {PROFILE}; rm -f /boot/loader/entries/*"
    module_sim.cli("power", "metal", "on")
    wait_until("the host is up", lambda: module_sim.answers("metal"))
    assert module_sim.ssh("metal", image).code == 0
    module_sim.reboot("metal")


def built(sim: Simulator) -> str:
    """The system of host `metal`, built and copied to it."""
    done = sim.nix("build", "--no-link", "--print-out-paths", TOPLEVEL)
    assert done.code == 0, done.err
    path = done.out.strip()
    copied = sim.copied(path)
    assert copied.code == 0, copied.err
    return path


def test_a_system_is_activated_and_committed(sim: Simulator) -> None:
    image = sim.ssh("metal", "readlink -f /run/current-system").out.strip()
    path = built(sim)
    assert path.startswith("/nix/store/")
    assert built(sim) == path
    dry = sim.ssh("metal", f"{path}/bin/switch-to-configuration dry-activate")
    # What is new is started by the target that wants it, and not told before.
    assert "would activate the configuration" in dry.err and "web.service" not in dry.err
    assert sim.ssh("metal", "systemctl is-active web").out.strip() == "inactive"
    done = sim.ssh("metal", f"{path}/bin/switch-to-configuration test")
    assert done.code == 0, done.err
    assert "the following new units were started: web.service" in done.err
    address = sim.endpoints()["metal"]["address"]
    assert sim.ssh("metal", f"echo > /dev/tcp/{address}/8080 && systemctl is-active web").out.strip() == "active"
    # A trial is not the boot default.
    sim.reboot("metal")
    assert sim.ssh("metal", "readlink -f /run/current-system").out.strip() == image
    assert sim.ssh("metal", f"nix-env -p {PROFILE} --set {path} && {path}/bin/switch-to-configuration switch").code == 0
    sim.reboot("metal")
    assert sim.ssh("metal", "readlink -f /run/booted-system").out.strip() == path
    # The boot was blessed: no counter is left in the entry's name.
    assert "nixos-generation-2.conf" in sim.ssh("metal", "ls /boot/loader/entries").out.split()


def test_a_path_that_nobody_signed_is_refused(sim: Simulator) -> None:
    path = sim.nix("build", "--no-link", "--print-out-paths", TOPLEVEL).out.strip()
    sim.ssh("metal", f"rm -rf {path}")
    (sim.state / "store/.signatures" / path.rpartition("/")[2]).unlink(missing_ok=True)
    refused = sim.nix("copy", "--to", "ssh-ng://metal", path)
    assert refused.code == 1
    assert f"cannot add path '{path}' because it lacks a signature by a trusted key" in refused.err
    other = sim.state / "other-key"
    other.write_text(new_signing_key("other-1"))
    assert sim.nix("store", "sign", "-k", str(other), path).code == 0
    assert "lacks a signature by a trusted key" in sim.nix("copy", "--to", "ssh-ng://metal", path).err
    assert sim.copied(path).code == 0
    sim.ssh("metal", f"rm -rf {path}")
    assert sim.nix("copy", "--no-check-sigs", "--to", "ssh-ng://metal", path).code == 0, "the daemon trusts root"


def test_profiles(sim: Simulator) -> None:
    path = built(sim)
    assert sim.ssh("metal", f"nix-env -p {PROFILE} --set /nix/store/{'a' * 32}-nothing").code != 0
    assert sim.ssh("metal", f"nix-env -p {PROFILE} --set /etc").code != 0
    assert sim.ssh("metal", f"nix-env -p {PROFILE} --rollback").code != 0
    assert sim.ssh("metal", f"nix-env -p {PROFILE} --set {path}").code == 0
    assert sim.ssh("metal", f"nix-env -p {PROFILE} --list-generations").out.splitlines()[-1].split()[0] == "2"
    # The same system again is no new generation.
    assert sim.ssh("metal", f"nix-env -p {PROFILE} --set {path}; readlink {PROFILE}").out.strip() == "system-2-link"
    assert sim.ssh("metal", f"nix-env -p {PROFILE} --rollback; readlink {PROFILE}").out.splitlines()[-1] == "system-1-link"
    assert sim.ssh("metal", f"nix-store --delete {path}").code != 0
    assert "alive" in sim.ssh("metal", f"nix-store --delete {path}").err
    assert "Permission denied" in sim.ssh("metal", f"nix-env -p {PROFILE} --set {path}", "", "-l", "mitso").err


def test_refusals_of_activation_and_store(sim: Simulator) -> None:
    path = built(sim)
    assert "must be run as the root user" in sim.ssh("metal", f"{path}/bin/switch-to-configuration test", "", "-l", "mitso").err
    assert "Usage" in sim.ssh("metal", f"{path}/bin/switch-to-configuration").err
    held = f"mkdir -p /run/nixos; flock /run/nixos/switch-to-configuration.lock {path}/bin/switch-to-configuration test"
    assert "Could not acquire lock" in sim.ssh("metal", held).err
    assert sim.nix("copy", "--to", "ssh-ng://metal", f"/nix/store/{'b' * 32}-nothing").code != 0
    assert "not provide attribute" in sim.nix("build", TOPLEVEL.replace("metal", "nobody")).err
    assert sim.nix("copy", "--to", "ssh-ng://debian", path).code != 0
    assert sim.ssh("debian", f"ls {path}").code != 0


@pytest.mark.fault
def test_disk_full_leaves_no_half_copy(sim: Simulator) -> None:
    path = sim.nix("build", "--no-link", "--print-out-paths", TOPLEVEL).out.strip()
    sim.ssh("metal", f"rm -rf {path}")
    sim.fault("metal", "disk-full")
    done = sim.copied(path)
    assert done.code != 0
    assert "No space left on device" in done.err
    assert sim.ssh("metal", f"ls -d {path} /nix/store/.incoming*").out == ""
    sim.fault("metal", "disk-full", off=True)
    assert sim.copied(path).code == 0


@pytest.mark.fault
def test_health_fault_fails_units_of_a_new_system_only(sim: Simulator) -> None:
    path = built(sim)
    old = sim.ssh("metal", "readlink -f /run/current-system").out.strip()
    sim.fault("metal", "health")
    sim.ssh("metal", f"{path}/bin/switch-to-configuration test")
    wait_until("the unit has failed", lambda: sim.ssh("metal", "systemctl is-failed web").code == 0)
    assert "injected fault" in sim.ssh("metal", "journalctl -u web -n 5").out
    assert sim.ssh("metal", "systemctl is-system-running").out.strip() == "degraded"
    # What had failed is forgotten where the next system does not start it.
    assert sim.ssh("metal", f"{old}/bin/switch-to-configuration test").code == 0
    sim.fault("metal", "health", off=True)
    assert sim.ssh("metal", f"{path}/bin/switch-to-configuration test").code == 0
    assert sim.ssh("metal", "systemctl is-active web").code == 0


@pytest.mark.fault
def test_ssh_lost_after_activation_comes_back_with_the_old_system(sim: Simulator) -> None:
    path = built(sim)
    old = sim.ssh("metal", "readlink -f /run/current-system").out.strip()
    sim.fault("metal", "ssh-lost")
    assert sim.answers("metal")
    # The revert is armed inside the host and fires with nobody logged in.
    sim.ssh("metal", f"systemd-run --on-active=2 --unit=revert {old}/bin/switch-to-configuration test")
    assert sim.ssh("metal", f"{path}/bin/switch-to-configuration test").code == 0
    assert not sim.answers("metal")
    wait_until("the host reverts on its own", lambda: sim.answers("metal"))
    assert sim.ssh("metal", "readlink -f /run/current-system").out.strip() == old


@pytest.mark.fault
def test_boot_counting_falls_back_and_tells(sim: Simulator) -> None:
    image = sim.ssh("metal", "readlink -f /run/current-system").out.strip()
    path = built(sim)
    sim.fault("metal", "no-boot")
    sim.ssh("metal", f"nix-env -p {PROFILE} --set {path} && {path}/bin/switch-to-configuration boot")
    assert "nixos-generation-2+3.conf" in sim.ssh("metal", "ls /boot/loader/entries").out.split()
    sim.reboot("metal")
    assert sim.ssh("metal", "readlink -f /run/booted-system").out.strip() == image
    assert "nixos-generation-2+0-3.conf" in sim.ssh("metal", "ls /boot/loader/entries").out.split()


@pytest.mark.fault
def test_without_boot_counting_a_bad_system_stays_down(sim: Simulator) -> None:
    path = built(sim)
    sim.ssh("metal", f"nix-env -p {PROFILE} --set {path} && {path}/bin/switch-to-configuration boot")
    sim.ssh("metal", "mv /boot/loader/entries/nixos-generation-2+3.conf /boot/loader/entries/nixos-generation-2.conf")
    sim.fault("metal", "no-boot")
    sim.ssh("metal", "reboot")
    wait_until("it does not come up", lambda: "no-boot" in sim.status()["hosts"]["metal"]["reason"])
    assert not sim.answers("metal")


@pytest.mark.fault
def test_identity_faults(sim: Simulator) -> None:
    sim.fault("metal", "wrong-host")
    assert sim.ssh("metal", "hostname").out == "some-other-host\n"
    sim.fault("metal", "wrong-host", off=True)
    assert sim.ssh("metal", "hostname").out == "metal\n"
    sim.fault("metal", "key-mismatch")
    refused = sim.ssh("metal", "true")
    assert refused.code == 255
    sim.fault("metal", "key-mismatch", off=True)
    sim.ssh("metal", "true")
    sim.fault("metal", "unreachable")
    assert sim.ssh("metal", "true").code == 255
    sim.fault("metal", "unreachable", off=True)
    assert sim.answers("metal")


@pytest.mark.fault
def test_fault_names_are_checked(sim: Simulator) -> None:
    unknown = sim.cli("fault", "metal", "no-such-fault")
    assert unknown.code == 1
    assert "--list" in unknown.err
    assert sim.cli("fault", "nobody", "health").code == 1
    listing = sim.cli("fault", "--list").out
    for name in ("health", "ssh-lost", "disk-full", "node-offline", "quorum-lost", "storage-full", "greenboot-red"):
        assert name in listing
    sim.fault("metal", "boot-slow")
    assert "on: metal boot-slow" in sim.cli("fault", "--list").out
    assert sim.cli("fault", "--clear").code == 0
    assert "on: metal" not in sim.cli("fault", "--list").out


def test_operator_nix(sim: Simulator) -> None:
    drv = sim.nix("eval", "--raw", TOPLEVEL + ".drvPath").out
    assert drv.startswith("/nix/store/") and drv.endswith(".drv")
    many = sim.nix(
        "eval", "--json", f"{REPO}#nixosConfigurations",
        "--apply", expression({"metal": "metal"}),
    )  # fmt: skip
    assert json.loads(many.out) == {"metal": {"drv": drv, "boots": {}, "system": {}}}
    by_drv = sim.nix("build", "--no-link", "--print-out-paths", f"{drv}^out").out.strip()
    assert by_drv == built(sim)
    image = sim.nix("build", "--no-link", "--print-out-paths", ".#packages.x86_64-linux.proxmox-vm").out.strip()
    assert image.endswith("proxmox-vm")
    assert "not simulated" in sim.nix("profile", "install", "x").err
    assert sim.nix("store", "diff-closures", by_drv, by_drv).out == ""
