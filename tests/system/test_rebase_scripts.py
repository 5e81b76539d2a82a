"""The rebase of a Fedora Atomic host by its script alone: rebase.sh against a real SSH server, without the engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.sim_lab import Outcome, Simulator, started, wrapped_ssh

IMAGE = "ghcr.io/ublue-os/kinoite-main"
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


@pytest.mark.fault
def test_another_name_is_refused_before_anything_is_changed(sim: Simulator) -> None:
    before = sim.ssh("kinoite", "rpm-ostree status --json").out
    refused = rebase(sim, DIGESTS[2], AETHER_HOSTNAME="other")
    assert refused.code == 21
    assert "this machine calls itself kinoite, not other; nothing was changed" in refused.err
    assert sim.ssh("kinoite", "rpm-ostree status --json").out == before
