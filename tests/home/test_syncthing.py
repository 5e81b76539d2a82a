"""Devices and folder in Syncthing's configuration, also after Syncthing itself has rewritten the file."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.home.conftest import BIN, Home

GENERATED = """<configuration version="51">
    <device id="SELF" name="somehost" compression="metadata"><address>dynamic</address></device>
    <gui enabled="true" tls="false"><address>127.0.0.1:8384</address><apikey>key</apikey></gui>
    <options><listenAddress>default</listenAddress><urAccepted>0</urAccepted></options>
</configuration>
"""
DEVICES = {
    "workstation": {"id": "SELF", "address": "192.168.20.14"},
    "laptop": {"id": "OTHER", "address": "192.168.20.11"},
}


@pytest.fixture
def config(home: Home) -> Path:
    """What `syncthing generate` writes, shortened."""
    path = home.path / "config.xml"
    path.write_text(GENERATED)
    return path


def configure(home: Home, config: Path, devices: dict[str, dict[str, str]]) -> str:
    """Run syncthing-config."""
    return home.run(BIN / "syncthing-config", config, "/home/mitso/SharedHome", json.dumps(devices)).stdout


def test_devices_and_folder(home: Home, config: Path) -> None:
    assert "folder: path = /home/mitso/SharedHome" in configure(home, config, DEVICES)
    root = ET.parse(config).getroot()
    devices = root.findall("device")
    assert {one.get("name"): one.get("id") for one in devices} == {"workstation": "SELF", "laptop": "OTHER"}
    addresses = [address.text for one in devices if one.get("id") == "OTHER" for address in one.findall("address")]
    assert addresses == ["tcp://192.168.20.11:22000", "dynamic"], "where it is at home, then anywhere"
    folder = root.find("folder[@id='shared-home']")
    assert folder is not None
    assert {one.get("id") for one in folder.findall("device")} == {"SELF", "OTHER"}
    # Without them Syncthing 1 would look at the folder once, and keep no copy of a conflict.
    assert (folder.get("rescanIntervalS"), folder.get("fsWatcherEnabled")) == ("3600", "true")
    assert folder.findtext("maxConflicts") == "10"
    assert root.findtext("gui/apikey") == "key", "what is not ours stays"
    assert root.findtext("options/urAccepted") == "-1"
    assert config.stat().st_mode & 0o777 == 0o600


def test_second_run_changes_nothing_also_after_syncthing_wrote(home: Home, config: Path) -> None:
    configure(home, config, DEVICES)
    assert configure(home, config, DEVICES) == ""
    # Syncthing adds attributes and elements of its own when it starts.
    text = config.read_text().replace('id="OTHER"', 'id="OTHER" compression="metadata" introducer="false"')
    config.write_text(re.sub(r"<versioning", "<minDiskFree unit='%'>1</minDiskFree><versioning", text))
    assert configure(home, config, DEVICES) == ""


def test_a_folder_that_was_never_looked_at_again_is_mended(home: Home, config: Path) -> None:
    """As Syncthing 1 wrote it of a folder that did not say so."""
    configure(home, config, DEVICES)
    text = config.read_text().replace('rescanIntervalS="3600"', 'rescanIntervalS="0"')
    text = text.replace('fsWatcherEnabled="true"', 'fsWatcherEnabled="false"')
    config.write_text(text.replace("<maxConflicts>10<", "<maxConflicts>0<"))
    assert configure(home, config, DEVICES).splitlines() == [
        "folder: rescanIntervalS = 3600",
        "folder: fsWatcherEnabled = true",
        "folder: maxConflicts = 10",
    ]


def test_a_machine_that_left_the_inventory_is_removed(home: Home, config: Path) -> None:
    configure(home, config, {**DEVICES, "stolen": {"id": "GONE", "address": "192.168.20.99"}})
    assert "configuration: device GONE removed" in configure(home, config, DEVICES)
    assert "GONE" not in config.read_text()
