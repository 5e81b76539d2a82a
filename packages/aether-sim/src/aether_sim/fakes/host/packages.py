# mypy: ignore-errors
"""What apt, dpkg, dnf, rpm and apk fakes share: one small database of a host, and what installing brings."""

import os
import subprocess

import package_table as table
from simlib import load, read, save, write

PRESENT = {"debian": table.DEBIAN, "fedora": table.FEDORA, "alpine": table.ALPINE}
LIBRARY = "/usr/lib/aether-sim"
UNITS = "/usr/lib/systemd/system"


class Database:
    """Installed packages: name -> version."""

    def __init__(self, family):
        self.family = family
        self.known = PRESENT[family]
        self.installed = load("packages", None)
        if self.installed is None:
            first = "atomic" if "VARIANT_ID=kinoite" in read("/etc/os-release") else family
            self.installed = dict.fromkeys(table.INSTALLED[first], "1.0-1")

    def exists(self, name):
        """Whether a configured repository has the package."""
        if self.family == "debian" and name in table.DEBIAN_REPOSITORIES:
            return _repository(table.DEBIAN_REPOSITORIES[name])
        return name in self.known

    def install(self, name):
        """Unpack a package: units, programs, files. Returns its units."""
        facts = self.known[name]
        for unit, lines in facts.get("units", {}).items():
            section = (
                "Timer]\nOnCalendar=daily" if unit.endswith(".timer") else f"Service]\nType=notify\nExecStart=/usr/sbin/{name}"
            )
            write(
                f"{UNITS}/{unit}",
                f"[Unit]\nDescription={name}\n\n[{section}\n\n[Install]\nWantedBy="
                f"{'timers' if unit.endswith('.timer') else 'multi-user'}.target\n\n[X-Simulator]\n{lines}",
            )
            if self.family == "alpine":
                write(f"/etc/init.d/{unit.removesuffix('.service')}", f'#!/sbin/openrc-run\ndescription="{name}"\n', 0o755)
        for program, source in facts.get("programs", {}).items():
            path = f"/usr/bin/{program}"
            if not os.path.lexists(path):
                os.symlink(f"{LIBRARY}/{source or 'version_only.sh'}", path)
        for path, text in facts.get("files", {}).items():
            write(path, text)
        self.installed[name] = "1.0-1"
        save("packages", self.installed)
        units = [unit for unit in facts.get("units", {}) if "@" not in unit]
        if self.family == "debian":
            subprocess.run(["systemctl", "daemon-reload"], capture_output=True)
            for unit in units:
                subprocess.run(["systemctl", "enable", "--now", unit], capture_output=True)
        return units

    def remove(self, name):
        """Remove a package with its units and programs."""
        facts = self.known.get(name, {})
        for unit in facts.get("units", {}):
            subprocess.run(["systemctl", "disable", "--now", unit], capture_output=True)
            if os.path.exists(f"{UNITS}/{unit}"):
                os.unlink(f"{UNITS}/{unit}")
        for program in facts.get("programs", {}):
            if os.path.islink(f"/usr/bin/{program}"):
                os.unlink(f"/usr/bin/{program}")
        del self.installed[name]
        save("packages", self.installed)


def _repository(text):
    directory = "/etc/apt/sources.list.d"
    for file in os.listdir(directory) if os.path.isdir(directory) else ():
        with open(f"{directory}/{file}", errors="replace") as handle:
            if text in handle.read():
                return True
    return False
