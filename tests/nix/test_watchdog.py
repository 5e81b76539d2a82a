"""A guest whose kernel hangs is reset: its virtual machine has the device, and its systemd holds on to it, in either posture."""

from pathlib import Path

import pytest

from tests.nix import golden


@pytest.mark.parametrize("host", ["dev", "cockpit"])
def test_systemd_holds_the_watchdog(host: str) -> None:
    assert golden.ask(f"nixosConfigurations.{host}.config.systemd.settings.Manager.RuntimeWatchdogSec") == "30s"
    assert (
        'watchdog=proxmox.VmLegacyWatchdogArgs(enabled=True, model="i6300esb", action="reset")'
        in Path("components/proxmox/vm.py").read_text()
    )
