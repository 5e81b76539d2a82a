"""Fedora Atomic: deployments, signatures, pins, greenboot."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from aether_sim.testing import Simulator, started, wait_until

IMAGE = "ghcr.io/example/kinoite"
DIGESTS = [f"sha256:{letter * 64}" for letter in "abcdef"]


@pytest.fixture
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    yield from started(tmp_path_factory.mktemp("atomic"))


def deployments(sim: Simulator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(sim.ssh("kinoite", "rpm-ostree status --json").out)["deployments"]
    return found


def booted(sim: Simulator) -> str | None:
    digest: str | None = next(item for item in deployments(sim) if item["booted"]).get("container-image-reference-digest")
    return digest


def rebase(sim: Simulator, digest: str, signed: bool = True) -> None:
    kind = "ostree-image-signed:docker://" if signed else "ostree-unverified-registry:"
    done = sim.ssh("kinoite", f"rpm-ostree rebase {kind}{IMAGE}@{digest}")
    assert done.code == 0, done.err


def test_first_rebase_from_stock(sim: Simulator) -> None:
    assert booted(sim) is None
    refused = sim.ssh("kinoite", f"rpm-ostree rebase ostree-image-signed:docker://{IMAGE}@{DIGESTS[0]}")
    assert refused.code == 1
    assert "policy" in refused.err
    rebase(sim, DIGESTS[0], signed=False)
    assert deployments(sim)[0]["staged"] is True
    assert booted(sim) is None
    sim.reboot("kinoite")
    assert booted(sim) == DIGESTS[0]
    rebase(sim, DIGESTS[0])
    sim.reboot("kinoite")
    assert booted(sim) == DIGESTS[0]
    assert deployments(sim)[0]["container-image-reference"].startswith("ostree-image-signed:docker://")
    same = sim.ssh("kinoite", f"rpm-ostree rebase ostree-image-signed:docker://{IMAGE}@{DIGESTS[0]}")
    assert same.code == 1
    assert "equal" in same.err
    sim.ssh("kinoite", "rpm-ostree rollback")
    sim.reboot("kinoite")
    assert deployments(sim)[0]["container-image-reference"].startswith("ostree-unverified-registry:")


def test_refusals_and_cleanup(sim: Simulator) -> None:
    assert sim.ssh("kinoite", "rpm-ostree rollback").code == 1
    assert sim.ssh("kinoite", f"rpm-ostree rebase ostree-unverified-registry:{IMAGE}@sha256:short").code == 1
    assert sim.ssh("kinoite", "rpm-ostree rebase nonsense").code == 1
    assert "authorized" in sim.ssh("kinoite", "rpm-ostree upgrade", "", "-l", "mitso").err
    assert sim.ssh("kinoite", "touch /usr/bin/x").code != 0
    held = f"flock /run/rpm-ostree.lock rpm-ostree rebase ostree-unverified-registry:{IMAGE}@{DIGESTS[0]}"
    assert "Transaction in progress" in sim.ssh("kinoite", held).err
    rebase(sim, DIGESTS[0], signed=False)
    assert "Cannot pin staged" in sim.ssh("kinoite", "ostree admin pin 0").err
    assert sim.ssh("kinoite", "rpm-ostree cleanup -p").code == 0
    assert len(deployments(sim)) == 1


def test_pinned_deployments_are_kept(sim: Simulator) -> None:
    assert sim.ssh("kinoite", "ostree admin pin booted").code == 0
    for digest in DIGESTS[:3]:
        rebase(sim, digest, signed=False)
        sim.reboot("kinoite")
    kept = [item.get("container-image-reference-digest") for item in deployments(sim)]
    assert kept == [DIGESTS[2], DIGESTS[1], None]
    assert sim.ssh("kinoite", "ostree admin pin 7").code == 1


@pytest.mark.fault
def test_bad_signature_is_refused(sim: Simulator) -> None:
    rebase(sim, DIGESTS[0], signed=False)
    sim.reboot("kinoite")
    sim.fault("kinoite", "bad-signature")
    done = sim.ssh("kinoite", f"rpm-ostree rebase ostree-image-signed:docker://{IMAGE}@{DIGESTS[1]}")
    assert done.code == 1
    assert "signature" in done.err
    assert booted(sim) == DIGESTS[0]
    assert not any(item["staged"] for item in deployments(sim))


@pytest.mark.fault
def test_greenboot_red_rolls_back_after_three_attempts(sim: Simulator) -> None:
    rebase(sim, DIGESTS[0], signed=False)
    sim.reboot("kinoite")
    sim.fault("kinoite", "greenboot-red")
    boots = sim.status()["hosts"]["kinoite"]["boots"]
    rebase(sim, DIGESTS[1])
    sim.ssh("kinoite", "systemctl reboot")
    wait_until("it is back", lambda: sim.status()["hosts"]["kinoite"]["boots"] == boots + 4 and sim.answers("kinoite"))
    assert booted(sim) == DIGESTS[0]
    assert sim.ssh("kinoite", "systemctl is-active greenboot-healthcheck").out.strip() == "active"


def test_a_required_check_of_the_host_decides(sim: Simulator) -> None:
    rebase(sim, DIGESTS[0], signed=False)
    check = "mkdir -p /etc/greenboot/check/required.d; cat > /etc/greenboot/check/required.d/10.sh; "
    # Red on the new image only: that is what a broken image looks like.
    sim.ssh("kinoite", check, f"rpm-ostree status | grep -q '● .*{DIGESTS[0]}' && exit 1; exit 0")
    boots = sim.status()["hosts"]["kinoite"]["boots"]
    sim.ssh("kinoite", "systemctl reboot")
    wait_until("it is back", lambda: sim.status()["hosts"]["kinoite"]["boots"] == boots + 4 and sim.answers("kinoite"))
    assert booted(sim) is None
