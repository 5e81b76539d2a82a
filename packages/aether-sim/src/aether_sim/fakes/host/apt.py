#!/usr/bin/env python3
# mypy: ignore-errors
"""apt-get, apt, dpkg, dpkg-query and apt-cache of a simulated Debian host.

Imitates apt-get(8) 2.6 and dpkg-query(1) 1.21: update, install, remove, purge, upgrade, autoremove, clean; --show with
--showformat, -W, -s, -l, --list; policy. Nothing is downloaded: packages are those of package_table.py. Refuses unknown
packages (exit 100), callers who are not root, a held lock (with DPkg::Lock::Timeout it is waited for), a full disk.
"""

import os
import re
import sys

from packages import Database
from simlib import Refused, faults, locked, need_root, run

LOCK = "/var/lib/dpkg/lock-frontend"
VALUED = ("-o", "--option", "-t", "--target-release", "-c", "--config-file")


def words_of(argv):
    """Words without options."""
    found, rest = [], list(argv)
    while rest:
        word = rest.pop(0)
        if word in VALUED and rest:
            rest.pop(0)
        elif not word.startswith("-"):
            found.append(word)
    return found


def apt(argv):
    verb, *names = words_of(argv) or [""]
    if "--version" in argv or "-v" in argv:
        print("apt 2.6.1 (amd64)")
        return 0
    if verb in ("", "help", "list", "show", "search"):
        return 0
    need_root(f"E: Could not open lock file {LOCK} - open (13: Permission denied)")
    # The time-out is for dpkg's lock alone.
    lock = "/var/lib/apt/lists/lock" if verb == "update" else LOCK
    wait = verb != "update" and any(word.startswith("DPkg::Lock::Timeout=") for word in argv)
    with locked(lock, f"E: Could not get lock {lock}. It is held by another process", wait=wait):
        database = Database("debian")
        if verb in ("update", "clean", "autoclean", "autoremove", "upgrade", "dist-upgrade", "full-upgrade"):
            print(
                "Reading package lists... Done"
                if verb == "update"
                else "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded."
            )
            return 0
        if verb in ("install", "reinstall"):
            names = [re.split(r"[=:]", name)[0] for name in names]
            for name in names:
                if not database.exists(name) and name not in database.installed:
                    raise Refused(f"E: Unable to locate package {name}", 100)
            fresh = [name for name in names if name not in database.installed]
            if fresh and "disk-full" in faults():
                raise Refused("E: You don't have enough free space in /var/cache/apt/archives/.", 100)
            if "--simulate" not in argv and "-s" not in argv and "--dry-run" not in argv:
                for name in fresh:
                    print(f"Setting up {name} (1.0-1) ...")
                    database.install(name)
            print(f"0 upgraded, {len(fresh)} newly installed, 0 to remove and 0 not upgraded.")
            return 0
        if verb in ("remove", "purge"):
            for name in names:
                if name in database.installed:
                    database.remove(name)
                elif not database.exists(name):
                    raise Refused(f"E: Unable to locate package {name}", 100)
            return 0
    raise Refused(f"E: Invalid operation {verb}", 100)


def dpkg_query(argv):
    database = Database("debian")
    form = "${Package}\t${Version}\n"
    names, rest = [], list(argv)
    while rest:
        word = rest.pop(0)
        if word in ("-f", "--showformat"):
            form = rest.pop(0)
        elif word.startswith("--showformat="):
            form = word.partition("=")[2]
        elif word.startswith("-f") and len(word) > 2:
            form = word[2:].lstrip("=")
        elif not word.startswith("-"):
            names.append(word)
    if "-s" in argv or "--status" in argv:
        form = "Package: ${Package}\nStatus: ${Status}\nVersion: ${Version}\n\n"
    if "-l" in argv or "--list" in argv:
        form = "ii  ${Package}  ${Version}  amd64  simulated\n"
    code = 0
    for name in names or sorted(database.installed):
        version = database.installed.get(name.split(":")[0])
        if version is None:
            sys.stderr.write(f"dpkg-query: no packages found matching {name}\n")
            code = 1
            continue
        values = {"Package": name, "binary:Package": name, "Version": version, "Architecture": "amd64",
                  "db:Status-Status": "installed", "Status": "install ok installed", "db:Status-Abbrev": "ii "}  # fmt: skip
        text = "".join(
            values.get(part, "") if index % 2 else part for index, part in enumerate(re.split(r"\$\{([^};]+)(?:;-?\d+)?\}", form))
        )
        sys.stdout.write(text.replace("\\n", "\n").replace("\\t", "\t"))
    return code


def main(argv):
    name = os.path.basename(sys.argv[0])
    if name == "dpkg-query":
        return dpkg_query(argv)
    if name == "dpkg":
        if "--print-architecture" in argv:
            print("amd64")
            return 0
        if set(argv) & {"-s", "--status", "-l", "--list"}:
            return dpkg_query(argv)
        raise Refused("dpkg: error: only queries are simulated", 2)
    if name == "apt-cache":
        database = Database("debian")
        for word in words_of(argv)[1:]:
            version = database.installed.get(word, "(none)")
            if database.exists(word) or version != "(none)":
                print(f"{word}:\n  Installed: {version}\n  Candidate: 1.0-1")
        return 0
    return apt(argv)


if __name__ == "__main__":
    run(main)
