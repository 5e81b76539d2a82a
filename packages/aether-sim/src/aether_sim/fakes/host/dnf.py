#!/usr/bin/env python3
# mypy: ignore-errors
"""dnf, dnf5, yum and rpm of a simulated Fedora or Amazon Linux host.

Imitates dnf5(8) and rpm(8) 4.20: install, remove, upgrade, update, makecache, list, config-manager, copr, check-update; rpm -q,
--query --whatprovides, -qa, -E %fedora, --import. Nothing is downloaded: packages are those of package_table.py. Refuses
unknown packages (exit 1), callers who are not root, a full disk.
"""

import os
import re
import sys

from packages import Database
from simlib import Refused, faults, locked, need_root, read, run


def name_of(word):
    """A package name from a name, a URL of a release package, or a NEVRA."""
    if "://" in word or word.endswith(".rpm"):
        return re.sub(r"-\$?\(?[\d.%a-z{}]+.*$", "", word.rsplit("/", 1)[-1].removesuffix(".rpm").removesuffix(".noarch"))
    return word.lstrip("@")


def dnf(argv):
    words = [word for word in argv if not word.startswith("-")]
    verb, *names = words or [""]
    if "--version" in argv:
        print("dnf5 version 5.2.16.0")
        return 0
    database = Database("fedora")
    if verb in ("list", "info", "repoquery", "repolist", "search", "check-update", "makecache", "clean", ""):
        for name in sorted(database.installed):
            if verb == "list":
                print(f"{name}.x86_64  1.0-1  @System")
        return 0
    need_root("The requested operation requires superuser privileges. Please log in as a user with elevated rights.")
    with locked("/var/lib/dnf/lock", "", wait=True):
        if verb in ("upgrade", "update", "distro-sync", "autoremove", "config-manager", "copr", "mark", "module", "swap"):
            print("Nothing to do.")
            return 0
        if verb in ("install", "reinstall", "group"):
            wanted = [name_of(name) for name in names if not (verb == "group" and name in ("install", "upgrade"))]
            missing = [name for name in wanted if not database.exists(name) and name not in database.installed]
            if missing:
                text = "".join(f"No match for argument: {name}\n" for name in missing)
                raise Refused(f"Failed to resolve the transaction:\n{text}You can try to add to command line: --skip-unavailable")
            fresh = [name for name in wanted if name not in database.installed]
            if not fresh:
                print("Nothing to do.")
                return 0
            if "disk-full" in faults():
                raise Refused(
                    "Transaction failed: Rpm transaction failed.\n  - installing package needs 1MB more space on the / filesystem"
                )
            for name in fresh:
                print(f"[1/1] Installing {name}-0:1.0-1.x86_64")
                database.install(name)
            print("Complete!")
            return 0
        if verb in ("remove", "erase"):
            for name in names:
                if name in database.installed:
                    database.remove(name)
            print("Complete!")
            return 0
    raise Refused(f'Unknown argument "{verb}" for command "dnf5". Add "--help" for more information about the arguments.', 2)


def rpm(argv):
    if "-E" in argv or "--eval" in argv:
        version = re.search(r'VERSION_ID="?(\d+)', read("/etc/os-release"))
        print(re.sub(r"%\{?(\?)?(fedora|rhel|amzn)\}?", version[1] if version else "", argv[-1]))
        return 0
    if "--import" in argv:
        return 0
    database = Database("fedora")
    names = [word for word in argv if not word.startswith("-")]
    if "-qa" in argv or "--all" in argv:
        names = sorted(database.installed)
    code = 0
    for name in names:
        if name in database.installed:
            if "--quiet" not in argv:
                print(f"{name}-1.0-1.x86_64")
        else:
            if "--quiet" not in argv:
                print(f"no package provides {name}" if "--whatprovides" in argv else f"package {name} is not installed")
            code = 1
    return code


def main(argv):
    return rpm(argv) if os.path.basename(sys.argv[0]) == "rpm" else dnf(argv)


if __name__ == "__main__":
    run(main)
