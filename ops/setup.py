"""Make the environment: uv, the locked Python packages, the engine. Standard library only; run by the system's Python.

    python3 ops/setup.py [--group sim …] [--only environment|engine]

What is there already is left alone. Ctrl-C leaves something that the next run completes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
AETHER = REPOSITORY / ".aether"
LOGS = AETHER / "logs"
# What has to be the working folder to run the package: nothing is installed of it.
ENGINE = REPOSITORY / "packages/aether-engine/src"
SIMULATOR = REPOSITORY / "packages/aether-sim/src"
UV_VERSION = "0.13.9"
# As pyproject.toml's requires-python says.
OLDEST, NEWEST = (3, 11), (3, 14)
PYTHONS = "Python {}.{} to {}.{}".format(*OLDEST, *NEWEST)
# Certificates are the machine's, as pip's are: a company's own authority is among them.
UV_ENVIRONMENT = {"VIRTUAL_ENV": "", "UV_SYSTEM_CERTS": "1"}
# Said here, before the engine is built for somebody who cannot use it so.
NEEDS_ROOT = (
    "The simulated datacentre needs root: its hosts have users, mounts and ports below 1024 of their own. "
    "Fix: sudo make up, or a virtual machine where you are root. "
    "Real stacks (STACK=homelab, STACK=cloud) need none, nor do make setup and make test-unit"
)
# What comes after `make setup`: in Aether's checkout, and in a fleet's repository (it has upstream.toml).
NEXT = "Next, without hardware: make up. A repository of your own: ./aether init ../homelab (docs/getting-started.md)"
NEXT_OF_A_FLEET = "Next: make up, on a simulated node; make doctor STACK=homelab, for your own (docs/getting-started.md)"
# tool, Debian package
NEEDED = (("git", "git"), ("ssh", "openssh-client"), ("curl", "curl"))
# What tests of home/ and of generated text run, and the machines of tests/lab, too.
TESTED = (
    ("stow", "stow"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("mmdebstrap", "mmdebstrap"),
    ("mkfs.vfat", "dosfstools"),
    ("mcopy", "mtools"),
    ("sfdisk", "fdisk"),
    ("mkfs.ext4", "e2fsprogs"),
    ("pg_lsclusters", "postgresql"),
)
# Packages without a program: a file that each brings.
TESTED_FILES = ((Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), "ovmf"),)
# What simulated hosts answer SFTP with; where it lies is the simulator's to know, for every system that has it.
SFTP_SERVER = "openssh-sftp-server"


# Seconds for another apt that holds its locks.
LOCKED = 600


class StepFailed(Exception):
    """A step of the set-up failed; the message ends with the log's path."""


def step(name: str, command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run COMMAND, showing how long it takes; its output goes to a log under .aether/logs.

    Raises:
        StepFailed: with the last lines of the log and its path.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name.replace(' ', '-')}.log"
    started = time.monotonic()
    with log.open("wb") as output, Ticker(name, started):
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=REPOSITORY, env={**os.environ, **(environment or {})}
        )
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code:
        last = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-12:])
        raise StepFailed(f"{name} failed:\n{last}\n  The whole log: {log.relative_to(REPOSITORY)}")
    print(f"  {name}: done in {time.monotonic() - started:.0f} s", flush=True)


class Ticker:
    """Says every few seconds that a step is still at work."""

    def __init__(self, name: str, started: float, every: float = 5.0) -> None:
        self._name, self._started, self._every = name, started, every
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Ticker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._every):
            print(f"  {self._name}: {time.monotonic() - self._started:.0f} s so far", flush=True)


def machine_packages(missing: list[str]) -> None:
    """Install Debian packages that are missing, where that needs nobody: root on a machine with apt.

    Raises:
        StepFailed: naming the command to run where it does.
    """
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise StepFailed(f"Missing on this machine. Fix: sudo apt install {' '.join(missing)} (or what your system calls them)")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    # A fresh machine updates itself in its first minutes. apt waits for dpkg's lock when told to, never for its lists'.
    end = time.monotonic() + LOCKED
    while True:
        try:
            step("package list", ["apt-get", "update", "-q"], quiet)
            break
        except StepFailed as error:
            if "Could not get lock" not in str(error) or time.monotonic() > end:
                raise
        print("  package list: another apt is at work; waits for it", flush=True)
        time.sleep(3)
    install = ["apt-get", "install", "-qy", "--no-install-recommends", "-o", f"DPkg::Lock::Timeout={LOCKED}"]
    step("machine packages", [*install, *missing], quiet)


def sftp_server() -> None:
    """OpenSSH's server of SFTP, for the simulated hosts; without it nothing but `scp` and `sftp` to them fails."""
    if subprocess.run([sys.executable, "-m", "aether_sim.sftp"], cwd=SIMULATOR, check=False).returncode == 0:
        return
    try:
        machine_packages([SFTP_SERVER])
    except StepFailed as error:
        print(f"  no SFTP on simulated hosts: {error}", flush=True)


def checkers() -> None:
    """Programs that read what hosts are given (Caddy, nft …), OpenBao, ostree, GRUB, buildah; tests skip those missing."""
    cache = Path(os.environ.get("AETHER_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aether")
    get, there = str(REPOSITORY / "nix/tools/get-checkers.sh"), cache / "checkers" / "bin"
    if not (there / "caddy").exists() and shutil.which("apt-get"):
        step("checkers", [get, "--debian"])
    if not (there / "bao").exists():
        step("openbao", [get, "--bao"])
    if not (cache / "checkers/builder/run").exists() and shutil.which("apt-get"):
        step("ostree, GRUB, buildah", [get, "--atomic"])
    if not all((there / name).exists() for name in ("cryptsetup", "step-ca", "otelcol", "wireguard-go", "keycloak-realm")):
        step("step-ca, WireGuard, OpenTelemetry's collector", [get, "--more"])


def environment(groups: list[str]) -> bool:
    """The virtual environment .venv with exactly what uv.lock says, for GROUPS; whether anything was to do."""
    stamp = AETHER / "environment.stamp"
    wanted = hashlib.sha256((REPOSITORY / "uv.lock").read_bytes()).hexdigest()
    have = stamp.read_text().split() if stamp.exists() else []
    if have[:1] == [wanted] and set(groups) <= set(have[1:]) and (REPOSITORY / ".venv/bin/python").exists():
        return False
    groups = sorted(set(groups) | (set(have[1:]) if have[:1] == [wanted] else set()))
    flags = [flag for group in groups for flag in ("--group", group)]
    uv = _uv()
    try:
        step("Python environment", [uv, "sync", "--locked", "--no-dev", *_python(), *flags], UV_ENVIRONMENT)
    except StepFailed as error:
        if usable():
            raise
        running = ".".join(map(str, sys.version_info[:3]))
        raise StepFailed(
            f"{error}\nThis is Python {running}, {PYTHONS} is needed, and uv found or got none. "
            f"Fix: install one and name it: make setup PYTHON=python3.12"
        ) from None
    stamp.write_text(" ".join([wanted, *groups]))
    return True


def compiled() -> None:
    """Ansible's bytecode, and what Mitogen sends to hosts, made by a task on this machine.

    A dozen playbooks begin a first `up` at once, and each would make it by itself. What is wrong is told when they run.
    """
    python = REPOSITORY / ".venv/bin/python"
    here = ["-i", "localhost,", "-c", "local", "-e", json.dumps({"ansible_python_interpreter": str(python)})]
    task = ["-m", "ansible.builtin.setup", "-a", "gather_subset=min"]
    environment = {
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible/ansible.cfg"),
        "PYTHONPYCACHEPREFIX": str(AETHER / "cache/python"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with suppress(StepFailed):
        step("Ansible", [str(python.with_name("ansible")), "localhost", *here, *task], environment)


def usable() -> bool:
    """Whether the Python that runs this can be the environment's."""
    return OLDEST <= sys.version_info[:2] <= NEWEST


def _python() -> list[str]:
    """The environment's Python: the one that runs this; where that is too old or too new, one that uv finds or downloads."""
    if usable():
        return ["--python", sys.executable, "--no-python-downloads"]
    return ["--python", ">={}.{},<{}.{}".format(*OLDEST, NEWEST[0], NEWEST[1] + 1)]


def needs(stack: str, tests: bool) -> tuple[list[str], list[str]]:
    """Dependency groups of pyproject.toml, and groups of engine parts, that STACK needs; without one every ordinary stack's.

    The engine asks for the plugin of each SDK in the environment, and SDKs and plugins of clouds are a third of a first start.
    """
    composition = _setting(stack, "composition")
    inventory = REPOSITORY / _setting(stack, "inventory")
    # An image repository of its own is GitHub's.
    with_image = inventory.is_file() and "[image]" in inventory.read_text().splitlines()
    home = ["core", "plugins", "tools"]
    if composition == "homelab" and not tests and not with_image:
        return [], home
    if composition == "hetzner":
        return ["hcloud"], [*home, "hcloud"]
    return ["cloud"], [*home, "cloud"]


def _setting(stack: str, name: str) -> str:
    """A plain setting `aether:NAME` of the stack's file; empty where there is none."""
    file = REPOSITORY / f"Pulumi.{stack}.yaml"
    found = re.search(rf"(?m)^ *aether:{name}: *[\"']?([^\s\"']+)", file.read_text()) if file.is_file() else None
    return found[1] if found else ""


def engine(parts: list[str]) -> subprocess.Popen[bytes]:
    """`engine ensure` for these groups of parts, begun."""
    own = str(REPOSITORY / ".venv/bin/python")
    python = sys.executable if usable() or not Path(own).exists() else own
    only = [word for part in parts for word in ("--only", part)]
    return subprocess.Popen([python, "-m", "aether_engine", "ensure", *only], cwd=ENGINE)


def _uv() -> str:
    """uv: the machine's, or one of the project's own from PyPI."""
    if found := shutil.which("uv"):
        return found
    own = AETHER / "uv" / "bin" / "uv"
    if not own.exists():
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
            raise StepFailed("pip is missing, and uv comes by it. Fix: apt install python3-pip, or install uv")
        step("uv", [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(AETHER / "uv"), f"uv=={UV_VERSION}"])
    return str(own)


def said_next(code: int, options: argparse.Namespace) -> int:
    """CODE; where everything is there, and nobody asked for it on the way to something else, what comes next is said."""
    if code == 0 and not options.stack and not options.tests:
        print(f"\nAll is there. {NEXT_OF_A_FLEET if (REPOSITORY / 'upstream.toml').exists() else NEXT}")
    return code


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 ops/setup.py", description=__doc__.split("\n")[0])
    parser.add_argument("--group", action="append", default=[], help="dependency group of pyproject.toml; may be repeated")
    parser.add_argument("--stack", default="", help="what it is for; a simulated one needs root")
    parser.add_argument("--tests", action="store_true", help="also what only tests need")
    parser.add_argument("--only", choices=("environment", "engine"), help="make just this")
    options = parser.parse_args()
    try:
        if options.stack.startswith("sim") and os.geteuid() != 0:
            raise StepFailed(NEEDS_ROOT)
        needed = (*NEEDED, *TESTED) if options.tests else NEEDED
        missing = [package for tool, package in needed if not shutil.which(tool)]
        if options.tests:
            missing += [package for file, package in TESTED_FILES if not file.exists()]
        machine_packages(missing)
        groups, parts = needs(options.stack, options.tests)
        # Side by side: one downloads, the other one compiles. Both need nothing of each other, with a Python of this age.
        making = None if options.only == "environment" or not usable() else engine(parts)
        try:
            made = options.only != "engine" and environment([*options.group, *groups])
            if made and "ansible" in options.group:
                compiled()
            if options.stack.startswith("sim") and not options.only:
                sftp_server()
            if options.tests and not options.only:
                checkers()
            if options.only != "environment":
                return said_next((making or engine(parts)).wait(), options)
        except KeyboardInterrupt:
            if making is not None:
                making.wait()  # The terminal has told it too.
            raise
        finally:
            if making is not None and making.poll() is None:
                making.send_signal(signal.SIGINT)
                making.wait()
    except StepFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again; it goes on where this stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
