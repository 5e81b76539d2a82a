"""Which commands, units and files each flavour of host has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aether_sim.fakes import nixos_image

HERE = Path(__file__).resolve().parent / "host"
CLIENT, PROGRAM = "agent_client.py", "program.py"


def words(text: str) -> list[str]:
    """The words of a text: a list that a person can read."""
    return text.split()


_SYSTEMD = "systemctl systemd-run journalctl loginctl"
_POWER = words("reboot poweroff shutdown halt")
# Commands that the supervisor answers, and programs that run in the host, besides those of every flavour.
_SERVED = {
    "nixos": f"{_SYSTEMD} nproc ip sudo nix-daemon-socket",
    "pve": f"{_SYSTEMD} pct qm pvesh pvesm pveversion vzdump qmrestore ip",
    "alpine": "rc-service rc-update",
    "amazon-linux": f"{_SYSTEMD} sudo",
}
_PROGRAMS = {
    "nixos": "nix-store nix-daemon nix-env nix bootctl lib/aether-sim/switch-to-configuration",
    **dict.fromkeys(("pve", "debian", "wsl"), "apt-get dpkg-query"),
    "vyos": "lib/aether-sim/vbash.py",
    "alpine": "apk",
    "fedora": "dnf rpm podman toolbox distrobox flatpak",
    "amazon-linux": "dnf rpm",
    "atomic": "rpm-ostree ostree libexec/greenboot/greenboot libexec/aether/boot-counting lib/aether-sim/ostree_boot.py "
    "podman toolbox distrobox rpm flatpak syncthing rclone",
}
# Commands of the machine that would say something else than the host's own distribution.
_HIDDEN = words("apt apt-get apt-cache dpkg dpkg-query dnf rpm apk systemctl journalctl podman docker syncthing rclone")

_NIXOS_PATH = "/run/wrappers/bin:/root/.nix-profile/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin"
_FHS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Of os-release: name, id, version, what stands behind it in brackets, other lines.
_OS = {
    "nixos": ("NixOS", "nixos", "25.05", "simulated", ""),
    "pve": ("Debian GNU/Linux", "debian", "13", "trixie", "VERSION_CODENAME=trixie\n"),
    **dict.fromkeys(("debian", "wsl"), ("Debian GNU/Linux", "debian", "12", "bookworm", "VERSION_CODENAME=bookworm\n")),
    "alpine": ("Alpine Linux", "alpine", "3.21.0", "simulated", ""),
    "fedora": ("Fedora Linux", "fedora", "42", "Workstation Edition", ""),
    "atomic": ("Fedora Linux", "fedora", "42", "Kinoite", "VARIANT_ID=kinoite\n"),
    "vyos": ("VyOS", "vyos", "1.4", "sagitta", ""),
    "amazon-linux": ("Amazon Linux", "amzn", "2023", "simulated", 'ID_LIKE="fedora"\n'),
}
_RELEASE = 'NAME="{0}"\nID="{1}"\nVERSION_ID="{2}"\nVERSION="{2} ({3})"\nPRETTY_NAME="{0} {2} ({3})"\n{4}'

# Empty folders that a distribution is installed with, and that configuration management writes into.
_APT = "etc/apt/sources.list.d etc/apt/apt.conf.d etc/apt/keyrings etc/default etc/ssh/sshd_config.d"
_DNF = "etc/yum.repos.d etc/dnf/vars etc/sysconfig"
_VZ = "var/lib/vz"
_FOLDERS = {
    **dict.fromkeys(("debian", "wsl"), _APT),
    **dict.fromkeys(("fedora", "atomic", "amazon-linux"), _DNF),
    "pve": f"{_APT} {_VZ}/snippets {_VZ}/template/iso {_VZ}/template/cache {_VZ}/import {_VZ}/images {_VZ}/dump",
    "alpine": "etc/periodic/daily etc/conf.d",
    "vyos": "opt/vyatta/etc/config",
}
_FEDORA_RELEASE = {"/etc/fedora-release": "Fedora release 42 (Adams)\n", "/etc/redhat-release": "Fedora release 42 (Adams)\n"}
_FILES = {
    "alpine": {"/etc/alpine-release": "3.21.0\n", "/etc/init.d/sshd": "#!/sbin/openrc-run\n"},
    "atomic": {
        "/etc/greenboot/greenboot.conf": "GREENBOOT_MAX_BOOT_ATTEMPTS=3\n",
        "/etc/containers/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
        **_FEDORA_RELEASE,
    },
    "fedora": _FEDORA_RELEASE,
    **{name: {"/etc/debian_version": "12.11\n"} for name in ("debian", "wsl")},
    "pve": {"/etc/debian_version": "13.1\n", "/etc/pve/.version": "1\n"},
    "nixos": nixos_image.files(),
}
_UNIT = "[Unit]\nDescription={}\n\n[Service]\n{}\n\n[Install]\nWantedBy=multi-user.target\n{}"
_UNITS = {
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
        served = [*_POWER, "logger", *words(_SERVED.get(self.flavour, _SYSTEMD))]
        table = dict.fromkeys(served, CLIENT) | dict.fromkeys(words(_PROGRAMS.get(self.flavour, "")), PROGRAM)
        placed = {name if "/" in name else f"bin/{name}": source for name, source in table.items()}
        # Scripts call some of them by their place in sbin.
        in_sbin = [*_POWER, *(name for name in served if name.startswith("rc-"))]
        placed |= {f"sbin/{name}": CLIENT for name in in_sbin}
        if self.flavour == "alpine":
            placed["sbin/openrc"] = CLIENT
        return {**placed, "bin/hostname": "hostname.sh", "lib/aether-sim/set/hostname": CLIENT}

    def hidden(self) -> list[str]:
        """Commands of the machine that the host does not have."""
        return [name for name in _HIDDEN if f"bin/{name}" not in self.commands()]

    def units(self) -> dict[str, str]:
        """Unit files of the distribution; NixOS has its own in the system closure."""
        if self.flavour == "nixos":
            return {}
        name = "ssh" if self.flavour in ("pve", "debian", "wsl", "vyos") else "sshd"
        tail = ("Alias=sshd.service\n" if name == "ssh" else "") + "\n[X-Simulator]\nSshd=yes\n"
        units = {name: _UNIT.format("OpenSSH server daemon", "Type=notify\nExecStart=/usr/sbin/sshd -D", tail)}
        if self.flavour == "atomic":
            run = "Type=oneshot\nRemainAfterExit=yes\nExecStart=/usr/libexec/greenboot/greenboot health-check"
            units["greenboot-healthcheck"] = _UNIT.format("greenboot Health Checks Runner", run, "")
        for unit, about in (
            {} if self.flavour == "alpine" else {**_UNITS, **(_PVE_UNITS if self.flavour == "pve" else {})}.items()
        ):
            run = f"Type=notify\nExecStart=/usr/lib/systemd/{unit}"
            units[unit] = _UNIT.format(about, run, "\n[X-Simulator]\nSimulate=yes\n")
        return {f"{unit}.service": text for unit, text in units.items()}

    def files(self) -> dict[str, str]:
        """Files of the base root: path -> content."""
        kept = {f"/{folder}/.keep": "" for folder in words(_FOLDERS.get(self.flavour, ""))}
        return {"/etc/os-release": _RELEASE.format(*_OS.get(self.flavour, _OS["debian"])), **kept, **_FILES.get(self.flavour, {})}

    def links(self) -> dict[str, str]:
        """Symbolic links of the base root: path -> target."""
        if self.flavour == "nixos":
            return nixos_image.links()
        if self.flavour == "alpine":
            return {"/etc/runlevels/default/sshd": "/etc/init.d/sshd"}
        wants = "/etc/systemd/system/multi-user.target.wants"
        links = {f"{wants}/{name}": f"/usr/lib/systemd/system/{name}" for name in self.units()}
        return links | ({"/config": "/opt/vyatta/etc/config"} if self.flavour == "vyos" else {})
