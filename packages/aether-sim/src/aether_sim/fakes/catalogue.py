"""Which commands, units and files each flavour of host has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aether_sim.fakes import nixos_image

HERE = Path(__file__).resolve().parent / "host"
CLIENT = "agent_client.py"

_SYSTEMD = ("systemctl", "systemd-run", "journalctl", "hostnamectl", "timedatectl", "loginctl", "systemd-analyze")
_POWER = ("reboot", "poweroff", "shutdown", "halt")
# Served by the supervisor: the agent client under these names.
_SERVED: dict[str, tuple[str, ...]] = {
    "nixos": (*_SYSTEMD, *_POWER, "nproc", "ip", "sudo", "nix-daemon-socket"),
    "pve": (*_SYSTEMD, *_POWER, "pct", "qm", "pvesh", "pvesm", "pveversion", "vzdump", "qmrestore", "ip"),
    "alpine": (*_POWER, "rc-service", "rc-update", "rc-status"),
    "amazon-linux": (*_SYSTEMD, *_POWER, "sudo"),
}
_DEFAULT_SERVED = (*_SYSTEMD, *_POWER)
_COMMON_SERVED = ("logger",)

# Programs that run in the host: command -> source file.
_NIX = dict.fromkeys(("nix-store", "nix-daemon"), "nix_store.py") | {"nix-env": "nix_env.py", "nix": "nix.py"}
_APT = dict.fromkeys(("apt", "apt-get", "apt-cache", "dpkg", "dpkg-query"), "apt.py")
_DNF = dict.fromkeys(("dnf", "dnf5", "yum", "rpm"), "dnf.py")
_PODMAN = dict.fromkeys(("podman", "toolbox", "distrobox"), "podman.py")
_OSTREE = {
    "rpm-ostree": "rpm_ostree.py",
    "ostree": "ostree.py",
    "bootc": "bootc.py",
    "libexec/greenboot/greenboot": "greenboot.py",
    "libexec/aether/boot-counting": "boot_counting.py",
}
_PROGRAMS: dict[str, dict[str, str]] = {
    "all": {"hostname": "hostname.sh"},
    "nixos": {**_NIX, "bootctl": "bootctl.py"},
    "pve": _APT,
    "debian": _APT,
    "wsl": _APT,
    "vyos": _APT,
    "alpine": {"apk": "apk.py"},
    "fedora": {**_DNF, **_PODMAN, "flatpak": "flatpak.py"},
    "amazon-linux": _DNF,
    "atomic": {
        **_OSTREE,
        **_PODMAN,
        "rpm": "dnf.py",
        "flatpak": "flatpak.py",
        "syncthing": "syncthing.py",
        "rclone": "version_only.sh",
    },
}
# Commands of the machine that would say something else than the host's own distribution.
_HIDDEN = (
    "apt",
    "apt-get",
    "apt-cache",
    "dpkg",
    "dpkg-query",
    "dnf",
    "rpm",
    "apk",
    "systemctl",
    "journalctl",
    "podman",
    "docker",
    "syncthing",
    "rclone",
)

_NIXOS_PATH = "/run/wrappers/bin:/root/.nix-profile/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin"
_FHS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_OS_RELEASE = {
    "nixos": 'NAME=NixOS\nID=nixos\nVERSION_ID="25.05"\nPRETTY_NAME="NixOS 25.05 (simulated)"\n',
    "pve": 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n'
    'VERSION="13 (trixie)"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
    "debian": 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
    'VERSION="12 (bookworm)"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "alpine": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.21.0\nPRETTY_NAME="Alpine Linux v3.21"\n',
    "fedora": 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=42\nPLATFORM_ID="platform:f42"\n'
    'PRETTY_NAME="Fedora Linux 42 (Workstation Edition)"\n',
    "atomic": 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=42\nVARIANT_ID=kinoite\nPLATFORM_ID="platform:f42"\n'
    'PRETTY_NAME="Fedora Linux 42 (Kinoite)"\n',
    "vyos": 'NAME="VyOS"\nID=vyos\nVERSION_ID="1.4"\nPRETTY_NAME="VyOS 1.4 (sagitta)"\n',
    "amazon-linux": 'NAME="Amazon Linux"\nID="amzn"\nID_LIKE="fedora"\nVERSION="2023"\nVERSION_ID="2023"\n'
    'PRETTY_NAME="Amazon Linux 2023"\n',
    "wsl": 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
}

# Empty folders that a distribution is installed with, and that configuration management writes into.
_APT_FOLDERS = (
    "/etc/apt/sources.list.d",
    "/etc/apt/apt.conf.d",
    "/etc/apt/keyrings",
    "/etc/default",
    "/etc/ssh/sshd_config.d",
)
_DNF_FOLDERS = ("/etc/yum.repos.d", "/etc/dnf/vars", "/etc/sysconfig")
_FOLDERS = {
    **dict.fromkeys(("pve", "debian", "wsl"), _APT_FOLDERS),
    **dict.fromkeys(("fedora", "atomic", "amazon-linux"), _DNF_FOLDERS),
    "alpine": ("/etc/periodic/daily", "/etc/conf.d"),
}

_SSHD_UNIT = """[Unit]
Description=OpenSSH server daemon

[Service]
Type=notify
ExecStart=/usr/sbin/sshd -D

[Install]
WantedBy=multi-user.target
{alias}
[X-Simulator]
Sshd=yes
"""
_SIMULATED_UNIT = """[Unit]
Description={description}

[Service]
Type=notify
ExecStart=/usr/lib/systemd/{name}

[Install]
WantedBy=multi-user.target

[X-Simulator]
Simulate=yes
"""
_GREENBOOT_UNIT = """[Unit]
Description=greenboot Health Checks Runner

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/libexec/greenboot/greenboot health-check

[Install]
WantedBy=multi-user.target
"""
_BASE_UNITS = {
    "systemd-journald": "Journal Service",
    "systemd-logind": "User Login Management",
    "dbus": "D-Bus System Message Bus",
    "cron": "Regular background program processing daemon",
}
_PVE_UNITS = {
    "pvedaemon": "PVE API Daemon",
    "pveproxy": "PVE API Proxy Server",
    "pvestatd": "PVE Status Daemon",
    "corosync": "Corosync Cluster Engine",
    "pve-cluster": "The Proxmox VE cluster filesystem",
}


def words(text: str) -> list[str]:
    """The words of a text: a list that a person can read."""
    return text.split()


def search_path(flavour: str) -> str:
    """The PATH of a login."""
    return f"{_NIXOS_PATH}:/usr/bin:/bin" if flavour == "nixos" else _FHS_PATH


def of(flavour: str) -> Catalogue:
    """The catalogue of a flavour."""
    return Catalogue(flavour)


@dataclass(frozen=True)
class Catalogue:
    """What one flavour of host is given on top of the machine's /usr."""

    flavour: str

    def sources(self) -> list[Path]:
        """Every program and library for hosts."""
        return sorted(path for path in HERE.iterdir() if path.suffix in (".py", ".sh"))

    def fingerprint(self) -> str:
        """Changes with anything that ends up in the base root."""
        digest = hashlib.sha256()
        for source in [Path(__file__), Path(nixos_image.__file__), *self.sources()]:
            digest.update(source.name.encode() + source.read_bytes())
        digest.update(repr(self.files()).encode())
        return digest.hexdigest()

    def commands(self) -> dict[str, str]:
        """Path below /usr -> source file."""
        served = (*_SERVED.get(self.flavour, _DEFAULT_SERVED), *_COMMON_SERVED)
        table = dict.fromkeys(served, CLIENT) | _PROGRAMS.get("all", {}) | _PROGRAMS.get(self.flavour, {})
        placed = {name if "/" in name else f"bin/{name}": source for name, source in table.items()}
        if self.flavour == "alpine":
            placed |= {"sbin/openrc": CLIENT, "sbin/rc-service": CLIENT, "sbin/rc-update": CLIENT}
        # Scripts call some of them by their place in sbin.
        placed |= {f"sbin/{name}": table[name] for name in _POWER if name in table}
        placed["lib/aether-sim/set/hostname"] = CLIENT
        return placed

    def hidden(self) -> list[str]:
        """Commands of the machine that the host does not have."""
        return [name for name in _HIDDEN if f"bin/{name}" not in self.commands()]

    def units(self) -> dict[str, str]:
        """Unit files of the distribution; NixOS has its own in the system closure."""
        if self.flavour == "nixos":
            return {}
        if self.flavour == "alpine":
            return {"sshd.service": _SSHD_UNIT.format(alias="")}
        name, alias = ("ssh", "Alias=sshd.service\n") if self.flavour in ("pve", "debian", "wsl", "vyos") else ("sshd", "")
        units = {f"{name}.service": _SSHD_UNIT.format(alias=alias)}
        simulated = _BASE_UNITS | (_PVE_UNITS if self.flavour == "pve" else {})
        if self.flavour == "atomic":
            units["greenboot-healthcheck.service"] = _GREENBOOT_UNIT
        for unit, description in simulated.items():
            units[f"{unit}.service"] = _SIMULATED_UNIT.format(name=unit, description=description)
        return units

    def files(self) -> dict[str, str]:
        """Files of the base root: path -> content."""
        files = {"/etc/os-release": _OS_RELEASE.get(self.flavour, _OS_RELEASE["debian"])}
        files |= {f"{folder}/.keep": "" for folder in _FOLDERS.get(self.flavour, ())}
        if self.flavour == "nixos":
            files |= nixos_image.files()
        if self.flavour == "alpine":
            files["/etc/alpine-release"] = "3.21.0\n"
            files["/etc/init.d/sshd"] = "#!/sbin/openrc-run\n"
        if self.flavour == "atomic":
            files["/etc/greenboot/greenboot.conf"] = "GREENBOOT_MAX_BOOT_ATTEMPTS=3\n"
            files["/etc/containers/policy.json"] = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
        if self.flavour == "vyos":
            files["/opt/vyatta/etc/config/.keep"] = ""
        if self.flavour in ("debian", "wsl"):
            files["/etc/debian_version"] = "12.11\n"
        if self.flavour == "pve":
            files["/etc/debian_version"] = "13.1\n"
            files["/etc/pve/.version"] = "1\n"
            for name in ("snippets", "template/iso", "template/cache", "import", "images", "dump"):
                files[f"/var/lib/vz/{name}/.keep"] = ""
        if self.flavour in ("fedora", "atomic"):
            files["/etc/fedora-release"] = "Fedora release 42 (Adams)\n"
            files["/etc/redhat-release"] = "Fedora release 42 (Adams)\n"
        return files

    def links(self) -> dict[str, str]:
        """Symbolic links of the base root: path -> target."""
        if self.flavour == "nixos":
            return nixos_image.links()
        wants = "/etc/systemd/system/multi-user.target.wants"
        links = {f"{wants}/{name}": f"/usr/lib/systemd/system/{name}" for name in self.units()}
        if self.flavour == "alpine":
            return {"/etc/runlevels/default/sshd": "/etc/init.d/sshd"}
        if self.flavour == "vyos":
            links["/config"] = "/opt/vyatta/etc/config"
        return links
