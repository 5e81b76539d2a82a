"""The router, in the homelab: a network that changes reaches it."""

from tests.system.lab import Lab
from tests.system.machines import ran


def test_a_changed_network_reaches_the_router(lab: Lab) -> None:
    lab.replace("inventory/homelab.toml", 'cidr = "192.168.30.0/24"', 'cidr = "192.168.30.0/25"')
    up = lab.up()
    assert up.code == 0, up.text
    assert "router" in ran(up.text)
    assert "192.168.30.0/25" in lab.ssh("router", "cat /config/config.boot 2>/dev/null || cat /config/*").text
    # The lab keeps the narrower network: every machine that knows it would be configured once more.
