"""Who deploys to a machine of the lab: the product's own scripts, unchanged, over OpenSSH with pinned keys."""

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.disk import NIX, REPOSITORY, nix
from tests.lab.machine import Machine

SCRIPTS = REPOSITORY / "components/nixos/scripts"
DEADLINE = 1800
# What the machine has no use for, and an emulated processor is long at.
QUICK = [
    "module_blacklist=kvm,kvm_amd,ccp,ahci,cryptd,aesni_intel,ghash_clmulni_intel,sha1_ssse3,sha256_ssse3,sha512_ssse3,powernow_k8,"
    "psmouse,pcspkr,evdev,serio_raw,joydev,vmw_vsock_virtio_transport",
    "systemd.mask=getty@tty1.service",
    "systemd.mask=serial-getty@ttyS0.service",
    "quiet",
    # The kernel waits a moment for the timer's ticks, which a busy computer delivers too late, and then gives the timer up
    # (MP-BIOS bug: 8254 timer not connected to IO-APIC). Under KVM a guest does not try.
    "no_timer_check",
]


@dataclass(frozen=True)
class Outcome:
    """How a script ended."""

    code: int
    out: str
    err: str


@dataclass
class Operator:
    """One machine's operator. ``work`` holds what stands for the repository's secrets."""

    machine: Machine
    work: Path
    systems: int = 0

    def system(self, **facts: Any) -> str:
        """The drvPath of a system that the machine never ran (arguments of ``system/default.nix``)."""
        self.systems += 1
        given = {"name": self.machine.name, "stamp": str(self.systems), "kernelParams": QUICK}
        return self.machine.base.system(**{**given, **facts})

    def deploy(self, drv: str, checks: str = "", script: str = "deploy.sh", **environment: str) -> Outcome:
        """Run one of the operator's scripts."""
        command = [str(SCRIPTS / script)]
        values = {**os.environ, **self.environment(drv, checks), **environment}
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=values,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def copy(self, path: str) -> Outcome:
        """Sign PATH and copy it to the machine, and nothing else."""
        nix("store", "sign", "--recursive", "--key-file", str(self.machine.base.signing_key), path)
        options = {"NIX_SSHOPTS": f"-F {self.machine.configure([self.machine])}"}
        command = [str(NIX), "copy", "--to", f"ssh-ng://{self.machine.name}", path]
        done = subprocess.run(
            command, env={**os.environ, **options}, capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def on_host(self, script: str, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a script of the host's side, as the operator's scripts do."""
        text = "\n".join((SCRIPTS / name).read_text() for name in ("../../health/scripts/health.sh", "host.sh", script))
        return self.machine.ssh(f"bash -c {shlex.quote(text)} aether {shlex.join(arguments)}", stdin, timeout=DEADLINE)

    def environment(self, drv: str, checks: str) -> dict[str, str]:
        # sops itself is the engine's, which this lab does without.
        tools = self.work / "tools"
        if not tools.exists():
            tools.mkdir()
            (tools / "sops").write_text(f"#!/bin/sh\ncat '{self.machine.base.signing_key}'\n")
            (tools / "sops").chmod(0o755)
            (self.work / "fleet.yaml").touch()
        return {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "AETHER_HOST": self.machine.name,
            "AETHER_HOSTNAME": self.machine.name,
            "AETHER_FLAKE": self.machine.name,
            "AETHER_DESIRED": drv,
            "AETHER_CHECKS": checks,
            "AETHER_SETTLE": "1",
            "AETHER_CONFIRM_TIMEOUT": "120",
            "AETHER_REBOOT": "ask",
            "AETHER_BUILD_ON": "operator",
            "AETHER_NIX": str(NIX),
            "AETHER_SECRETS": str(self.work),
            "AETHER_SSH_CONFIG": str(self.machine.configure([self.machine])),
            "AETHER_WAIT": "60",
            "AETHER_BOOT_TIMEOUT": "1500",
        }

    def built(self, drv: str) -> str:
        """The system's path in the operator's store."""
        return nix("build", "--no-link", "--print-out-paths", f"{drv}^out")

    def runs(self) -> str:
        return self.machine.sh("readlink -f /run/current-system")

    def comes_to(self, path: str) -> None:
        """Wait until the machine, which may be booting more than once, runs PATH."""
        assert self.machine.boot
        self.machine.boot.until(lambda: self.machine.hears("readlink -f /run/current-system") == path, DEADLINE, path)

    def boots(self) -> str:
        return self.machine.sh("readlink -f /nix/var/nix/profiles/system")
