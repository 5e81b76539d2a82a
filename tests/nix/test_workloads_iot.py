"""Host iot: radios by name, Z-Wave and Thread behind them, Home Assistant's configuration."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from nix.tools import evaluate

from .conftest import ask, evaluated, host_report, replace
from .workloads import generated, only, settings

INVENTORY: dict[str, Any] = tomllib.loads((evaluate.ROOT / "inventory" / "homelab.toml").read_text())


def unit(name: str) -> dict[str, list[str]]:
    return settings(host_report("iot").value["units"][name])


def texts(part: str) -> str:
    """Everything that is written under a name with that part."""
    return "\n".join(str(text) for name, found in generated("iot").items() if part in name for text in found)


@pytest.mark.parametrize("name", ["zwave", "thread"])
def test_each_radio_of_the_inventory_has_its_name(name: str) -> None:
    (device,) = [device for device in INVENTORY["nodes"]["niobe"]["usb"] if device["name"] == name]
    vendor, product = device["id"].split(":")
    rules = str(ask("nixosConfigurations.iot.config.services.udev.extraRules"))
    (rule,) = [line for line in rules.splitlines() if f'SYMLINK+="{name}"' in line]
    assert f'ATTRS{{idVendor}}=="{vendor}"' in rule and f'ATTRS{{idProduct}}=="{product}"' in rule
    assert 'TAG+="systemd"' in rule


@pytest.mark.parametrize(("service", "radio"), [("zwave-js-ui.service", "zwave"), ("otbr-agent.service", "thread")])
def test_a_service_comes_and_goes_with_its_radio(service: str, radio: str) -> None:
    found = unit(service)
    device = f"dev-{radio}.device"
    assert device in found["BindsTo"] and device in " ".join(found["After"])
    assert device in " ".join(found["WantedBy"])
    assert f"/dev/{radio}" in host_report("iot").value["units"][service]


def test_an_unplugged_stick_makes_no_boot_a_bad_one() -> None:
    assert host_report("iot").value["checkedUnits"] == ["home-assistant.service"]


def test_a_radio_that_the_node_does_not_have_is_refused(copy: Path) -> None:
    replace(copy / "inventory" / "homelab.toml", '{ name = "thread", id', '{ name = "threat", id')
    with pytest.raises(evaluate.NixError, match=r"takes USB devices that .nodes.niobe. does not have: thread"):
        evaluated(copy, "nixosConfigurations.iot.config.system.build.toplevel.drvPath")


class TestZwave:
    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(texts("zwave-settings.json"))
        return found

    def test_its_server_is_for_this_host_alone(self) -> None:
        found = self.settings()
        assert found["serverEnabled"] and found["serverHost"] == "127.0.0.1"
        assert 3000 not in host_report("iot").value["openPorts"]["tcp"]

    def test_every_key_is_a_secret(self) -> None:
        found = self.settings()
        keys = [*found["securityKeys"].values(), *found["securityKeysLongRange"].values()]
        assert len(set(keys)) == 6
        # sops-nix' placeholders: replaced on the host, never in the store.
        assert all(re.fullmatch(r"<SOPS:[0-9a-f]+:PLACEHOLDER>", key) for key in keys)

    def test_reads_settings_and_port_from_here(self) -> None:
        environment = " ".join(unit("zwave-js-ui.service")["Environment"])
        assert "ZWAVE_EXTERNAL_SETTINGS=%d/settings.json" in environment
        assert "ZWAVE_PORT=/dev/zwave" in environment and "PORT=8091" in environment
        assert unit("zwave-js-ui.service")["LoadCredential"][0].startswith("settings.json:/run/secrets/")


class TestThread:
    def test_border_router_knows_both_sides(self) -> None:
        (command,) = unit("otbr-agent.service")["ExecStart"]
        assert '--backbone-ifname "enp6s18"' in command and '--thread-ifname "wpan0"' in command
        assert "spinel+hdlc+uart:///dev/thread" in command
        assert '--rest-listen-address "127.0.0.1"' in command

    def test_the_backbone_is_the_interface_with_the_address(self) -> None:
        network = texts("05-main.network") or host_report("iot").value["etc"].get("systemd/network/05-main.network", "")
        assert re.search(r"^Name=en\*", network, re.MULTILINE), network
        assert "Address=192.168.10.21/24" in network and "IPv6AcceptRA=true" in network


class TestHomeAssistant:
    def test_trusts_the_gateway_alone_to_say_who_calls(self) -> None:
        http = only("iot", "configuration.yaml")["http"]
        assert http["trusted_proxies"] == [INVENTORY["hosts"]["gateway"]["address"]]
        assert http["use_x_forwarded_for"] and http["server_port"] == 8123

    def test_files_that_it_includes_exist(self) -> None:
        config = only("iot", "configuration.yaml")
        included = [value.split()[1] for value in config.values() if isinstance(value, str) and value.startswith("!include")]
        assert len(included) == 3
        for file in included:
            assert re.search(rf"^f /var/lib/hass/{file} 0644 hass hass - (\[\]|\{{\}})$", texts("tmpfiles"), re.MULTILINE), file

    def test_state_is_backed_up_by_copy_of_the_database(self) -> None:
        assert {"/var/lib/hass", "/var/lib/thread", "/var/lib/private/zwave-js-ui"} <= set(host_report("iot").value["backup"])
        assert ".backup '/var/backup/sqlite/home-assistant.db'" in texts("backupPrepareCommand")


def test_mqtt_is_plain_on_loopback_only_and_never_anonymous() -> None:
    lines = only("iot", "mosquitto.conf").splitlines()
    listeners = [line.split()[1:] for line in lines if line.startswith("listener ")]
    assert listeners == [["1883", "127.0.0.1"], ["8883"]]
    assert sum("password_file" in line and line.startswith("plugin_opt") for line in lines) == 2
    assert not any(line.startswith("allow_anonymous true") for line in lines)
    secure = lines[lines.index(next(line for line in lines if line.startswith("listener 8883"))) :]
    assert "tls_version tlsv1.2" in secure
