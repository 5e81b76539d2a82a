"""A cluster on an ordinary day: one node is down, and the others are deployed all the same."""

from collections.abc import Iterator

import pytest

from tests.system.lab import Lab
from tests.system.small import small_lab

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The small fleet, nothing deployed, the simulator running."""
    made = small_lab(tmp_path_factory.mktemp("reality"))
    try:
        started = made.sim("start")
        assert started.code == 0, started.text
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("node", ["pve1"])
def test_what_is_on_a_node_that_is_down_is_left_out_and_the_others_go_on(fleet: Lab, node: str) -> None:
    """The first of the chain: the next one does not wait for it."""
    fleet.fault(node, "node-offline")
    up = fleet.up()
    assert up.code == 1, up.text[-4000:]
    assert f"{node} does not answer: left out, with what is on it (web, dns)" in up.text
    assert up.text.count("Run it again when the node is back") == 2, "said at once, and at the end"
    assert set(fleet.guests()) == {"log"}
    assert "failed" not in up.text, up.text[-4000:]
    fleet.fault(node, "node-offline", off=True)
    healed = fleet.up()
    assert healed.code == 0, healed.text[-4000:]
    assert set(fleet.guests()) == {"web", "dns", "log"}
