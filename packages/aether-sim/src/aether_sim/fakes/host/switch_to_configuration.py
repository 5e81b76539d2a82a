#!/usr/bin/env python3
# mypy: ignore-errors
"""bin/switch-to-configuration of a simulated NixOS system.

Imitates nixpkgs' own (pkgs/by-name/sw/switch-to-configuration-ng), which is asked the same by tests/contract: actions switch,
boot, test, dry-activate, check; its lock, its order (stop, activate, forget failures, reload the manager, reload, restart,
start), the directives of a unit that it heeds, its words and exit codes (2: activation failed; 4: units failed; 11: another is
at work; 100: an init of another kind). The boot loader is systemd-boot as nixpkgs installs it (one entry a generation, with
`+TRIES` where the system counts boots); a system without a kernel is a container and has none.
Refuses: callers that are not root, a machine that is not NixOS, a second activation at the same time.
"""

import errno
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


def has(text, directive, default=False):
    """The last word of a unit's text on a boolean directive."""
    values = re.findall(rf"^{directive}=(.*)$", text, re.MULTILINE)
    return values[-1] in ("1", "yes", "true", "on") if values else default


class Plan:
    """Units to stop, to leave, to reload, to restart and to start when the system changes."""

    def __init__(self, old, new):
        self.stop, self.skip, self.reload, self.restart, self.start = set(), set(), set(), set(), set()
        before, after = units_of(old), units_of(new)
        for name, text in before.items():
            if not is_active(name):
                continue
            if name not in after:
                if has(text, "X-StopOnRemoval", True):
                    self.stop.add(name)
            elif text != after[name]:
                self._change(name, after[name])

    def _change(self, name, text):
        if has(text, "X-ReloadIfChanged"):
            self.reload.add(name)
        elif not has(text, "X-RestartIfChanged", True) or has(text, "RefuseManualStop") or has(text, "X-OnlyManualStart"):
            self.skip.add(name)
        elif not has(text, "X-StopIfChanged", True) or not name.endswith(".service"):
            self.restart.add(name)
        else:
            self.stop.add(name)
            self.start.add(name)


def running():
    """Units that are active or on their way there."""
    shown = systemctl("list-units", "--all", "--plain", "--no-legend", "--state=active,activating").stdout
    return {line.split()[0] for line in shown.splitlines() if line.strip()}


def activate(system, dry):
    """Change the running system. Returns the exit code."""
    plan = Plan(os.path.realpath("/run/current-system"), system)
    if dry:
        listed("would stop", plan.stop)
        if plan.skip:
            say(f"would NOT stop the following changed units: {', '.join(sorted(plan.skip))}")
        say("would activate the configuration...")
        listed("would reload", plan.reload)
        listed("would restart", plan.restart)
        listed("would start", plan.start)
        return 0
    code, before = 0, running()
    listed("stopping", plan.stop)
    for unit in sorted(plan.stop):
        systemctl("stop", unit)
    if plan.skip:
        say(f"NOT restarting the following changed units: {', '.join(sorted(plan.skip))}")
    say("activating the configuration...")
    if not activated(system):
        say("Failed to run activate script")
        code = 2
    # What fails on the new system fails again; the rest is over.
    systemctl("reset-failed")
    systemctl("daemon-reload")
    say("restarting sysinit-reactivation.target")
    for verb, job, units in (
        ("reloading", "reload", plan.reload),
        ("restarting", "restart", plan.restart),
        ("starting", "start", plan.start),
    ):
        listed(verb, units)
        for unit in sorted(units):
            if systemctl(job, unit).returncode:
                say(f"Failed to {job} {unit}")
                code = 4
    # What is new is started by the targets that want it.
    new = sorted(name for name in wanted(system) if not is_active(name))
    if new:
        systemctl("start", *new)
    failed_lines = systemctl("list-units", "--all", "--plain", "--no-legend", "--state=failed,auto-restart").stdout
    failed = sorted(line.split()[0] for line in failed_lines.splitlines() if line.strip())
    fresh = sorted(running() - before - set(failed))
    if fresh:
        say(f"the following new units were started: {', '.join(fresh)}")
    if failed:
        say(f"warning: the following units failed: {', '.join(failed)}")
        for unit in failed:
            say(systemctl("status", "--no-pager", "--full", unit).stdout)
        code = 4
    return code


def activated(system):
    """The system's activation: what runs is it from now on. Whether all of it went well."""
    link(system, "/run/current-system")
    say("setting up /etc...")
    link(f"{system}/etc", "/etc/static")
    hostname = read(f"{system}/etc/hostname").strip()
    if hostname:
        write("/etc/hostname", hostname + "\n")
        # NixOS's activation script sets it, too.
        subprocess.run(["hostname", hostname], check=False)
    # Secrets and files of the activation are run as the script says.
    return not os.access(f"{system}/activate", os.X_OK) or not subprocess.run([f"{system}/activate", system]).returncode


def inhibited(system, action):
    """The pre-switch check: what is critical differs, so only a boot leads there. A system without the file inhibits nothing."""
    if os.environ.get("NIXOS_NO_CHECK") == "1":
        return False
    if action in ("boot", "dry-activate"):
        say(f"Not checking switch inhibitors (action = {action})")
        return False
    old, new = (json.loads(read(f"{path}/switch-inhibitors") or "{}") for path in ("/run/current-system", system))
    changed = [f"{name} : {old[name]} -> {new[name]}" for name in sorted(old) if name in new and new[name] != old[name]]
    if not changed:
        say("Checking switch inhibitors... done")
        return False
    say("Checking switch inhibitors...\nThere are changes to critical components of the system:\n")
    say("\n".join(changed))
    say("\nSwitching into this system is not recommended.")
    say("You probably want to run 'nixos-rebuild boot' and reboot your system instead.\n")
    say("Pre-switch check 'switchInhibitors' failed\nPre-switch checks failed")
    return True


def other_init(system):
    """Whether only a boot leads there, because the first program is of another kind."""
    old, new = (read(f"{path}/init-interface-version") for path in ("/run/current-system", system))
    if old != new:
        say(
            "Warning: the new NixOS configuration has an \u2018init\u2019 that is\nincompatible with the current configuration.  "
            "The new configuration\nwon't take effect until you reboot the system.\n"
        )
    return old != new


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
            f"Usage: {os.path.basename(sys.argv[0])} [check|switch|boot|test|dry-activate]\n"
            "check:        run pre-switch checks and exit\n"
            "switch:       make the configuration the boot default and activate now\n"
            "boot:         make the configuration the boot default\n"
            "test:         activate the configuration, but don't make it the boot default\n"
            "dry-activate: show what would be done if this configuration were activated"
        )
    need_root("Error: switch-to-configuration must be run as the root user")
    if not os.path.exists("/etc/NIXOS"):
        # It ends with the error's number where there is one, as Perl's die did.
        raise Refused("This is not a NixOS installation!", errno.ENOENT)
    system = system_of(sys.argv[0])
    with locked("/run/nixos/switch-to-configuration.lock", "Could not acquire lock", code=errno.EAGAIN):
        if inhibited(system, action):
            return 1
        if action == "check":
            return 0
        if action in ("switch", "boot"):
            install_boot_loader(system)
            if action == "boot":
                return 0
        if other_init(system):
            return 100
        return activate(system, action == "dry-activate")


if __name__ == "__main__":
    run(main)
