#!/usr/bin/env python3
# mypy: ignore-errors
"""bin/switch-to-configuration of a simulated NixOS system.

Imitates switch-to-configuration-ng of nixpkgs 25.05 (pkgs/by-name/sw/switch-to-configuration-ng/src/src/main.rs): actions
switch, boot, test, dry-activate, check; its lock, its order (stop, activate, reload the manager, restart, start), its words
and exit codes (4: units failed). The boot loader is systemd-boot as nixpkgs installs it (one entry a generation, with
`+TRIES` where the system counts boots); a system without a kernel is a container and has none.
Refuses: callers that are not root, a machine that is not NixOS, a second activation at the same time.
"""

import glob
import json
import os
import re
import subprocess
import sys

from simlib import Refused, link, locked, need_root, read, run, write

ENTRIES = "/boot/loader/entries"
PROFILES = "/nix/var/nix/profiles"
UNITS = "etc/systemd/system"


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def system_of(argv0):
    """The system this script was called in: the directory above bin/."""
    return os.path.realpath(os.path.dirname(os.path.dirname(os.path.abspath(argv0))))


def units_of(system):
    """Unit file name -> text."""
    directory = f"{system}/{UNITS}"
    names = os.listdir(directory) if os.path.isdir(directory) else []
    return {name: read(f"{directory}/{name}") for name in names if name.endswith((".service", ".timer", ".socket"))}


def wanted(system):
    """Units that multi-user.target starts."""
    directory = f"{system}/{UNITS}/multi-user.target.wants"
    return set(os.listdir(directory)) if os.path.isdir(directory) else set()


def systemctl(*words):
    return subprocess.run(["systemctl", *words], capture_output=True, text=True)


def is_active(unit):
    return systemctl("is-active", "--quiet", unit).returncode == 0


def listed(verb, units):
    if units:
        say(f"{verb} the following units: {', '.join(sorted(units))}")


def plan(old, new):
    """Units to stop, to restart and to start when the system changes."""
    before, after = units_of(old), units_of(new)
    gone = {name for name in before if name not in after and is_active(name)}
    changed = {name for name in after if name in before and before[name] != after[name] and is_active(name)}
    kept = {name for name in changed if "X-RestartIfChanged=false" in after[name]}
    start = {name for name in wanted(new) if not is_active(name)}
    return gone, changed - kept, start


def activate(system, dry):
    """Change the running system. Returns the exit code."""
    old = os.path.realpath("/run/current-system")
    stop, restart, start = plan(old, system)
    if dry:
        listed("would stop", stop | restart)
        say("would activate the configuration...")
        listed("would restart", restart)
        listed("would start", start)
        return 0
    listed("stopping", stop | restart)
    for unit in sorted(stop | restart):
        systemctl("stop", unit)
    say("activating the configuration...")
    link(system, "/run/current-system")
    say("setting up /etc...")
    link(f"{system}/etc", "/etc/static")
    hostname = read(f"{system}/etc/hostname").strip()
    if hostname:
        write("/etc/hostname", hostname + "\n")
        # NixOS's activation script sets it, too.
        subprocess.run(["hostname", hostname], check=False)
    # Secrets and files of the activation are run as the script says.
    if os.access(f"{system}/activate", os.X_OK):
        done = subprocess.run([f"{system}/activate"])
        if done.returncode:
            say("Failed to run activate script")
            return 2
    systemctl("daemon-reload")
    listed("restarting", restart)
    listed("starting", start)
    begun = sorted(restart | start)
    if begun:
        systemctl("start", *begun)
    # Whatever has failed counts, also what had before.
    listed_failed = systemctl("list-units", "--all", "--plain", "--no-legend", "--state=failed").stdout
    failed = [line.split()[0] for line in listed_failed.splitlines() if line.strip()]
    fresh = sorted(set(start) - set(failed))
    if fresh:
        say(f"the following new units were started: {', '.join(fresh)}")
    if failed:
        say(f"warning: the following units failed: {', '.join(failed)}")
        for unit in failed:
            say(systemctl("status", "--no-pager", "--full", unit).stdout)
        return 4
    return 0


def inhibited(system):
    """The pre-switch check: what is critical differs, so only a boot leads there. A system without the file inhibits nothing."""
    old, new = (json.loads(read(f"{path}/switch-inhibitors") or "{}") for path in ("/run/current-system", system))
    changed = [f"{name} : {old[name]} -> {new[name]}" for name in sorted(old) if name in new and new[name] != old[name]]
    if not changed or os.environ.get("NIXOS_NO_CHECK") == "1":
        return False
    say("There are changes to critical components of the system:\n")
    say("\n".join(changed))
    say("\nSwitching into this system is not recommended.")
    say("Pre-switch check 'switchInhibitors' failed\nPre-switch checks failed")
    return True


def generations():
    """Generation number -> system, of the system profile."""
    found = {}
    for path in glob.glob(f"{PROFILES}/system-*-link"):
        number = re.search(r"system-(\d+)-link$", path)
        if number:
            found[int(number[1])] = os.path.realpath(path)
    return found


def install_boot_loader(system):
    """One boot entry a generation; the entry of this system becomes the default."""
    if not os.path.exists(f"{system}/kernel"):
        link("/nix/var/nix/profiles/system/init", "/sbin/init")
        return
    say("updating systemd-boot...")
    os.makedirs(ENTRIES, exist_ok=True)
    present = {}
    for file in os.listdir(ENTRIES):
        match = re.match(r"nixos-generation-(\d+)(?:\+.*)?\.conf$", file)
        if match:
            present[int(match[1])] = file
    current = generations()
    for number, file in present.items():
        if number not in current:
            os.unlink(f"{ENTRIES}/{file}")
    default = None
    for number, target in sorted(current.items()):
        if number not in present:
            tries = read(f"{target}/boot-tries").strip()
            name = f"nixos-generation-{number}{'+' + tries if tries else ''}.conf"
            params = read(f"{target}/kernel-params").strip()
            write(
                f"{ENTRIES}/{name}",
                f"title NixOS\nsort-key nixos\nversion Generation {number}\nlinux {target}/kernel\n"
                f"initrd {target}/initrd\noptions init={target}/init {params}\n",
            )
        if target == system:
            default = number
    if default is not None:
        write("/boot/loader/loader.conf", f"timeout 3\ndefault nixos-generation-{default}.conf\n")


def main(argv):
    action = argv[0] if argv else ""
    if action not in ("switch", "boot", "test", "dry-activate", "check"):
        raise Refused(
            f"Usage: {sys.argv[0]} [check|switch|boot|test|dry-activate]\n"
            "switch:       make the configuration the boot default and activate now\n"
            "boot:         make the configuration the boot default\n"
            "test:         activate the configuration, but don't make it the boot default\n"
            "dry-activate: show what would be done if this configuration were activated"
        )
    need_root("switch-to-configuration must be run as root")
    if not os.path.exists("/etc/NIXOS"):
        raise Refused("This is not a NixOS installation!")
    system = system_of(sys.argv[0])
    if action == "check":
        return 1 if inhibited(system) else 0
    with locked("/run/nixos/switch-to-configuration.lock", "Could not acquire lock"):
        if action in ("switch", "test") and inhibited(system):
            return 1
        if action in ("switch", "boot"):
            install_boot_loader(system)
            if action == "boot":
                return 0
        return activate(system, action == "dry-activate")


if __name__ == "__main__":
    run(main)
