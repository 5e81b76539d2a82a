# mypy: ignore-errors
"""apt-get, dpkg-query, dnf, rpm and apk of a simulated host: one database, asked and told in the words of each.

Imitates apt-get(8) 2.6, dpkg-query(1) 1.21, dnf5(8), rpm(8) 4.20 and apk(8) 2.14 as far as roles and people ask: install or add,
remove or del, updates that find nothing new, and whether a package is there. Nothing is downloaded: packages are those of
package_table.py. Refuses packages that do not exist, callers who are not root, a held lock, a full disk.
"""

import os
import subprocess
import sys

import package_table as table
from simlib import Refused, faults, load, locked, need_root, options, read, save, write

PROGRAM = "/usr/lib/aether-sim/program.py"
UNITS = "/usr/lib/systemd/system"
LISTS = "/var/lib/apt/lists/lock"
REPOSITORIES = "/etc/apt/sources.list.d"
UNIT = "[Unit]\nDescription={}\n\n[{}\n\n[Install]\nWantedBy={}.target\n\n[X-Simulator]\n{}"
# Distribution, its lock, the code of refusals, and what is said: to others than root, of a lock, of an unknown package, of a full
# disk, of one that is installed.
MANAGERS = {
    "apt-get": (
        "debian",
        "/var/lib/dpkg/lock-frontend",
        100,
        "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)",
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by another process",
        "E: Unable to locate package {}",
        "E: You don't have enough free space in /var/cache/apt/archives/.",
        "Setting up {} (1.0-1) ...",
    ),
    "dnf": (
        "fedora",
        "/var/lib/dnf/lock",
        1,
        "The requested operation requires superuser privileges. Please log in as a user with elevated rights.",
        "Waiting for another process to release the lock failed",
        "Failed to resolve the transaction:\nNo match for argument: {}\nYou can try to add to command line: --skip-unavailable",
        "Transaction failed: Rpm transaction failed.\n  - installing package needs 1MB more space on the / filesystem",
        "[1/1] Installing {}-0:1.0-1.x86_64",
    ),
    "apk": (
        "alpine",
        "/lib/apk/db/lock",
        1,
        "ERROR: Unable to lock database: Permission denied\nERROR: Failed to open apk database: Permission denied",
        "ERROR: Unable to lock database: Resource temporarily unavailable",
        "ERROR: unable to select packages:\n  {} (no such package)",
        "ERROR: Failed to create usr/bin: No space left on device",
        "(1/1) Installing {} (1.0-r0)",
    ),
}


class Database:
    """Installed packages: name -> version."""

    def __init__(self, family):
        self.family = family
        self.known = {"debian": table.DEBIAN, "fedora": table.FEDORA, "alpine": table.ALPINE}[family]
        first = "atomic" if "VARIANT_ID=kinoite" in read("/etc/os-release") else family
        self.installed = load("packages", dict.fromkeys(table.INSTALLED[first], "1.0-1"))

    def exists(self, name):
        """Whether it is installed, or a configured repository has it."""
        files = os.listdir(REPOSITORIES) if os.path.isdir(REPOSITORIES) else ()
        wanted = table.DEBIAN_REPOSITORIES.get(name, "") if self.family == "debian" else ""
        there = not wanted or any(wanted in read(f"{REPOSITORIES}/{file}") for file in files)
        return name in self.installed or (name in self.known and there)

    def install(self, name):
        """Unpack a package: units, programs, files."""
        facts = self.known[name]
        for unit, lines in facts["units"].items():
            timer = unit.endswith(".timer")
            section = "Timer]\nOnCalendar=daily" if timer else f"Service]\nType=notify\nExecStart=/usr/sbin/{name}"
            write(f"{UNITS}/{unit}", UNIT.format(name, section, "timers" if timer else "multi-user", lines))
            if self.family == "alpine":
                write(f"/etc/init.d/{unit.removesuffix('.service')}", f'#!/sbin/openrc-run\ndescription="{name}"\n', 0o755)
        for program in facts["programs"]:
            if not os.path.lexists(f"/usr/bin/{program}"):
                os.symlink(PROGRAM, f"/usr/bin/{program}")
        for path, text in facts["files"].items():
            write(path, text)
        self.installed[name] = "1.0-1"
        save("packages", self.installed)
        if self.family == "debian":
            systemctl("daemon-reload")
            systemctl("enable", "--now", *(unit for unit in facts["units"] if "@" not in unit))

    def remove(self, name):
        """Remove a package with its units and programs."""
        facts = self.known.get(name, table.package())
        services = [unit.removesuffix(".service") for unit in facts["units"]]
        for service in services if self.family == "alpine" else ():
            subprocess.run(["rc-service", service, "stop"], capture_output=True)
            subprocess.run(["rc-update", "del", service], capture_output=True)
        if self.family != "alpine":
            systemctl("disable", "--now", *facts["units"])
        paths = [*(f"{UNITS}/{unit}" for unit in facts["units"]), *(f"/etc/init.d/{service}" for service in services)]
        for path in [*paths, *(f"/usr/bin/{program}" for program in facts["programs"])]:
            if os.path.lexists(path):
                os.unlink(path)
        del self.installed[name]
        save("packages", self.installed)


def systemctl(*words):
    """What it says of a package without units is nobody's concern."""
    subprocess.run(["systemctl", *words], capture_output=True)


def query(database, program, found, names):
    """dpkg-query --show, rpm --query, apk info --installed: 1 where one of NAMES is not there."""
    code = 0
    for name in names:
        there = name in database.installed
        code = code or int(not there)
        if program == "dpkg-query" and there:
            form = found.get("--showformat", ["${Package}\\n"])[-1]
            sys.stdout.write(form.replace("${Package}", name).replace("${db:Status-Status}", "installed").replace("\\n", "\n"))
        elif program == "dpkg-query":
            sys.stderr.write(f"dpkg-query: no packages found matching {name}\n")
        elif "--quiet" not in found:
            print(name if there else f"package {name} is not installed")
    return code


def main(argv):
    program = os.path.basename(sys.argv[0])
    asks = {"dpkg-query": "apt-get", "rpm": "dnf"}.get(program, program)
    family, lock, code, not_root, held, unknown, full, done = MANAGERS[asks]
    found, words = options(argv, "--showformat/-f -o --wait")
    database = Database(family)
    if asks != program:
        return query(database, program, found, words)
    verb, *names = words or [""]
    if verb == "info":
        return query(database, program, found, names)
    need_root(not_root)
    # dnf always waits, apt and apk where they are told to; apt never for the lock of its lists.
    wait = program == "dnf" or "--wait" in found or any(word.startswith("DPkg::Lock::Timeout=") for word in found.get("-o", ()))
    if (program, verb) == ("apt-get", "update"):
        wait, lock, held = False, LISTS, held.replace(lock, LISTS)
    with locked(lock, held, wait=wait, code=code):
        for name in names if verb in ("install", "add") else ():
            if not database.exists(name):
                raise Refused(unknown.format(name), code)
        if verb in ("install", "add"):
            fresh = [name for name in names if name not in database.installed]
            if fresh and "disk-full" in faults():
                raise Refused(full, code)
            for name in fresh:
                print(done.format(name))
                database.install(name)
        elif verb in ("remove", "del"):
            for name in names:
                if name in database.installed:
                    database.remove(name)
        elif verb in ("update", "upgrade"):
            print("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.")
        else:
            raise Refused(f"{program}: {verb}: not simulated", code)
    return 0
