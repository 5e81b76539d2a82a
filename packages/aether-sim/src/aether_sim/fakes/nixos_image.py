"""The system that a NixOS image or template of the simulator holds before the first deployment."""

from __future__ import annotations

import hashlib
from pathlib import Path

from aether_sim.fakes.store import store_name
from aether_sim.paths import REPO

SWITCH = "/usr/lib/aether-sim/switch-to-configuration"
NAME = store_name(hashlib.sha256(b"aether simulated NixOS image 25.05").digest(), "nixos-system-nixos-image-25.05")
SYSTEM = f"/nix/store/{NAME}"
SSHD = """[Unit]
Description=SSH Daemon

[Service]
Type=notify
ExecStart=/run/current-system/sw/bin/sshd -D -f /etc/ssh/sshd_config

[Install]
WantedBy=multi-user.target

[X-Simulator]
Sshd=yes
"""
_WANTS = "etc/systemd/system/multi-user.target.wants"


def kernel_of(repository: Path) -> str:
    """What stands for the kernel that the flake's pins give: it changes with flake.lock."""
    lock = repository / "flake.lock"
    pins = hashlib.sha256(lock.read_bytes() if lock.exists() else b"").hexdigest()
    return f"simulated kernel of pins {pins[:12]}\n"


def files() -> dict[str, str]:
    """Files of the image: path -> content."""
    return {
        "/etc/NIXOS": "",
        f"{SYSTEM}/init": "#!/bin/sh\n# stage 2 init of the image\n",
        f"{SYSTEM}/kernel": kernel_of(REPO),
        f"{SYSTEM}/initrd": "initrd of " + kernel_of(REPO),
        f"{SYSTEM}/kernel-params": "loglevel=4",
        f"{SYSTEM}/nixos-version": "25.05.20251101.image",
        f"{SYSTEM}/system": "x86_64-linux",
        f"{SYSTEM}/etc/systemd/system/sshd.service": SSHD,
    }


def links() -> dict[str, str]:
    """Symbolic links of the image: path -> target."""
    return {
        f"{SYSTEM}/{_WANTS}/sshd.service": "../sshd.service",
        f"{SYSTEM}/bin/switch-to-configuration": SWITCH,
        f"{SYSTEM}/sw/bin": "/usr/bin",
        "/etc/static": f"{SYSTEM}/etc",
        "/etc/systemd/system": "/etc/static/systemd/system",
        "/nix/var/nix/profiles/system": "system-1-link",
        "/nix/var/nix/profiles/system-1-link": SYSTEM,
    }
