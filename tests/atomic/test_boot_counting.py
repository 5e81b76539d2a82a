"""The boots of a bad deployment are counted, by the real GRUB, on a host rebased from stock; else greenboot is not armed.

greenboot itself is the real program where `greenboot` is among the checkers (greenboot-rs 0.16.4, from its source; no registry
has it), and a fake (greenboot.sh) elsewhere.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.atomic import loader, sysroot
from tests.atomic.sysroot import HERE, Machine

ROOT = HERE.parents[1]
SCRIPTS = ROOT / "components/atomic/scripts"
RED = {"/usr/lib/greenboot/check/required.d/99-bad.sh": "exit 1\n"}
# As greenboot 0.16.4 has them, but for what no test needs.
UNITS = {
    "greenboot-healthcheck.service": """\
Before=boot-complete.target
Wants=greenboot-success.target
RequiresMountsFor=/boot
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/libexec/greenboot/greenboot health-check
[Install]
RequiredBy=greenboot-success.target
WantedBy=multi-user.target
""",
    "greenboot-set-rollback-trigger.service": """\
DefaultDependencies=no
After=ostree-finalize-staged.service
RequiresMountsFor=/boot
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStop=/usr/libexec/greenboot/greenboot set-rollback-trigger
[Install]
RequiredBy=ostree-finalize-staged.service
""",
    "greenboot-success.target": "After=greenboot-healthcheck.service\nRequires=boot-complete.target\n",
}


def greenboot() -> Path:
    real = sysroot.programs().parent / "greenboot"
    return real if real.exists() else HERE / "greenboot.sh"


def add_greenboot(tree: Path) -> None:
    """What Fedora's packages bring: greenboot, rpm-ostree, GRUB's tool by Fedora's name."""
    for name, text in UNITS.items():
        (tree / "usr/lib/systemd/system" / name).write_text(f"[Unit]\n{text}")
    for place, program in {
        "usr/libexec/greenboot/greenboot": greenboot(),
        "usr/bin/rpm-ostree": HERE / "rpm-ostree.sh",
    }.items():
        (tree / place).parent.mkdir(exist_ok=True)
        shutil.copy(program, tree / place)
    bootc = tree / "usr/bin/bootc"
    bootc.write_text('#!/bin/sh\necho \'{"status": {"booted": {"image": null}}}\'\n')
    bootc.chmod(0o755)
    (tree / "usr/bin/grub2-editenv").symlink_to("grub-editenv")
    for kind in ("check/required.d", "check/wanted.d", "green.d", "red.d"):
        for place in ("usr/lib/greenboot", "etc/greenboot"):
            (tree / place / kind).mkdir(parents=True, exist_ok=True)
    (tree / "etc/motd.d").mkdir(exist_ok=True)
    # greenboot lets a container alone; this one stands for a machine.
    (tree / "usr/bin/systemd-detect-virt").unlink()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A host whose boot loader is that of a stock system, with the image on it."""
    if why := sysroot.may() or loader.may():
        pytest.skip(why)
    work = tmp_path_factory.mktemp("host") / "work"
    work.mkdir()
    with Machine(work) as made:
        made.build("one", add_greenboot)
        made.derive("red", "one", RED)
        made.derive("panics", "one", {"/usr/lib/panics": ""})
        made.install("one")
        loader.install(made)
        yield made


def start(host: Machine, stays: bool = True) -> int:
    """Power on: GRUB chooses, the system boots. STAYS: it does not reboot by itself."""
    entry = loader.choose(host)
    host.boot(entry, wait=stays)
    if not stays:
        host.ended()
    return entry


def status(host: Machine) -> str:
    host.eventually(lambda: host.active("aether-boot-counting.service") != "activating", "says whether it is armed")
    return host.run("/usr/libexec/aether/boot-counting", "status", check=False).strip()


def armed(host: Machine) -> str:
    """What `aether status` is told: why it is not armed, and what to do; empty where it is."""
    return host.run("bash", "-c", (SCRIPTS / "armed.sh").read_text(), check=False).strip()


def arm(host: Machine, checks: str) -> None:
    """As rebase.sh does it."""
    made = subprocess.run([SCRIPTS / "arming.sh", "kinoite"], input=checks.encode(), capture_output=True, check=True, cwd=ROOT)
    host.run("bash", "-c", (SCRIPTS / "arm.sh").read_text(), feed=made.stdout)


@pytest.fixture
def counted(host: Machine) -> None:
    """Up, its boots are counted, and what runs at boot has run; also where its test is the only one that is run."""
    for _ in range(2):
        if not host.on:
            start(host)
        if status(host) == "armed":
            break
        host.shutdown()
    assert (host.on, host.deployments()[0]) == (True, ("booted", "one"))
    host.eventually(lambda: host.active("greenboot-healthcheck.service") == "active", "is green")


def stage(host: Machine, image: str) -> None:
    host.run("ostree", "admin", "deploy", "--stage", image)
    host.eventually(lambda: host.active("ostree-finalize-staged.service") == "active", "is ready to finalize it")


def images(host: Machine) -> list[str]:
    return [image for _, image in host.deployments()]


def test_the_first_boot_of_the_image_is_not_armed_and_the_second_is(host: Machine) -> None:
    start(host)
    assert status(host).startswith("not armed: the boot loader did not count this boot; after the first boot of this image")
    assert armed(host).endswith("from the next one on. Fix: reboot it once")
    assert host.active("greenboot-healthcheck.service") == "inactive", "it would reboot what is red for ever"
    host.shutdown()
    assert start(host) == 0
    assert (status(host), armed(host)) == ("armed", "")
    host.eventually(lambda: host.active("greenboot-healthcheck.service") == "active", "is green")
    assert loader.environment(host)["boot_success"] == "1"


@pytest.mark.usefixtures("counted")
def test_a_kernel_that_never_comes_up_uses_its_tries_and_the_one_before_is_booted_and_stays(host: Machine) -> None:
    panics(host, known=True)


@pytest.mark.usefixtures("counted")
@pytest.mark.long
def test_it_stays_also_where_greenboot_does_not_know_what_was_to_be_booted(host: Machine) -> None:
    """Before 0.16.4 it wrote nothing down: the next boot would be of the bad one again."""
    panics(host, known=False)


def panics(host: Machine, known: bool) -> None:
    stage(host, "panics")
    host.shutdown()
    assert loader.environment(host)["greenboot_next_deployment_id"].startswith(host.commit("panics"))
    if not known:
        loader.forget(host, "greenboot_next_deployment_id")
    assert loader.environment(host)["boot_counter"] == "3"
    # Nothing but GRUB runs in these.
    assert [loader.choose(host) for _ in range(3)] == [0, 0, 0]
    assert start(host) == 1
    host.eventually(lambda: host.active("greenboot-healthcheck.service") == "active", "is green")
    assert images(host)[0] == "one"
    assert "boot_counter" not in loader.environment(host)
    host.shutdown()
    assert start(host) == 0
    assert host.deployments()[0] == ("booted", "one")


@pytest.mark.usefixtures("counted")
@pytest.mark.long
def test_one_that_greenboot_finds_red_boots_three_times_and_is_rolled_back(host: Machine) -> None:
    stage(host, "red")
    host.shutdown()
    counts = []
    for _ in range(3):
        assert start(host, stays=False) == 0
        counts.append(loader.environment(host).get("boot_counter"))
    # greenboot rolls back at the end of the third, and the next counts again.
    assert counts == ["2", "1", None]
    assert start(host) == 0
    assert host.deployments()[0] == ("booted", "one")
    host.eventually(lambda: host.active("greenboot-healthcheck.service") == "active", "is green")


@pytest.mark.usefixtures("counted")
@pytest.mark.long
def test_an_image_that_gives_no_try_back_gets_none(host: Machine) -> None:
    """Bazzite, or stock: its boots would be counted, and a good one would lose its place after three."""
    host.without("bare", "one", "usr/libexec/aether")
    stage(host, "bare")
    host.shutdown()
    assert "boot_counter" not in loader.environment(host)
    # Back to the image that this is about.
    start(host)
    host.run("rpm-ostree", "rollback")
    host.shutdown()
    assert start(host) == 0
    assert host.deployments()[0] == ("booted", "one")


# What an own image adds to greenboot, so that boots are counted.
OWN = (
    *("usr/libexec/aether", "usr/share/aether", "usr/lib/greenboot/check/required.d/50-aether.sh"),
    *(f"usr/lib/systemd/system/{name}" for name in ("aether-boot-counting.service", "greenboot-healthcheck.service.d")),
    "usr/etc/systemd/system/multi-user.target.wants/aether-boot-counting.service",
)


@pytest.mark.usefixtures("counted")
@pytest.mark.long
def test_an_image_of_others_that_has_greenboot_is_armed_from_outside(host: Machine) -> None:
    """Bazzite: greenboot is in it and enabled, and nobody counts. What does lies in /etc, and goes along to its next image."""
    host.without("others", "one", *OWN)
    host.derive("others-panics", "others", {"/usr/lib/panics": ""})
    stage(host, "others")
    host.shutdown()
    # As on a machine that never had another.
    (host.there("/boot/grub2") / "custom.cfg").unlink()
    loader.forget(host, "aether_counted")
    start(host)
    assert armed(host) == "its image has greenboot and does not bring what counts boots. Fix: the next `up` of it brings that"
    arm(host, "unit\tdbus.service\t-\t60\n")
    written = host.run("stat", "--format=%n %Y %i", *host.run("find", "/etc/aether", "-type", "f").split())
    arm(host, "unit\tdbus.service\t-\t60\n")
    assert host.run("stat", "--format=%n %Y %i", *host.run("find", "/etc/aether", "-type", "f").split()) == written
    host.shutdown()
    assert start(host) == 0
    host.eventually(lambda: host.active("aether-boot-counting.service") == "active", "looks at its boot loader")
    assert armed(host).endswith("Fix: reboot it once")
    host.shutdown()
    assert start(host) == 0
    host.eventually(lambda: host.active("aether-boot-counting.service") == "active", "looks at its boot loader")
    assert armed(host) == ""
    host.eventually(lambda: host.active("greenboot-healthcheck.service") == "active", "is green")

    stage(host, "others-panics")
    host.shutdown()
    assert loader.environment(host)["boot_counter"] == "3"
    assert [loader.choose(host) for _ in range(3)] == [0, 0, 0]
    assert start(host) == 1
    host.eventually(lambda: host.active("greenboot-healthcheck.service") == "active", "is green")
    assert (images(host)[0], armed(host)) == ("others", "")

    arm(host, "unit\tnobody-has-this.service\t-\t0\n")
    said = host.run("sh", "-c", "/etc/greenboot/check/required.d/50-aether.sh 2>&1 || true")
    assert "not healthy: unit nobody-has-this.service" in said
    # An own image brings it all: what was put beside the other goes.
    stage(host, "one")
    host.shutdown()
    start(host)
    arm(host, "")
    assert "aether" not in host.run("find", "/etc/aether", "/etc/greenboot/check/required.d", check=False)
    assert (
        host.run("systemctl", "show", "--property=FragmentPath", "aether-boot-counting.service")
        .strip()
        .endswith("=/usr/lib/systemd/system/aether-boot-counting.service")
    )
    host.shutdown()
    assert start(host) == 0
    assert status(host) == "armed"


@pytest.mark.usefixtures("counted")
def test_what_others_wrote_into_custom_cfg_stays_and_a_count_of_grubs_own_is_not_doubled(host: Machine) -> None:
    grub = host.there("/boot/grub2")
    own, config = (grub / "custom.cfg").read_text(), (grub / "grub.cfg").read_text()
    assert own.count("boot_success=0") == 1
    (grub / "custom.cfg").write_text(f"set color_normal=white/black\n{own}")
    (grub / "grub.cfg").write_text(config.replace(loader.CUSTOM, f"# with greenboot's:\ndecrement boot_counter\n{loader.CUSTOM}"))
    host.run("systemctl", "restart", "aether-boot-counting.service")
    written = (grub / "custom.cfg").read_text()
    assert written.startswith("set color_normal=white/black\n# Aether, begin")
    assert "boot_success" not in written and "save_env aether_counted" in written
    (grub / "grub.cfg").write_text(config)
    host.run("systemctl", "restart", "aether-boot-counting.service")
    assert (grub / "custom.cfg").read_text() == f"set color_normal=white/black\n{own}"


@pytest.mark.usefixtures("counted")
def test_a_boot_loader_that_does_not_count_is_said_and_a_red_host_stays_up(host: Machine) -> None:
    config = host.there("/boot/grub2/grub.cfg")
    config.write_text(config.read_text().replace(loader.CUSTOM, ""))
    stage(host, "red")
    host.shutdown()
    assert "boot_counter" not in loader.environment(host)
    assert start(host) == 0
    wrong = "/boot/grub2/grub.cfg reads no custom.cfg. Fix: grub2-mkconfig -o /boot/grub2/grub.cfg"
    assert (status(host), armed(host)) == (f"not armed: {wrong}", wrong)
    host.eventually(lambda: host.active("multi-user.target") == "active", "comes up")
    assert host.active("greenboot-healthcheck.service") == "inactive"
    assert host.deployments()[0] == ("booted", "red")
