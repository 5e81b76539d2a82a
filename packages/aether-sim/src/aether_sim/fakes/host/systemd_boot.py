# mypy: ignore-errors
"""bin/switch-to-configuration of a simulated NixOS system, and bootctl.

Imitates nixpkgs' own (pkgs/by-name/sw/switch-to-configuration-ng), which is asked the same by tests/contract: actions switch,
boot, test, dry-activate, check; its lock, its order (stop, activate, forget failures, reload the manager, reload, restart,
start), the directives of a unit that it heeds, its words and exit codes (2: activation failed; 4: units failed; 11: another is
at work; 100: an init of another kind). The boot loader is systemd-boot as nixpkgs installs it (one entry a generation, with
`+TRIES` where the system counts boots); a system without a kernel is a container and has none. Of bootctl(1) of systemd 257:
--print-boot-path and set-oneshot, with EFI variables in /boot/loader/efivars.json.
Refuses: callers that are not root, a machine that is not NixOS, a second activation at the same time, entries that are not there.
"""

import errno
import json
import os
import re
import subprocess
import sys

from simlib import Refused, link, locked, need_root, options, read, write

ENTRIES = "/boot/loader/entries"
VARIABLES = "/boot/loader/efivars.json"
PROFILES = "/nix/var/nix/profiles"
UNITS = "etc/systemd/system"
ACTIONS = {
    "check": "run pre-switch checks and exit",
    "switch": "make the configuration the boot default and activate now",
    "boot": "make the configuration the boot default",
    "test": "activate the configuration, but don't make it the boot default",
    "dry-activate": "show what would be done if this configuration were activated",
}


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def names(folder):
    return os.listdir(folder) if os.path.isdir(folder) else []


def systemctl(*words):
    return subprocess.run(["systemctl", *words], capture_output=True, text=True)


def listed(states):
    """Names of the units in one of these states."""
    shown = systemctl("list-units", "--all", "--plain", "--no-legend", f"--state={states}").stdout
    return {line.split()[0] for line in shown.splitlines() if line.strip()}


def tell(verb, units):
    if units:
        say(f"{verb} the following units: {', '.join(sorted(units))}")


def has(text, directive, default=False):
    """The last word of a unit's text on a boolean directive."""
    values = re.findall(rf"^{directive}=(.*)$", text, re.MULTILINE)
    return values[-1] in ("1", "yes", "true", "on") if values else default


def planned(old, new):
    """Units to stop, to leave, to reload, to restart and to start when the system changes."""
    plan = {what: set() for what in ("stop", "skip", "reload", "restart", "start")}
    before, after = ({name: read(f"{system}/{UNITS}/{name}") for name in names(f"{system}/{UNITS}")} for system in (old, new))
    active = listed("active,activating,reloading")
    for name, text in after.items():
        if name not in active or before.get(name, text) == text:
            continue
        if has(text, "X-ReloadIfChanged"):
            plan["reload"].add(name)
        elif not has(text, "X-RestartIfChanged", True) or has(text, "RefuseManualStop") or has(text, "X-OnlyManualStart"):
            plan["skip"].add(name)
        elif not has(text, "X-StopIfChanged", True) or not name.endswith(".service"):
            plan["restart"].add(name)
        else:
            plan["stop"].add(name)
            plan["start"].add(name)
    plan["stop"] |= {
        name for name in before if name in active and name not in after and has(before[name], "X-StopOnRemoval", True)
    }
    return plan


def activate(system, dry):
    """Change the running system. Returns the exit code."""
    plan = planned(os.path.realpath("/run/current-system"), system)
    code, before = 0, listed("active,activating")
    tell("would stop" if dry else "stopping", plan["stop"])
    for unit in () if dry else sorted(plan["stop"]):
        systemctl("stop", unit)
    if plan["skip"]:
        say(f"{'would NOT stop' if dry else 'NOT restarting'} the following changed units: {', '.join(sorted(plan['skip']))}")
    say("would activate the configuration..." if dry else "activating the configuration...")
    if not dry and not activated(system):
        say("Failed to run activate script")
        code = 2
    if not dry:
        # What fails on the new system fails again; the rest is over.
        systemctl("reset-failed")
        systemctl("daemon-reload")
        say("restarting sysinit-reactivation.target")
    for job in ("reload", "restart", "start"):
        tell(f"would {job}" if dry else f"{job}ing", plan[job])
        for unit in () if dry else sorted(plan[job]):
            if systemctl(job, unit).returncode:
                say(f"Failed to {job} {unit}")
                code = 4
    if dry:
        return 0
    # What is new is started by the targets that want it.
    if new := set(names(f"{system}/{UNITS}/multi-user.target.wants")) - listed("active"):
        systemctl("start", *sorted(new))
    failed = listed("failed,auto-restart")
    if fresh := listed("active,activating") - before - failed:
        say(f"the following new units were started: {', '.join(sorted(fresh))}")
    if failed:
        say(f"warning: the following units failed: {', '.join(sorted(failed))}")
        say(systemctl("status", "--no-pager", "--full", *sorted(failed)).stdout)
        code = 4
    return code


def activated(system):
    """The system's activation: what runs is it from now on. Whether all of it went well."""
    link(system, "/run/current-system")
    say("setting up /etc...")
    link(f"{system}/etc", "/etc/static")
    if hostname := read(f"{system}/etc/hostname").strip():
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
    say("Checking switch inhibitors...\nThere are changes to critical components of the system:\n\n" + "\n".join(changed))
    say("\nSwitching into this system is not recommended.")
    say("You probably want to run 'nixos-rebuild boot' and reboot your system instead.\n")
    say("Pre-switch check 'switchInhibitors' failed\nPre-switch checks failed")
    return True


def install_boot_loader(system):
    """One boot entry a generation; the entry of this system becomes the default."""
    if not os.path.exists(f"{system}/kernel"):
        link(f"{PROFILES}/system/init", "/sbin/init")
        return
    say("updating systemd-boot...")
    found = {
        re.sub(r"\D", "", name): os.path.realpath(f"{PROFILES}/{name}") for name in names(PROFILES) if name.startswith("system-")
    }
    present = {
        match[1]: match[0] for match in (re.match(r"nixos-generation-(\d+).*\.conf$", name) for name in names(ENTRIES)) if match
    }
    for number in set(present) - set(found):
        os.unlink(f"{ENTRIES}/{present[number]}")
    for number, target in sorted(found.items(), key=lambda item: int(item[0])):
        tries, params = read(f"{target}/boot-tries").strip(), read(f"{target}/kernel-params").strip()
        if number not in present:
            write(
                f"{ENTRIES}/nixos-generation-{number}{'+' * bool(tries)}{tries}.conf",
                f"title NixOS\nsort-key nixos\nversion Generation {number}\nlinux {target}/kernel\n"
                f"initrd {target}/initrd\noptions init={target}/init {params}\n",
            )
        if target == system:
            write("/boot/loader/loader.conf", f"timeout 3\ndefault nixos-generation-{number}.conf\n")


def switch_to_configuration(argv):
    action = argv[0] if argv else ""
    if action not in ACTIONS:
        usage = f"Usage: {os.path.basename(sys.argv[0])} [{'|'.join(ACTIONS)}]\n"
        raise Refused(usage + "\n".join(f"{name + ':':13} {text}" for name, text in ACTIONS.items()))
    need_root("Error: switch-to-configuration must be run as the root user")
    if not os.path.exists("/etc/NIXOS"):
        # It ends with the error's number where there is one, as Perl's die did.
        raise Refused("This is not a NixOS installation!", errno.ENOENT)
    # The one this script was called in: the directory above bin/.
    system = os.path.realpath(os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0]))))
    with locked("/run/nixos/switch-to-configuration.lock", "Could not acquire lock", code=errno.EAGAIN):
        if inhibited(system, action):
            return 1
        if action in ("switch", "boot"):
            install_boot_loader(system)
        if action in ("check", "boot"):
            return 0
        old, new = (read(f"{path}/init-interface-version") for path in ("/run/current-system", system))
        if old != new:
            say(
                "Warning: the new NixOS configuration has an \u2018init\u2019 that is\nincompatible with the current "
                "configuration.  The new configuration\nwon't take effect until you reboot the system.\n"
            )
            return 100
        return activate(system, action == "dry-activate")


def bootctl(argv):
    # An entry's id is its file's name without its tries.
    ids = {re.sub(r"\+[\d-]+\.conf$", ".conf", name) for name in names(ENTRIES)}
    if not ids:
        raise Refused("Couldn't find EFI system partition.")
    found, words = options(argv)
    if "--print-boot-path" in found:
        print("/boot")
        return 0
    if words[:1] != ["set-oneshot"] or len(words) != 2:
        raise Refused(f"bootctl {' '.join(argv)}: not simulated")
    need_root("Failed to update EFI variable: Permission denied")
    if words[1] and words[1] not in ids:
        raise Refused(f"Entry '{words[1]}' not found.")
    write(VARIABLES, json.dumps({**json.loads(read(VARIABLES) or "{}"), "LoaderEntryOneShot": words[1]}))
    return 0
