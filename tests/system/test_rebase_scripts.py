"""The rebase of a Fedora Atomic host by its script alone: rebase.sh against a real SSH server, without the engine."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aether_sim.testing import Outcome, Simulator, started, wrapped_ssh
from inventory.files import REPOSITORY

IMAGE = "ghcr.io/ublue-os/kinoite-main"
OWN = "ghcr.io/example/aether-kinoite"
DIGESTS = [f"sha256:{letter * 64}" for letter in "abc"]


@pytest.fixture
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    yield from started(tmp_path_factory.mktemp("rebase"))


def rebase(sim: Simulator, digest: str, **environment: str) -> Outcome:
    own = {
        "AETHER_HOST": "kinoite",
        "AETHER_HOSTNAME": "kinoite",
        "AETHER_IMAGE": IMAGE,
        "AETHER_DIGEST": digest,
        "AETHER_SIGNED": "no",
        "AETHER_REBOOT": "now",
        "AETHER_CHECKS": "",
        "AETHER_BOOT_TIMEOUT": "60",
    }
    return sim.script("components/atomic/scripts/rebase.sh", {**own, **environment})


def opened(folder: Path) -> list[str]:
    """SSH connections of the operator's, without those that ask whether the host is back from its boot."""
    asked = (folder / "asked").read_text().splitlines()
    return [
        line
        for line in asked
        if ("ControlMaster=yes" in line or "ControlPath=none" in line) and "/proc/sys/kernel/random/boot_id" not in line
    ]


def test_one_connection_a_boot(sim: Simulator, tmp_path: Path) -> None:
    done = rebase(sim, DIGESTS[0], **wrapped_ssh(tmp_path / "first", ""))
    assert done.code == 0, done.err
    assert f"booted {DIGESTS[0]}, green" in done.err
    assert done.out == f"{DIGESTS[0]} -\n"
    assert len(opened(tmp_path / "first")) == 2
    again = rebase(sim, DIGESTS[0], **wrapped_ssh(tmp_path / "again", ""))
    assert again.code == 0, again.err
    assert "runs it already" in again.err
    assert len(opened(tmp_path / "again")) == 1


def test_staged_for_the_window_and_booted_by_nobody(sim: Simulator) -> None:
    assert rebase(sim, DIGESTS[0]).code == 0
    staged = rebase(sim, DIGESTS[1], AETHER_REBOOT="window", AETHER_WINDOW="Sun 03:00")
    assert staged.code == 0, staged.err
    assert staged.out == f"{DIGESTS[0]} {DIGESTS[1]}\n"
    assert "staged; boots it in the maintenance window (Sun 03:00)" in staged.err
    assert sim.ssh("kinoite", "systemctl is-active aether-reboot.timer").out.strip() == "active"


def deployments(sim: Simulator) -> list[dict[str, Any]]:
    return list(json.loads(sim.ssh("kinoite", "rpm-ostree status --json").out)["deployments"])


def test_one_deployment_is_pinned_the_one_that_was_proved_last(sim: Simulator) -> None:
    """Each pinned one holds a kernel on /boot, which is small."""
    for digest in DIGESTS:
        done = rebase(sim, digest)
        assert done.code == 0, done.err
    pinned = [item["container-image-reference-digest"] for item in deployments(sim) if item["pinned"]]
    assert pinned == [DIGESTS[1]]


def test_a_host_is_armed_where_its_boot_loader_counts_and_said_to_be_unarmed_elsewhere(sim: Simulator) -> None:
    """Whoever lets a maintenance window boot an image has to know that nobody takes it back there."""
    armed = rebase(sim, DIGESTS[0], AETHER_IMAGE=OWN)
    assert armed.code == 0, armed.err
    assert "not armed" not in armed.err
    sim.fault("kinoite", "no-boot-counting")
    staged = rebase(sim, DIGESTS[1], AETHER_IMAGE=OWN, AETHER_REBOOT="never")
    assert staged.code == 0, staged.err
    assert (
        "while the host answers; it is not armed: /boot/grub2/grub.cfg reads no custom.cfg. "
        "Fix: grub2-mkconfig -o /boot/grub2/grub.cfg\n" in staged.err
    )


def test_an_image_without_greenboot_cannot_be_armed() -> None:
    """This machine is none that has it."""
    done = subprocess.run(["components/atomic/scripts/armed.sh"], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.startswith('its image has no greenboot. Fix: have `up` boot its images (reboot = "now"')
    made = subprocess.run(
        ["components/atomic/scripts/arming.sh", "here"], input=b"", capture_output=True, check=True, cwd=REPOSITORY
    )
    left = subprocess.run(["bash", "components/atomic/scripts/arm.sh"], input=made.stdout, check=False, cwd=REPOSITORY)
    assert (left.returncode, Path("/etc/aether").exists()) == (0, False)


def test_what_counts_boots_is_put_beside_greenboot_where_an_image_of_others_has_it(sim: Simulator) -> None:
    """Bazzite. tests/atomic has it count, with a real GRUB."""
    checks = "unit\tsshd.service\t-\t60\n"
    done = rebase(sim, DIGESTS[0], AETHER_CHECKS=checks)
    assert done.code == 0, done.err
    # Its own word: a simulated machine has no GRUB.
    assert "it is not armed: GRUB does not boot this machine (/boot/grub2/grub.cfg, /boot/grub2/grubenv). Fix: " in done.err
    assert sim.ssh("kinoite", "cat /etc/aether/checks/kinoite").out == checks
    assert "ExecStart=/usr/bin/bash /etc/aether/boot-counting start" in sim.ssh(
        "kinoite", "cat /etc/systemd/system/aether-boot-counting.service").out  # fmt: skip
    # An own image has it.
    assert rebase(sim, DIGESTS[1], AETHER_IMAGE=OWN).code == 0
    assert rebase(sim, DIGESTS[1], AETHER_IMAGE=OWN).code == 0
    assert sim.ssh("kinoite", "test -e /etc/aether || test -e /etc/systemd/system/aether-boot-counting.service").code == 1


def test_what_a_window_booted_and_is_not_healthy_does_not_take_the_pin(sim: Simulator) -> None:
    assert rebase(sim, DIGESTS[0]).code == 0
    assert rebase(sim, DIGESTS[1], AETHER_REBOOT="window", AETHER_WINDOW="Sun 03:00").code == 0
    sim.reboot("kinoite")
    wrong = rebase(sim, DIGESTS[2], AETHER_REBOOT="never", AETHER_CHECKS="command\tfalse\t-\t0\n")
    assert wrong.code == 0, wrong.err
    assert "what it runs now is not healthy (command false): the deployment that is pinned stays the one before" in wrong.err
    assert [item["container-image-reference-digest"] for item in deployments(sim) if item["pinned"]] == [DIGESTS[0]]


@pytest.mark.fault
def test_no_room_on_boot_is_said_before_anything_is_changed(sim: Simulator) -> None:
    kernel = "/boot/ostree/default-1/vmlinuz"
    assert sim.ssh("kinoite", f"mkdir -p $(dirname {kernel}) && truncate -s 4T {kernel}").code == 0
    before = deployments(sim)
    refused = rebase(sim, DIGESTS[0])
    assert refused.code == 60
    assert re.search(r"/boot has \d+ MiB left and a deployment takes 419430[45]: nothing was changed", refused.err), refused.err
    assert deployments(sim) == before


@pytest.mark.fault
def test_another_name_is_refused_before_anything_is_changed(sim: Simulator) -> None:
    before = sim.ssh("kinoite", "rpm-ostree status --json").out
    refused = rebase(sim, DIGESTS[2], AETHER_HOSTNAME="other")
    assert refused.code == 21
    assert "this machine calls itself kinoite, not other; nothing was changed" in refused.err
    assert sim.ssh("kinoite", "rpm-ostree status --json").out == before
