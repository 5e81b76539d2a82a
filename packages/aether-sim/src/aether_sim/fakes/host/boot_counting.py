#!/usr/bin/env python3
# mypy: ignore-errors
"""`boot-counting status` of an own image (image/files/system/usr/libexec/aether/boot-counting); stock and other people's lack it.

The fault no-boot-counting: a boot loader that does not count.
"""

import sys

from deployments import booted, read
from simlib import faults, run


def main(argv):
    now = booted(read())
    if now["digest"] is None or "/ublue-os/" in now["origin"]:
        sys.stderr.write("bash: /usr/libexec/aether/boot-counting: No such file or directory\n")
        return 127
    if argv != ["status"]:
        sys.stderr.write("boot-counting status: the rest is not simulated\n")
        return 64
    if "no-boot-counting" in faults():
        print("not armed: /boot/grub2/grub.cfg reads no custom.cfg. Fix: grub2-mkconfig -o /boot/grub2/grub.cfg")
        return 1
    print("armed")
    return 0


if __name__ == "__main__":
    run(main)
