"""Bifrost's boot: what the menu and the loader's entries name exists, and rEFInd comes first in the firmware's order."""

import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nix.tools import evaluate

from .conftest import ask
from .refind import on_esp, stanzas

FACTS = """host: let c = host.config; inherit (host.pkgs) lib; in {
  refind = c.aether.features.boot-menu.conf.text;
  theme = c.aether.features.boot-menu.themeConf.text;
  files = lib.attrNames c.boot.loader.systemd-boot.extraFiles;
  entries = c.boot.loader.systemd-boot.extraEntries;
  esp = c.boot.loader.efi.efiSysMountPoint;
  espPartition = c.disko.devices.disk.main.content.partitions.ESP.content.mountpoint;
  fileSystems = lib.mapAttrs (_: f: { inherit (f) device fsType options; }) c.fileSystems;
  luks = c.disko.devices.disk.main.content.partitions.pool.content.extraFormatArgs;
  kernel = c.boot.kernelPackages.kernel.name;
  mainline = c.specialisation.mainline.configuration.boot.kernelPackages.kernel.name;
  patches = map (p: p.name) c.boot.kernelPackages.kernel.kernelPatches;
  swap = c.swapDevices;
  zram = c.zramSwap.enable;
  kernelParams = c.boot.kernelParams;
  btrbk = c.services.btrbk.instances.local;
  iptsd = c.services.iptsd.enable;
  audit = c.security.audit.rules;
  auditWants = c.systemd.services.audit-rules-nixos.unitConfig.RequiresMountsFor;
  modprobe = c.boot.extraModprobeConfig;
  shared = builtins.filter (lib.hasInfix "/shared") c.systemd.tmpfiles.rules;
  nftables = c.networking.nftables.enable;
  sessions = map (s: s.name or "") (c.services.xserver.windowManager.session ++ c.services.displayManager.sessionPackages);
}"""

# What others put onto the ESP: bootctl with every generation, and Kinoite's bootupd.
INSTALLED_BY_OTHERS = {"EFI/systemd/systemd-bootx64.efi", "EFI/fedora/shimx64.efi"}


@cache
def _facts() -> dict[str, Any]:
    return dict(ask("nixosConfigurations.bifrost", FACTS))


@pytest.fixture
def facts() -> dict[str, Any]:
    return _facts()


class TestMenu:
    def test_each_system_has_one_entry(self, facts: dict[str, Any]) -> None:
        assert set(stanzas(facts["refind"])) == {"NixOS", "Kinoite"}
        assert facts["refind"].count("{") == facts["refind"].count("}") == 2

    def test_every_path_exists(self, facts: dict[str, Any]) -> None:
        there = set(facts["files"]) | INSTALLED_BY_OTHERS
        for title, entry in stanzas(facts["refind"]).items():
            for key in ("loader", "icon"):
                assert on_esp(entry[key]) in there, (title, key)
        (theme,) = re.findall(r"^include (.*)$", facts["refind"], re.MULTILINE)
        assert f"EFI/refind/{theme}" in there
        # These two begin at rEFInd's own directory.
        (banner,) = re.findall(r"^banner (.*)$", facts["theme"], re.MULTILINE)
        assert f"EFI/refind/{banner}" in there
        (icons,) = re.findall(r"^icons_dir (.*)$", facts["theme"], re.MULTILINE)
        assert any(file.startswith(f"EFI/refind/{icons}/") for file in there)

    def test_tools_that_it_shows_have_pictures(self, facts: dict[str, Any]) -> None:
        """Those of its own list that need no file: with a list of ours, 0.14.2 shows them twice."""
        assert "showtools" not in facts["refind"]
        for picture in ("about", "hidden", "shutdown", "reset", "firmware"):
            assert f"EFI/refind/icons/func_{picture}.png" in facts["files"]

    def test_its_default_is_an_entry_and_nothing_is_scanned(self, facts: dict[str, Any]) -> None:
        (default,) = re.findall(r'^default_selection "(.*)"$', facts["refind"], re.MULTILINE)
        assert default in stanzas(facts["refind"])
        assert re.search(r"^scanfor manual$", facts["refind"], re.MULTILINE)

    def test_systemd_boot_leads_to_kinoite_too(self, facts: dict[str, Any]) -> None:
        entries = {
            name: dict(line.split(maxsplit=1) for line in text.splitlines() if line) for name, text in facts["entries"].items()
        }
        assert set(entries) == {"kinoite.conf"}
        assert entries["kinoite.conf"]["title"] == "Kinoite"
        assert on_esp(entries["kinoite.conf"]["efi"]) in INSTALLED_BY_OTHERS

    def test_it_lies_where_the_esp_is_mounted(self, facts: dict[str, Any]) -> None:
        assert facts["esp"] == facts["espPartition"] == "/boot/efi"
        assert facts["fileSystems"]["/boot/efi"]["fsType"] == "vfat"


def test_nixos_mounts_its_own_half(facts: dict[str, Any]) -> None:
    where = {"/": "@nixos", "/nix": "@nix", "/home": "@home", "/.snapshots": "@snapshots", "/shared": "@shared"}
    for path, subvolume in where.items():
        assert f"subvol={subvolume}" in facts["fileSystems"][path]["options"]
        assert facts["fileSystems"][path]["device"] == "/dev/mapper/cryptroot"
    assert not any("subvol=@root" in fs["options"] for fs in facts["fileSystems"].values())


def test_disk_needs_argon2id(facts: dict[str, Any]) -> None:
    arguments = facts["luks"]
    assert arguments[arguments.index("--pbkdf") + 1] == "argon2id" and arguments[arguments.index("--type") + 1] == "luks2"


def test_two_systems_on_one_pool_exclude_hibernation(facts: dict[str, Any]) -> None:
    assert facts["swap"] == [] and facts["zram"] and "nohibernate" in facts["kernelParams"]


def test_kernel_is_the_surfaces_with_mainline_beside_it(facts: dict[str, Any]) -> None:
    assert len([name for name in facts["patches"] if "surface" in name]) > 5, facts["patches"]
    assert facts["kernel"] != facts["mainline"] and facts["iptsd"]


def test_the_keyboards_pins_come_before_its_hub(facts: dict[str, Any]) -> None:
    assert re.search(r"^softdep surface_aggregator pre: .*\bpinctrl_tigerlake\b", facts["modprobe"], re.MULTILINE)


def test_shared_data_is_the_owners(facts: dict[str, Any]) -> None:
    assert facts["shared"] == ["d /shared 0750 mitso users -"]


def test_snapshots_are_pruned(facts: dict[str, Any]) -> None:
    settings = facts["btrbk"]["settings"]
    assert set(settings["volume"]) == {"/", "/home", "/shared"} and facts["btrbk"]["onCalendar"] == "hourly"
    assert re.fullmatch(r"(\d+[hdwmy] ?)+", settings["snapshot_preserve"]) and settings["snapshot_dir"] == "/.snapshots"


def test_firewall_audit_and_a_light_session(facts: dict[str, Any]) -> None:
    assert facts["nftables"] and any("/boot/efi" in rule for rule in facts["audit"])
    assert facts["auditWants"] == "/boot/efi"
    assert "openbox" in " ".join(facts["sessions"])


EFIBOOTMGR = """#!/usr/bin/env python3
import os, pathlib, sys
state = pathlib.Path(os.environ["VARIABLES"])
if not state.exists():
    sys.exit("EFI variables are not supported on this system.")
lines = state.read_text().splitlines()
arguments = sys.argv[1:]
if "--create" in arguments:
    label, loader = (arguments[arguments.index(name) + 1] for name in ("--label", "--loader"))
    disk, part = (arguments[arguments.index(name) + 1] for name in ("--disk", "--part"))
    order = lines[0].split(": ")[1]
    lines[0] = f"BootOrder: 0007,{order}"
    lines.append(f"Boot0007* {label}\\tHD({part},GPT,aaaa-1){loader} {disk}")
if "--delete-bootnum" in arguments:
    number = arguments[arguments.index("--bootnum") + 1]
    order = [each for each in lines[0].split(": ")[1].split(",") if each != number]
    lines = ["BootOrder: " + ",".join(order)] + [line for line in lines[1:] if not line.startswith("Boot" + number)]
if "--bootorder" in arguments:
    lines[0] = "BootOrder: " + arguments[arguments.index("--bootorder") + 1]
    with open(str(state) + ".log", "a") as log:
        log.write(lines[0] + "\\n")
state.write_text("\\n".join(lines) + "\\n")
if "--quiet" not in arguments:
    print("\\n".join(lines))
"""


class TestFirst:
    """first.sh, with a fake for the firmware."""

    def run(self, tmp_path: Path, variables: str | None) -> list[str]:
        tools = tmp_path / "bin"
        tools.mkdir(exist_ok=True)
        for name, text in {
            "efibootmgr": EFIBOOTMGR,
            "findmnt": "#!/bin/sh\necho /dev/nvme0n1p1\n",
            "lsblk": '#!/bin/sh\ncase "$*" in *PKNAME*) echo nvme0n1 ;; *PARTUUID*) echo AAAA-1 ;; *PARTN*) echo " 1" ;; esac\n',
        }.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        state = tmp_path / "variables"
        if variables is not None:
            state.write_text(variables)
        script = evaluate.ROOT / "nix/modules/features/boot-menu/first.sh"
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "VARIABLES": str(state)}
        command = [str(script), "/boot/efi", "rEFInd", "\\EFI\\refind\\refind_x64.efi"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return state.read_text().splitlines() if state.exists() else [done.stderr]

    def test_makes_its_entry_and_goes_first(self, tmp_path: Path) -> None:
        lines = self.run(tmp_path, "BootOrder: 0001,0000\nBoot0000* Windows\nBoot0001* Linux Boot Manager\n")
        assert lines[0] == "BootOrder: 0007,0001,0000"
        assert lines[-1] == "Boot0007* rEFInd\tHD(1,GPT,aaaa-1)\\EFI\\refind\\refind_x64.efi /dev/nvme0n1"

    def test_goes_before_a_loader_that_put_itself_first(self, tmp_path: Path) -> None:
        lines = self.run(
            tmp_path, "BootOrder: 0001,0007,0000\nBoot0001* Linux Boot Manager\nBoot0007* rEFInd\tHD(1,GPT,aaaa-1)\n"
        )
        assert lines[0] == "BootOrder: 0007,0001,0000"
        assert sum("rEFInd" in line for line in lines) == 1

    def test_changes_nothing_when_it_is_first(self, tmp_path: Path) -> None:
        self.run(tmp_path, "BootOrder: 0007,0001\nBoot0007* rEFInd\tHD(1,GPT,aaaa-1)\n")
        assert not (tmp_path / "variables.log").exists()

    def test_an_entry_of_an_erased_disk_is_replaced(self, tmp_path: Path) -> None:
        stale = "Boot0005* rEFInd\tHD(1,GPT,bbbb-2)\nBoot0006* rEFInd\tHD(1,GPT,cccc-3)\n"
        lines = self.run(tmp_path, "BootOrder: 0005,0006,0001\nBoot0001* Linux Boot Manager\n" + stale)
        assert lines[0] == "BootOrder: 0007,0001"
        assert [line[:8] for line in lines if "rEFInd" in line] == ["Boot0007"] and "aaaa-1" in lines[-1]

    def test_says_so_where_there_is_no_firmware(self, tmp_path: Path) -> None:
        assert "no EFI variables here" in self.run(tmp_path, None)[0]
