"""A cluster on an ordinary day: a node that is down, tasks that end with a warning, a backup at night, an API that throttles."""

from collections.abc import Iterator

import pytest

from tests.system.checkout import Checkout
from tests.system.small import small_checkout

pytestmark = [
    pytest.mark.fault,
]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The small fleet, nothing deployed, the simulator running."""
    made = small_checkout(tmp_path_factory.mktemp("reality"))
    # Two nodes with unlike storage names.
    made.replace("inventory/homelab.toml", "[nodes.pve2]\n", '[nodes.pve2]\nimage_datastore = "files"\ndisk_datastore = "tank"\n')
    try:
        started = made.sim("start")
        assert started.code == 0, started.text
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("node", ["pve1"])
def test_what_is_on_a_node_that_is_down_is_left_out_and_the_others_go_on(fleet: Checkout, node: str) -> None:
    """The first of the chain: the next one does not wait for it."""
    fleet.fault(node, "node-offline")
    up = fleet.up()
    assert up.code == 1, up.text[-4000:]
    assert f"{node} does not answer: left out, with what is on it (web, dns)" in up.text
    assert up.text.count("Run it again when the node is back") == 2, "said at once, and at the end"
    assert set(fleet.guests()) == {"log"}
    assert "  ! " not in up.text, up.text[-4000:]
    fleet.fault(node, "node-offline", off=True)
    fleet.fault(node, "task-warnings")
    healed = fleet.up()
    fleet.fault(node, "task-warnings", off=True)
    assert healed.code == 0, healed.text[-4000:]
    assert f"ended with warnings; on {node}: pvenode task log UPID:{node}:" in healed.text, healed.text[-4000:]
    assert set(fleet.guests()) == {"web", "dns", "log"}
    assert "rootfs: tank:" in fleet.ssh("pve2", "pct config 112").text
    assert "rootfs: local-zfs:" in fleet.ssh("pve1", "pct config 111").text


def grow(fleet: Checkout, name: str, memory: int) -> None:
    text = (fleet.path / "inventory/homelab.toml").read_text()
    head, entry = text.split(f"[hosts.{name}]\n")
    before = next(line for line in entry.splitlines() if line.startswith("memory = "))
    entry = entry.replace(before, f"memory = {memory}", 1)
    (fleet.path / "inventory/homelab.toml").write_text(f"{head}[hosts.{name}]\n{entry}")


def test_a_backup_is_waited_for_by_its_name(fleet: Checkout) -> None:
    fleet.fault("pve2", "guest-backup=15")
    grow(fleet, "log", 640)
    up = fleet.up()
    assert up.code == 0, up.text[-4000:]
    assert "log is locked by task vzdump on pve2 since " in up.text
    assert "640" in fleet.ssh("pve2", "pct config 112").text


@pytest.mark.parametrize(
    ("target", "fault", "memory", "says"),
    [
        ("pve1", "api-429", 768, "the API refuses so many requests at once"),
        ("pve1", "api-503", 832, "the API has more requests than it takes"),
        ("proxmox", "quorum-lost", 896, "the Proxmox cluster has lost its quorum"),
    ],
)
def test_an_api_that_refuses_is_named_and_the_next_run_goes_on(
    fleet: Checkout, target: str, fault: str, memory: int, says: str
) -> None:
    fleet.fault(target, fault)
    grow(fleet, "web", memory)
    up = fleet.up()
    fleet.fault(target, fault, off=True)
    assert up.code == 1, up.text[-4000:]
    assert f"web: {says}" in up.text, up.text[-4000:]
    healed = fleet.up()
    assert healed.code == 0, healed.text[-4000:]
    assert str(memory) in fleet.ssh("pve1", "qm config 110").text
