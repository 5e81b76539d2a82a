"""Bifrost's ESP as it will be: nixpkgs' own program for systemd-boot fills a directory, and every path in it is followed.

The program is the one that runs on the machine, from the tree of nixpkgs; bootctl and nix-env are stood in for, and what
cannot be built here (kernels, pictures) are files of the same names.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nix.tools import evaluate

from .test_bifrost import on_esp, stanzas

FACTS = """host: let c = host.config; inherit (host.pkgs) lib; in {
  files = lib.mapAttrs (_: f: f.text or "") c.boot.loader.systemd-boot.extraFiles;
  entries = c.boot.loader.systemd-boot.extraEntries;
  tries = c.boot.loader.systemd-boot.bootCounting.tries;
  counting = c.boot.loader.systemd-boot.bootCounting.enable;
  limit = c.boot.loader.systemd-boot.configurationLimit;
  timeout = c.boot.loader.timeout;
  params = c.boot.kernelParams;
  kernel = c.system.boot.loader.kernelFile;
  initrd = c.system.boot.loader.initrdFile;
  specialisations = lib.attrNames c.specialisation;
}"""

# The program wants Python 3.12; these are what 3.11 lacks of it.
SHIM = """
import os as _os, pathlib as _pathlib
if not hasattr(_pathlib.Path, "walk"):
    def _walk(self, top_down=True):
        for root, folders, files in _os.walk(self, topdown=top_down):
            yield _pathlib.Path(root), folders, files
    _pathlib.Path.walk = _walk
"""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def generation(store: Path, name: str, facts: dict[str, Any], specialisations: dict[str, Any]) -> dict[str, Any]:
    """A bootspec whose kernel and initrd exist."""
    kernel, initrd = store / f"{name}-linux" / facts["kernel"], store / f"{name}-initrd" / facts["initrd"]
    for file in (kernel, initrd):
        script(file, name)
    spec = {
        "init": f"{store}/{name}-system/init",
        "initrd": str(initrd),
        "kernel": str(kernel),
        "kernelParams": facts["params"],
        "label": "bifrost",
        "system": "x86_64-linux",
        "toplevel": f"{store}/{name}-system",
    }
    return {"org.nixos.bootspec.v1": spec, "org.nixos.specialisation.v1": specialisations}


@pytest.fixture(scope="module")
def esp(trees: evaluate.Trees, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ESP after two generations of bifrost were installed, and Kinoite beside them."""
    facts = dict(evaluate.evaluate("nixosConfigurations.bifrost", apply=FACTS).value)
    work = tmp_path_factory.mktemp("esp")
    esp, store, profiles = work / "boot/efi", work / "store", work / "profiles"
    (esp / "loader").mkdir(parents=True)
    script(esp / "EFI/fedora/shimx64.efi", "Kinoite's")

    for number in (1, 2):
        others = {name: generation(store, f"{number}{name}", facts, {}) for name in facts["specialisations"]}
        spec = generation(store, f"{number}", facts, others)
        script(profiles / f"system-{number}-link/boot.json", json.dumps(spec))
        for name in facts["specialisations"]:
            (profiles / f"system-{number}-link/specialisation/{name}").mkdir(parents=True)

    tools = work / "tools"
    script(tools / "bin/nix-env", "#!/bin/sh\nprintf '   1   2026-01-01\\n   2   2026-01-02   (current)\\n'\n")
    script(tools / "bin/bootctl", f"#!/bin/sh\nmkdir -p {esp}/EFI/systemd\n: >{esp}/EFI/systemd/systemd-bootx64.efi\n")
    texts = facts["files"] | {f"loader/entries/{name}": text for name, text in facts["entries"].items()}
    (work / "extra.json").write_text(json.dumps(texts))
    copy = script(
        work / "copy-extra-files",
        f"#!{sys.executable}\nimport json, pathlib\n"
        f"for name, text in json.load(open({str(work / 'extra.json')!r})).items():\n"
        f"    file = pathlib.Path({str(esp)!r}, name); file.parent.mkdir(parents=True, exist_ok=True); file.write_text(text)\n",
    )
    replacements = {
        "efiSysMountPoint": esp,
        "bootMountPoint": esp,
        "nixosDir": "/EFI/nixos",
        "timeout": facts["timeout"],
        "editor": "",
        "consoleMode": "keep",
        "distroName": "NixOS",
        "nix": tools,
        "systemd": tools,
        "configurationLimit": facts["limit"],
        "rebootForBitlocker": "",
        "canTouchEfiVariables": "1",
        "graceful": "",
        "copyExtraFiles": copy,
        "checkMountpoints": script(work / "check", "#!/bin/sh\n"),
        "storeDir": store,
        "bootCountingTries": facts["tries"],
        "bootCounting": facts["counting"],
    }
    source = trees.directory / "nixpkgs/nixos/modules/system/boot/loader/systemd-boot/systemd-boot-builder.py"
    text = source.read_text().replace("/nix/var/nix/profiles", str(profiles))
    text = re.sub(r"^type (\w+) = ", r"\1 = ", text, flags=re.MULTILINE)
    for name, value in replacements.items():
        text = text.replace(f"@{name}@", str(value))
    program = script(work / "systemd-boot", SHIM + text)
    done = subprocess.run(
        [sys.executable, str(program), str(store / "2-system")],
        env={**os.environ, "NIXOS_INSTALL_BOOTLOADER": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return esp


def entries(esp: Path) -> dict[str, list[tuple[str, str]]]:
    """Loader entries by file name, as keys and values in order."""
    found = {}
    for file in sorted((esp / "loader/entries").glob("*.conf")):
        lines = [line.split(maxsplit=1) for line in file.read_text().splitlines() if line]
        found[file.name] = [(key, value) for key, value in lines]
    return found


def test_each_generation_has_both_kernels(esp: Path) -> None:
    titles = sorted(dict(entry)["title"] for entry in entries(esp).values())
    assert titles == ["Kinoite", "NixOS", "NixOS", "NixOS (mainline)", "NixOS (mainline)"]


def test_every_path_of_every_entry_exists(esp: Path) -> None:
    followed = 0
    for name, entry in entries(esp).items():
        for key, value in entry:
            if key in ("linux", "initrd", "efi", "devicetree"):
                assert (esp / on_esp(value)).is_file(), (name, key, value)
                followed += 1
    assert followed == 9


def test_every_path_of_the_menu_exists(esp: Path) -> None:
    conf = (esp / "EFI/refind/refind.conf").read_text()
    for title, entry in stanzas(conf).items():
        for key in ("loader", "icon"):
            assert (esp / on_esp(entry[key])).is_file(), (title, key)
    (theme,) = re.findall(r"^include (.*)$", conf, re.MULTILINE)
    assert "banner" in (esp / "EFI/refind" / theme).read_text()
    assert (esp / "EFI/refind/refind_x64.efi").is_file()


def test_new_entries_are_counted_and_the_newest_is_preferred(esp: Path) -> None:
    nixos = [name for name in entries(esp) if name.startswith("nixos-")]
    assert len(nixos) == 4 and all(re.search(r"\+3\.conf$", name) for name in nixos)
    loader = (esp / "loader/loader.conf").read_text()
    (preferred,) = re.findall(r"^preferred (\S+)\.conf$", loader, re.MULTILINE)
    assert any(name.startswith(preferred) for name in nixos) and "editor 0" in loader
