#!/usr/bin/env python3
# mypy: ignore-errors
"""Every program of a simulated host: the name it is called by leads to its function. Modules are compiled once, this is not."""

import os
import sys

import simlib

# Of what has no line here, a package brings a program that only says its version.
PROGRAMS = {
    **dict.fromkeys(("apt-get", "dpkg-query", "dnf", "rpm", "apk"), "packages:main"),
    **dict.fromkeys(("podman", "toolbox", "distrobox"), "tools:containers"),
    **{name: f"tools:{name}" for name in ("flatpak", "smbpasswd", "tailscale", "wg", "syncthing")},
    "nvidia-ctk": "tools:nvidia_ctk",
    **{name: f"atomic:{name.replace('-', '_')}" for name in ("rpm-ostree", "ostree", "greenboot", "boot-counting")},
    **{name: f"nix:{name.replace('-', '_')}" for name in ("nix", "nix-env", "nix-store", "nix-daemon")},
    **{name: f"systemd_boot:{name.replace('-', '_')}" for name in ("bootctl", "switch-to-configuration")},
    "ostree_boot.py": "atomic:boot",
    "vbash.py": "vyos:main",
}

if __name__ == "__main__":
    path = sys.argv[0]
    while os.path.basename(path) not in PROGRAMS and os.path.islink(path):
        # Somebody gave it another name.
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    known = PROGRAMS.get(os.path.basename(path), "tools:version")
    module, _, function = ("tools:version" if sys.argv[1:] == ["--version"] else known).partition(":")
    simlib.run(getattr(__import__(module), function))
