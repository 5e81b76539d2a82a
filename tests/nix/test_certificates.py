"""Two-day certificates are renewed while there is time to fail, and somebody hears of it before they end."""

import re
from pathlib import Path

import yaml

from .conftest import host_report

RULES = Path("nix/hosts/niobe/monitoring/rules/services.yaml")
LIFE_HOURS = 48


def test_renewal_is_looked_at_every_hour_and_is_not_a_day_late() -> None:
    value = host_report("cockpit").value
    timer = value["units"]["acme-renew-cockpit.timer"]
    for line in ("OnCalendar=hourly", "RandomizedDelaySec=10m", "AccuracySec=1min", "Persistent=yes"):
        assert line in timer
    # Services that use it are told.
    assert "acme-order-renew-cockpit.service" in value["unitNames"]


def test_an_alert_comes_before_the_end_of_what_renewal_left() -> None:
    """Renewed at half of its life at the latest: what is left below a third of it means that renewals failed."""
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    hours = {
        rule["labels"]["severity"]: int(found[1])
        for rule in rules
        if rule.get("alert") == "CertificateExpiring"
        and (found := re.search(r'"probe-web"\} - time\(\) < (\d+) \* 3600', rule["expr"]))
    }
    assert 0 < hours["critical"] < hours["warning"] < LIFE_HOURS / 3
