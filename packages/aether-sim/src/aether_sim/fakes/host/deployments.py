# mypy: ignore-errors
"""The deployments of a simulated Fedora Atomic host, shared by rpm-ostree, ostree, greenboot and the boot.

A deployment: id, origin, digest, checksum, timestamp, version, staged, booted, pinned, packages. Order is boot order; the
booted deployment and the rollback one are kept, and those that are pinned (ostree admin pin).
"""

import hashlib
import time

from simlib import load, save

STOCK = "fedora:fedora/42/x86_64/kinoite"
COUNTER = "boot_counter"
BOOTED = "/run/aether-sim-deployment"


def deployment(origin, digest, version, packages=()):
    """A new deployment."""
    checksum = hashlib.sha256(f"{origin} {digest} {sorted(packages)}".encode()).hexdigest()
    return {
        "id": f"default-{checksum}.0",
        "origin": origin,
        "digest": digest,
        "checksum": checksum,
        "timestamp": int(time.time()),
        "version": version,
        "staged": False,
        "booted": False,
        "pinned": False,
        "packages": sorted(packages),
    }


def read():
    """The deployments, first the one that boots next; a fresh host has the stock system."""
    found = load("ostree", None)
    if found is None:
        found = [dict(deployment(STOCK, None, "42.20251101.0"), booted=True)]
        write(found)
    return found


def write(found):
    """Keep the deployments."""
    save("ostree", found)


def booted(found):
    """The booted deployment."""
    return next(item for item in found if item["booted"])


def prune(found):
    """Keep the staged, the first, the booted, one to roll back to, and those that are pinned."""
    keep = []
    spare = 1
    for index, item in enumerate(found):
        if index == 0 or item["staged"] or item["booted"] or item["pinned"]:
            keep.append(item)
        elif spare:
            spare -= 1
            keep.append(item)
    return keep


def finalize(found):
    """What ostree-finalize-staged does at shutdown: a staged deployment becomes the first of the boot order."""
    staged = [item for item in found if item["staged"]]
    if not staged:
        return found, False
    rest = [item for item in found if not item["staged"]]
    current = [item for item in rest if item["booted"]]
    others = [item for item in rest if not item["booted"] and item["pinned"]]
    staged[0]["staged"] = False
    return [staged[0], *current, *others], True


def grub_environment():
    """greenboot's variables in the boot loader's environment block."""
    return load("grubenv", {})


def set_grub_environment(values):
    """Keep those variables."""
    save("grubenv", values)
