#!/usr/bin/env python3
# mypy: ignore-errors
"""apk of a simulated Alpine host.

Imitates apk(8) 2.14: info [--installed] PACKAGE, add, del, update, upgrade, version, --print-arch. Nothing is downloaded:
packages are those of package_table.py. Refuses unknown packages (exit 1), callers who are not root, a full disk.
"""

from packages import Database
from simlib import Refused, faults, locked, need_root, run


def main(argv):
    wait = "--wait" in argv
    if wait:
        at = argv.index("--wait")
        argv = [*argv[:at], *argv[at + 2 :]]
    words = [word for word in argv if not word.startswith("-")]
    verb, *names = words or [""]
    database = Database("alpine")
    if "--print-arch" in argv:
        print("x86_64")
        return 0
    if "--version" in argv or "-V" in argv:
        print("apk-tools 2.14.6, compiled for x86_64.")
        return 0
    if verb == "info":
        if names and ("--installed" in argv or "-e" in argv):
            found = [name for name in names if name in database.installed]
            for name in found:
                print(name)
            return 0 if len(found) == len(names) else 1
        for name in names or sorted(database.installed):
            print(name)
        return 0
    if verb in ("version", "policy", "list", "search"):
        return 0
    need_root("ERROR: Unable to lock database: Permission denied\nERROR: Failed to open apk database: Permission denied")
    with locked("/lib/apk/db/lock", "ERROR: Unable to lock database: Resource temporarily unavailable", wait=wait):
        if verb in ("update", "upgrade", "fix", "cache"):
            print("OK: 120 MiB in 60 packages")
            return 0
        if verb == "add":
            missing = [name for name in names if not database.exists(name) and name not in database.installed]
            if missing:
                raise Refused(
                    "ERROR: unable to select packages:\n"
                    + "".join(f"  {name} (no such package):\n    required by: world[{name}]\n" for name in missing).rstrip()
                )
            fresh = [name for name in names if name not in database.installed]
            if fresh and "disk-full" in faults():
                raise Refused("ERROR: Failed to create usr/bin: No space left on device")
            for name in fresh:
                print(f"(1/1) Installing {name} (1.0-r0)")
                database.install(name)
            print("OK: 120 MiB in 60 packages")
            return 0
        if verb == "del":
            for name in names:
                if name in database.installed:
                    database.remove(name)
            return 0
    raise Refused(f"ERROR: '{verb}' is not an apk command. See 'apk --help'.")


if __name__ == "__main__":
    run(main)
