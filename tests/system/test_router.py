"""The router, in the homelab: a network that changes reaches it."""

from tests.system.checkout import Checkout
from tests.system.machines import ran


def test_a_changed_network_reaches_the_router(checkout: Checkout) -> None:
    checkout.replace("inventory/homelab.toml", 'cidr = "192.168.30.0/24"', 'cidr = "192.168.30.0/25"')
    up = checkout.up()
    assert up.code == 0, up.text
    assert "router" in ran(up.text)
    assert "192.168.30.0/25" in checkout.ssh("router", "cat /config/config.boot 2>/dev/null || cat /config/*").text
    # The checkout keeps the narrower network: every machine that knows it would be configured once more.
