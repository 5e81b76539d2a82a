"""A host's first boot is green alone, in every migration phase: what needs another host is known, and waits."""

from pathlib import Path

import pytest

from nix.tools import evaluate

from .conftest import evaluated, host_report, replace


@pytest.mark.parametrize("host", ["cockpit", "keycloak", "monitoring"])
def test_certificates_wait_for_the_authority(host: str) -> None:
    value = host_report(host).value
    ordered = [unit for unit in value["unitNames"] if unit.startswith("acme-order-renew-") and unit.endswith(".service")]
    assert ordered
    assert {unit: value["waitsFor"].get(unit) for unit in ordered} == {unit: ["step-ca"] for unit in ordered}
    lines = value["etc"]["aether/waits-for"].splitlines()
    assert set(lines) >= {f"{unit} step-ca" for unit in ordered}


def test_the_gateways_login_waits_for_keycloak_and_tries_again() -> None:
    value = host_report("gateway").value
    assert value["waitsFor"]["oauth2-proxy.service"] == ["keycloak"]
    assert "oauth2-proxy.service" not in value["checkedUnits"] and "wireproxy.service" not in value["checkedUnits"]
    for unit in ("oauth2-proxy.service", "wireproxy.service"):
        text = value["units"][unit]
        assert "Restart=always" in text and "StartLimitIntervalSec=0" in text


def test_a_check_of_what_waits_for_a_later_host_is_refused(copy: Path) -> None:
    check = '{ unit = "haproxy.service" }'
    replace(copy / "inventory" / "homelab.toml", check, f'{check}, {{ unit = "oauth2-proxy.service" }}')
    with pytest.raises(evaluate.NixError, match=r"checks oauth2-proxy.service, which needs keycloak: not deployed before it"):
        evaluated(copy, "nixosConfigurations.gateway.config.system.build.toplevel.drvPath")
