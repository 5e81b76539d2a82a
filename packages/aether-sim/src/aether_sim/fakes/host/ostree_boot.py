#!/usr/bin/env python3
# mypy: ignore-errors
"""The boot of a simulated Fedora Atomic host: finalize what is staged, boot the first deployment, merge its /etc.

Imitates ostree-finalize-staged.service and ostree-prepare-root of ostree 2025.2, and greenboot's boot counter
(https://github.com/fedora-iot/greenboot: GREENBOOT_MAX_BOOT_ATTEMPTS in /etc/greenboot/greenboot.conf, default 3).
With `--rollback` it does what greenboot does when the attempts are used up. Prints the booted deployment's id.
"""

import json
import os
import re
import sys

from deployments import BOOTED, COUNTER, booted, finalize, grub_environment, prune, read, set_grub_environment, write
from simlib import faults, run
from simlib import read as read_text
from simlib import write as write_text

KEY = "/etc/pki/containers/aether.pub"
POLICY = "/etc/containers/policy.json"


def attempts():
    """How often a new deployment may fail."""
    found = re.search(r"^GREENBOOT_MAX_BOOT_ATTEMPTS=(\d+)", read_text("/etc/greenboot/greenboot.conf"), re.M)
    return int(found[1]) if found else 3


def merge_etc(item):
    """What an own image brings in /etc: its public key and the policy that asks for its signature."""
    image = re.search(r"([a-z0-9.-]+/[\w./-]+?)(?:@|:|$)", item["origin"].partition(":")[2].removeprefix("docker://"))
    if item["digest"] is None or image is None or "/ublue-os/" in image[1]:
        return
    registry = "/".join(image[1].split("/")[:2])
    if not os.path.exists(KEY):
        write_text(
            KEY,
            read_text("/usr/lib/aether-sim/image-key.pub") or "-----BEGIN PUBLIC KEY-----\nsimulated\n-----END PUBLIC KEY-----\n",
        )
    try:
        policy = json.loads(read_text(POLICY, "{}"))
    except ValueError:
        policy = {}
    policy.setdefault("default", [{"type": "insecureAcceptAnything"}])
    docker = policy.setdefault("transports", {}).setdefault("docker", {})
    docker.setdefault(registry, [{"type": "sigstoreSigned", "keyPath": KEY, "signedIdentity": {"type": "matchRepository"}}])
    write_text(POLICY, json.dumps(policy, indent=1))


def main(argv):
    found, fresh = finalize(read())
    values = grub_environment()
    if fresh:
        values = {COUNTER: attempts(), "boot_success": 0}
    if "--rollback" in argv:
        others = [item for item in found[1:] if not item["pinned"]] or found[1:]
        found = [others[0], *[item for item in found if item is not others[0]]]
        values = {"boot_success": 0}
    broken = faults().get("no-boot")
    if broken and found[0]["id"] != broken.get("good"):
        # GRUB's counter runs down while the kernel panics, then it boots the deployment before.
        sys.stderr.write(f"kernel panic: {found[0]['id']}\n")
        if COUNTER not in values or len(found) < 2:
            print("injected fault: no-boot")
            return 1
        found, values = [found[1], found[0], *found[2:]], {"boot_success": 0}
    if COUNTER in values:
        values[COUNTER] -= 1
    for item in found:
        item["booted"] = item is found[0]
    found = prune(found)
    write(found)
    set_grub_environment(values)
    merge_etc(booted(found))
    write_text("/run/ostree-booted", "")
    write_text(BOOTED, found[0]["id"] + "\n")
    print(found[0]["id"])
    return 0


if __name__ == "__main__":
    run(main)
