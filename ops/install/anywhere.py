"""nixos-anywhere: its arguments, and a run of it that trusts one host key and nobody else.

Source: https://github.com/nix-community/nixos-anywhere, src/nixos-anywhere.sh (1.13.0, in nixpkgs).
"""

import codecs
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from components.nixos.tool import nix_command
from inventory.files import REPOSITORY
from ops.stack import OpsError

SHIM = Path(__file__).parent / "bin"
ALIAS = "aether-install"
"""The machine's name in the file of known hosts (bin/ssh)."""
KEXEC, INSTALL = ("kexec",), ("disko", "install", "reboot")


@dataclass(frozen=True)
class Way:
    """How the machine is reached before it is the host."""

    address: str
    port: int
    user: str
    known_hosts: Path
    key_file: str = ""
    """A private key; empty: the usual ones and the agent's."""

    def ssh(self, *command: str) -> list[str]:
        """The command line that runs COMMAND there, as root; another host key than the known one is refused."""
        command = command if self.user == "root" else ("sudo", "-n", *command)
        identity = ["-i", self.key_file, "-o", "IdentitiesOnly=yes"] if self.key_file else []
        known = ["-o", f'UserKnownHostsFile="{self.known_hosts}"', "-o", "GlobalKnownHostsFile=/dev/null"]
        strict = ["-o", "StrictHostKeyChecking=yes", "-o", f"HostKeyAlias={ALIAS}", "-o", "UpdateHostKeys=no"]
        patience = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        return ["ssh", *strict, *known, *patience, *identity, "-p", str(self.port), f"{self.user}@{self.address}", *command]


@dataclass(frozen=True)
class Order:
    """What nixos-anywhere is to do."""

    attribute: str
    """The host's attribute of nixosConfigurations."""
    build_on: str = "auto"
    keep: bool = False
    """Mount the layout that is there instead of making it again."""
    kexec: str = ""
    """The installer's archive; empty: nixos-anywhere's own, which the machine downloads."""


def arguments(order: Order, way: Way, phases: tuple[str, ...], extra_files: Path | None = None) -> list[str]:
    """nixos-anywhere's arguments for PHASES of ORDER."""
    words = ["--flake", f".#{order.attribute}", "--target-host", f"{way.user}@{way.address}", "--ssh-port", str(way.port)]
    words += ["--phases", ",".join(phases), "--build-on", order.build_on]
    if way.key_file:
        words += ["-i", way.key_file]
    if "kexec" in phases and order.kexec:
        words += ["--kexec", order.kexec]
    if "disko" in phases:
        words += ["--disko-mode", "mount" if order.keep else "disko"]
    if extra_files is not None:
        words += ["--extra-files", str(extra_files)]
    return words


def run(nix: str, words: list[str], way: Way, environment: dict[str, str]) -> None:
    """Run nixos-anywhere of the flake's nixpkgs with WORDS; what it says goes to the terminal.

    Raises:
        OpsError: it failed, or another machine answered.
        KeyboardInterrupt: it was interrupted; it has ended.
    """
    real = shutil.which("ssh", path=environment.get("PATH")) or "ssh"
    own = {
        "PATH": os.pathsep.join([str(SHIM), environment.get("PATH", "")]),
        "AETHER_SSH": real,
        "AETHER_KNOWN_HOSTS": str(way.known_hosts),
    }
    command = [*nix_command(nix), "run", "--inputs-from", ".", "nixpkgs#nixos-anywhere"]
    process = subprocess.Popen(
        [*command, "--", *words], cwd=REPOSITORY, env={**environment, **own}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        stranger = _pass_on(process)
    except BaseException:
        _end(process)
        raise
    if stranger:
        _end(process)
        raise OpsError(
            f"another SSH host key than the one that was trusted answers at {way.address}: nothing more was sent to it. Fix: "
            "look at its console. Where it is the installer, which did not take over the rescue system's key, run the same "
            "command again: it asks for the new key and goes on there"
        )
    if process.wait():
        raise OpsError(
            f"nixos-anywhere ended with code {process.returncode} (above). Once the cause is gone, run the same command again"
        )


def _pass_on(process: "subprocess.Popen[bytes]") -> bool:
    """Show what PROCESS says, also half a line that asks something.

    True as soon as ssh refuses a host key, which nixos-anywhere would try for ever.
    """
    assert process.stdout is not None
    decoder, tail = codecs.getincrementaldecoder("utf-8")(errors="replace"), ""
    while chunk := os.read(process.stdout.fileno(), 65536):
        text = decoder.decode(chunk)
        sys.stdout.write(text)
        sys.stdout.flush()
        tail = (tail + text)[-2000:]
        if "Host key verification failed" in tail:
            return True
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """The terminal's Ctrl-C has reached it as well; it is given the time to put away its own key."""
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
