"""Fills a directory as bifrost's ESP, by nixpkgs' own program for systemd-boot from the tree of nixpkgs: the one that
runs on the machine. bootctl and nix-env are stood in for, and what cannot be built here are files of the same names.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import golden
from .conftest import ask

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

BUILDER = "nixos/modules/system/boot/loader/systemd-boot/systemd-boot-builder.py"

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


@dataclass(frozen=True)
class Real:
    """Files that take the place of empty ones: all of them for an ESP that boots."""

    kernel: Path | None = None
    initrd: Path | None = None
    loader: Path | None = None
    """systemd-boot."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """By path on the ESP."""


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


def fill(work: Path, real: Real | None = None) -> Path:
    """The ESP after two generations of bifrost were installed, and Kinoite beside them.

    Of ``real`` kernel and initrd are the newest generation's.
    """
    real = real or Real()
    facts = dict(ask("nixosConfigurations.bifrost", FACTS))
    esp, store, profiles = work / "boot/efi", work / "store", work / "profiles"
    (esp / "loader").mkdir(parents=True)
    script(esp / "EFI/fedora/shimx64.efi", "Kinoite's")

    for number in (1, 2):
        others = {name: generation(store, f"{number}{name}", facts, {}) for name in facts["specialisations"]}
        spec = generation(store, f"{number}", facts, others)
        if number == 2:
            for key, file in (("kernel", real.kernel), ("initrd", real.initrd)):
                if file is not None:
                    shutil.copyfile(file, spec["org.nixos.bootspec.v1"][key])
        script(profiles / f"system-{number}-link/boot.json", json.dumps(spec))
        for name in facts["specialisations"]:
            (profiles / f"system-{number}-link/specialisation/{name}").mkdir(parents=True)

    tools = work / "tools"
    script(tools / "bin/nix-env", "#!/bin/sh\nprintf '   1   2026-01-01\\n   2   2026-01-02   (current)\\n'\n")
    loader = real.loader or script(work / "loader.efi", "")
    script(tools / "bin/bootctl", f"#!/bin/sh\nmkdir -p {esp}/EFI/systemd\ncp {loader} {esp}/EFI/systemd/systemd-bootx64.efi\n")
    texts = facts["files"] | {f"loader/entries/{name}": text for name, text in facts["entries"].items()}
    (work / "extra.json").write_text(json.dumps(texts))
    copy = script(
        work / "copy-extra-files",
        f"#!{Path(sys.executable).resolve()}\nimport json, pathlib\n"
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
    text = golden.of_nixpkgs(BUILDER).replace("/nix/var/nix/profiles", str(profiles))
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
    for name, file in real.files.items():
        (esp / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, esp / name)
    return esp
