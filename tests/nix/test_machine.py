"""The installer on a machine: the right disk alone is erased, its container is opened by the kernel's device mapper, and
bifrost's firmware starts rEFInd, which starts both systems. Needs ``nix/tools/get-checkers.sh --machine``.
"""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nix.tools import evaluate

from .conftest import CACHE, sections
from .esp import Real, fill
from .machine import SERIALS, Machine

INSTALLER = evaluate.ROOT / "nix/images/installer/install.sh"
FIRST = evaluate.ROOT / "nix/modules/features/boot-menu/first.sh"
HERE = Path(__file__).parent
HOSTS = ["bifrost", "laptop"]

FACTS = """host: let c = host.config; inherit (host.pkgs) lib; in {
  erase = c.disko.devices._disko;
  mount = c.disko.devices._mount;
  esp = c.boot.loader.efi.efiSysMountPoint;
  store = if c.aether.features.ephemeral.enable then c.aether.features.ephemeral.store else "";
  fileSystems = map (f: { inherit (f) mountPoint device fsType options; }) (
    lib.filter (f: f.device != "none" && ! lib.elem "bind" f.options) (lib.attrValues c.fileSystems));
}"""


@cache
def facts(host: str) -> dict[str, Any]:
    return dict(evaluate.evaluate(f"nixosConfigurations.{host}", apply=FACTS).value)


@pytest.fixture(scope="module")
def checkers(trees: evaluate.Trees) -> Path:
    found = CACHE / "checkers"
    if not all((found / part / "run").exists() for part in ("machine", "medium", "loader")):
        pytest.skip("no machine to boot: run nix/tools/get-checkers.sh --machine")
    return found


def file_system(mount: dict[str, Any]) -> str:
    return " ".join([mount["device"], mount["fsType"], ",".join(mount["options"]), mount["mountPoint"]])


def real_esp(trees: evaluate.Trees, machine: Machine) -> Path:
    """Bifrost's ESP with Debian's loaders; its newest generation is the live medium with what NixOS would mount."""
    work = machine.work / "generation"
    payload = work / "payload"
    payload.mkdir(parents=True)
    mounts = sorted(facts("bifrost")["fileSystems"], key=lambda mount: mount["mountPoint"])
    (payload / "mounts").write_text("".join(f"{file_system(mount)}\n" for mount in mounts))
    (payload / "run").write_bytes((HERE / "machine-nixos.sh").read_bytes())
    (payload / "run").chmod(0o755)
    (work / "initrd").write_bytes(machine.initrd(payload))
    icons = {f"EFI/refind/icons/{path.name}": path for path in (machine.refind / "icons").glob("*.png")}
    pictures = {"EFI/refind/icons/os_nixos.png": machine.refind / "icons/os_linux.png"}
    banner = {"EFI/refind/themes/aether/background.png": machine.refind / "icons/os_fedora.png"}
    programs = {
        "EFI/refind/refind_x64.efi": machine.refind / "refind_x64.efi",
        # A stub without a kernel: it says so when it is started, and nothing else does.
        "EFI/fedora/shimx64.efi": machine.loaders / "linuxx64.efi.stub",
    }
    wanted = Real(
        kernel=machine.kernel,
        initrd=work / "initrd",
        loader=machine.loaders / "systemd-bootx64.efi",
        files=icons | pictures | banner | programs,
    )
    return fill(work, wanted)


class Installed:
    """A machine after the installer's run, and what was printed of it, by section."""

    def __init__(self, host: str, machine: Machine, trees: evaluate.Trees) -> None:
        self.host, self.machine = host, machine
        payload = machine.work / "install"
        payload.mkdir()
        for name, source in {"run": HERE / "machine-install.sh", "install.sh": INSTALLER, "first.sh": FIRST}.items():
            (payload / name).write_bytes(source.read_bytes())
        deactivate = re.compile(r"\S+-disk-deactivate/disk-deactivate")
        for name in ("erase", "mount"):
            text = deactivate.sub("/payload/disk-deactivate/disk-deactivate", facts(host)[name])
            (payload / name).write_text(f"#!/bin/bash\n{text}")
        for name in ("run", "erase", "mount"):
            (payload / name).chmod(0o755)
        subprocess.run(["cp", "-r", str(trees.tree("disko") / "disk-deactivate"), str(payload)], check=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(payload / "key")], check=True)
        settings = {"HOST": host, "STORE": facts(host)["store"], "ESP": facts(host)["esp"]}
        (payload / "settings").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        if host == "bifrost":
            subprocess.run(["cp", "-r", str(real_esp(trees, machine)), str(payload / "esp")], check=True)
        self.sections = sections(machine.run(payload, 900))

    def __getitem__(self, section: str) -> str:
        assert section in self.sections, self.sections
        return self.sections[section]


@pytest.fixture(scope="module")
def machines(checkers: Path, trees: evaluate.Trees, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Installed]:
    return {host: Installed(host, Machine(checkers, tmp_path_factory.mktemp(host)), trees) for host in HOSTS}


@pytest.mark.parametrize("host", HOSTS)
class TestInstalled:
    def test_no_serial_no_change(self, host: str, machines: dict[str, Installed]) -> None:
        said = machines[host]["refused"]
        assert "no disk has the serial 'S1'; nothing was changed" in said and "status 1, written 0 0" in said
        assert all(f"64 GiB  QEMU NVMe Ctrl  serial {serial}" in said for serial in SERIALS)

    def test_the_disk_of_that_serial_alone_is_written(self, host: str, machines: dict[str, Installed]) -> None:
        assert "status 0" in machines[host]["installed"], machines[host]["installed"]
        assert machines[host]["other"].strip() == "0"
        rows = [line.split() for line in machines[host]["partitions"].splitlines()]
        labels = {row[0]: row[1] for row in rows if row and row[0].startswith("disk-main-")}
        assert labels["disk-main-ESP"] == "vfat" and labels["disk-main-pool"] == "crypto_LUKS"

    def test_the_container_is_a_mapping_of_the_kernel(self, host: str, machines: dict[str, Installed]) -> None:
        status = machines[host]["container"]
        assert "/dev/mapper/cryptroot is active and is in use" in status
        assert re.search(r"type:\s+LUKS2", status) and re.search(r"cipher:\s+aes-xts-plain64", status)
        assert re.search(r"flags:.*discards.*no_read_workqueue", status)
        header = machines[host]["header"]
        assert re.search(r"PBKDF:\s+argon2id", header) and re.search(r"Memory:\s+1048576", header)
        assert re.search(r"Flags:\s+allow-discards no-read-workqueue no-write-workqueue", header)

    def test_every_file_system_of_the_host_is_mounted(self, host: str, machines: dict[str, Installed]) -> None:
        mounted = {each["target"]: each for each in json.loads(machines[host]["mounts"])["filesystems"]}
        for wanted in facts(host)["fileSystems"]:
            found = mounted["/mnt" + wanted["mountPoint"].rstrip("/")]
            assert found["fstype"] == wanted["fsType"]
            subvolumes = [option for option in wanted["options"] if option.startswith("subvol=")]
            assert all(f"subvol=/{option.removeprefix('subvol=').lstrip('/')}" in found["options"] for option in subvolumes)
            assert found["source"].startswith("/dev/mapper/cryptroot") == (wanted["fsType"] == "btrfs")

    def test_its_identity_is_in_place(self, host: str, machines: dict[str, Installed]) -> None:
        lines = machines[host]["identity"].split("\n")
        assert {"600 ssh/ssh_host_ed25519_key", "644 ssh/ssh_host_ed25519_key.pub", "644 machine-id", "1"} <= set(lines)

    def test_keep_mounts_what_is_there(self, host: str, machines: dict[str, Installed]) -> None:
        assert machines[host]["kept"].split()[-1] == "/mnt/nix"


class TestFirmware:
    def test_refind_is_first_and_on_this_esp(self, machines: dict[str, Installed]) -> None:
        said = machines["bifrost"]["firmware"]
        entries = dict(re.findall(r"^Boot([0-9A-F]{4})\S* (rEFInd|Linux Boot Manager)\b", said, re.MULTILINE))
        (order,) = re.findall(r"^BootOrder: (\S+)", said, re.MULTILINE)
        assert [entries.get(number) for number in order.split(",")][:2] == ["rEFInd", "Linux Boot Manager"], said
        assert list(entries.values()).count("rEFInd") == 1
        (uuid,) = re.findall(r"^esp (\S+)", said, re.MULTILINE)
        assert re.search(rf"rEFInd\s+HD\(1,GPT,{uuid},", said), said

    def test_the_menu_starts_the_newest_generation_by_itself(self, machines: dict[str, Installed]) -> None:
        with machines["bifrost"].machine.on([]) as boot:
            boot.until(lambda: "== exit" in boot.result, 900, "NixOS to be started")
            assert re.search(r'starting Boot[0-9A-F]{4} "rEFInd"', boot.console)
            found = sections(boot.result)
        assert "/2-system/init" in found["cmdline"] and "nohibernate" in found["cmdline"]
        places = {mount["mountPoint"].rstrip("/") for mount in facts("bifrost")["fileSystems"]} - {"/boot/efi"}
        assert set(found["mounted"].split()) == {f"/mnt{place}" for place in places}
        # systemd-boot counted this try, on the file system that the running machine mounts.
        assert len(re.findall(r"^nixos-\S+\+2-1\.conf$", found["entries"], re.MULTILINE)) == 1

    def test_the_menu_starts_kinoite_by_its_key(self, machines: dict[str, Installed]) -> None:
        with machines["bifrost"].machine.on([]) as boot:
            boot.until(lambda: 'rEFInd" from' in boot.console, 300, "rEFInd to be started")
            # A screen of one colour packs to next to nothing.
            boot.until(lambda: len(boot.picture().read_bytes()) > 20_000, 300, "the menu to be drawn")
            boot.press("left")
            boot.press("ret")
            boot.until(lambda: "shimx64" in boot.console or "stub" in boot.console.lower(), 120, "Kinoite's loader to be started")
