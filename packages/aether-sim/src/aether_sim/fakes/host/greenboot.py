#!/usr/bin/env python3
# mypy: ignore-errors
"""greenboot's health check on a simulated Fedora Atomic host (greenboot-healthcheck.service runs it at each boot).

Imitates /usr/libexec/greenboot/greenboot of greenboot 0.15 (https://github.com/fedora-iot/greenboot): every executable in
check/required.d must end with 0, those in check/wanted.d may fail; then red.d or green.d is run, and boot_success is kept in
the boot loader's environment. The supervisor does what greenboot's reboot and rollback units do on red.
The fault greenboot-red fails the check of a deployment other than the one that ran when it was set.
"""

import os
import subprocess
import sys

from deployments import BOOTED, COUNTER, grub_environment, set_grub_environment
from simlib import Refused, faults, need_root, read, run

ROOTS = ("/usr/lib/greenboot", "/etc/greenboot")


def scripts(kind):
    """Executable scripts of a kind, in order of their names."""
    found = []
    for root in ROOTS:
        directory = f"{root}/{kind}"
        for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
            path = f"{directory}/{name}"
            if name.endswith(".sh") and os.access(path, os.R_OK):
                found.append(path)
    return found


def passes(path):
    """Run one check and print its outcome."""
    done = subprocess.run(["/bin/bash", path], capture_output=True, text=True)
    word = "SUCCESS" if done.returncode == 0 else "FAILURE"
    print(f"Script '{os.path.basename(path)}' {word} ({done.returncode})")
    for line in (done.stdout + done.stderr).splitlines()[-5:]:
        print(f"  {line}")
    return done.returncode == 0


def check():
    print("Running Required Health Check Scripts...")
    red = [path for path in scripts("check/required.d") if not passes(path)]
    fault = faults().get("greenboot-red")
    if fault and read(BOOTED).strip() != fault.get("good"):
        print("Script '00_injected_fault.sh' FAILURE (1)")
        red.append("injected fault: greenboot-red")
    for path in scripts("check/wanted.d"):
        passes(path)
    values = grub_environment()
    values["boot_success"] = 0 if red else 1
    if not red:
        values.pop(COUNTER, None)
    set_grub_environment(values)
    for path in scripts("red.d" if red else "green.d"):
        subprocess.run(["/bin/bash", path], capture_output=True)
    if red:
        print(f"greenboot: required health check failed: {', '.join(red)}")
        return 1
    print("greenboot: boot status is GREEN")
    return 0


def main(argv):
    if argv[:1] in (["health-check"], ["check"]):
        need_root("greenboot must be run as root")
        return check()
    if argv[:1] == ["--version"]:
        print("greenboot 0.15.8")
        return 0
    sys.stderr.write("Usage: greenboot health-check\n")
    raise Refused("", 2)


if __name__ == "__main__":
    run(main)
