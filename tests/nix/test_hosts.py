"""Every NixOS host of the inventory, evaluated with the real nixpkgs: it is what the inventory says, without a warning."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from nix.tools import evaluate, hosts_table

from .conftest import ask, evaluated, host_report, nixos_hosts, replace

HOSTS = nixos_hosts()
Report = Callable[[str], dict[str, Any]]

# Facts that no configuration may hold in the clear: what sops encrypts looks like this.
KEY_MATERIAL = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AGE-SECRET-KEY-1|tskey-auth-")


@pytest.mark.parametrize("host", HOSTS)
class TestHost:
    def test_evaluates_to_a_system(self, host: str, report: Report) -> None:
        assert re.search(rf"-nixos-system-{host}-.*\.drv$", report(host)["drvPath"])

    def test_has_no_warning(self, host: str, report: Report) -> None:
        assert report(host)["warnings"] == []
        assert "evaluation warning" not in host_report(host).messages

    def test_is_called_as_in_the_inventory(self, host: str, report: Report) -> None:
        assert report(host)["hostName"] == host

    def test_has_the_inventorys_posture(self, host: str, report: Report) -> None:
        assert report(host)["hardened"] == (HOSTS[host].get("security", "hardened") == "hardened")

    def test_checked_units_exist_and_start(self, host: str, report: Report) -> None:
        found = report(host)
        for check in HOSTS[host].get("health", []):
            if "unit" in check:
                assert check["unit"] in found["unitNames"]

    def test_checked_ports_are_open(self, host: str, report: Report) -> None:
        checks = HOSTS[host].get("health", [])
        ports = {check["tcp"] for check in checks if "tcp" in check}
        ports |= {urlsplit(check["http"]).port for check in checks if "http" in check}
        assert ports <= set(report(host)["openPorts"]["tcp"])

    def test_is_in_the_table_of_hosts(self, host: str) -> None:
        if "stands_for" in HOSTS[host]:
            return  # An environment's: the table is the homelab's and the cloud's.
        table = (evaluate.ROOT / "docs" / "hosts.md").read_text()
        (line,) = re.findall(rf"^\| {re.escape(host)} \|.*$", table, re.MULTILINE)
        written = [cell.strip() for cell in line.strip("|").split("|")]
        now = hosts_table.cells(host, host_report(host))
        # Release, time, memory and number of units are those of the trees and the machine that wrote it.
        assert [written[column] for column in (0, 1, 3, 6, 8, 9)] == [now[column] for column in (0, 1, 3, 6, 8, 9)]

    def test_its_web_services_are_open(self, host: str, report: Report) -> None:
        assert services_on(host) <= set(report(host)["openPorts"]["tcp"])

    def test_holds_no_secret_in_the_clear(self, host: str, report: Report) -> None:
        found = report(host)
        texts = {**found["units"], **found["etc"]}
        assert [name for name, text in texts.items() if KEY_MATERIAL.search(text)] == []

    def test_protected_data_has_a_backup(self, host: str, report: Report) -> None:
        if HOSTS[host]["kind"] in ("nixos-vm", "nixos-lxc") and not HOSTS[host].get("disposable"):
            assert report(host)["backup"], f"{host} is not disposable in the inventory but backs nothing up"

    def test_mounts_the_inventorys_disks(self, host: str, report: Report) -> None:
        if HOSTS[host]["kind"] == "nixos-vm":
            mounts = {disk["mount"] for disk in HOSTS[host]["disks"] if "mount" in disk}
            assert mounts | {"/"} <= set(report(host)["fileSystems"])


def services_on(host: str) -> set[int]:
    inventory = tomllib.loads((evaluate.ROOT / "inventory" / "homelab.toml").read_text())
    return {service["port"] for service in inventory["services"].values() if service["host"] == host}


def drv_path(host: str, copy: Path) -> str:
    return str(evaluated(copy, f"nixosConfigurations.{host}.config.system.build.toplevel.drvPath"))


def test_a_change_elsewhere_changes_no_host(copy: Path) -> None:
    """Preview shows exactly the hosts that change: documents, other hosts and their secrets are no input of a host."""
    before = drv_path("cockpit", copy)
    (copy / "README.md").write_text("changed")
    gateway = copy / "nix" / "hosts" / "oracle" / "gateway" / "default.nix"
    replace(gateway, "{", '{\n  networking.extraHosts = "127.0.0.9 changed";')
    secrets = copy / "secrets" / "hosts" / "gateway.yaml"
    secrets.write_text(secrets.read_text() + "\n")
    assert drv_path("cockpit", copy) == before


def test_a_broken_host_breaks_no_other(copy: Path) -> None:
    """Monitoring and Keycloak know of every host, and still depend on none."""
    before = drv_path("monitoring", copy)
    gateway = copy / "nix" / "hosts" / "oracle" / "gateway" / "default.nix"
    replace(gateway, "{", '{\n  networking.extraHosts = throw "broken";')
    assert drv_path("monitoring", copy) == before
    with pytest.raises(evaluate.NixError, match="broken"):
        drv_path("gateway", copy)


@pytest.mark.parametrize(
    ("outputs", "of", "names"),
    [
        ("packages.x86_64-linux", "{ inherit (all) proxmox-vm proxmox-lxc; }", {"proxmox-vm", "proxmox-lxc"}),
        ("devShells", "builtins.mapAttrs (_: one: one.default) all", {"x86_64-linux", "aarch64-linux", "aarch64-darwin"}),
        ("checks.x86_64-linux", "{ inherit (all) format dead-code lib; }", {"format", "dead-code", "lib"}),
        ("formatter", "{ inherit (all) x86_64-linux; }", {"x86_64-linux"}),
    ],
)
def test_other_outputs_evaluate(outputs: str, of: str, names: set[str]) -> None:
    found = ask(outputs, f"all: builtins.mapAttrs (_: one: one.drvPath) ({of})")
    assert names <= set(found)
    assert {name: path for name, path in found.items() if not path.endswith(".drv")} == {}


def test_a_host_boots_as_a_local_vm() -> None:
    app = ask("apps.x86_64-linux.default", "{ type, program, ... }: { inherit type program; }")
    assert app["type"] == "app"
    assert app["program"].endswith("/bin/run-local-vm-vm")
